"""Language models: defaults by size, chat templates, learning through LoRA, a head for values."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from conftest import SMALL
from rlhf_testbed.evaluation.evaluate import evaluate
from rlhf_testbed.policy.base_policy import ensure_base_policy
from rlhf_testbed.policy.language import load_language
from rlhf_testbed.policy.language_policy import LanguagePolicy
from rlhf_testbed.policy.teaching import Learning, learn
from rlhf_testbed.selection.job import starting_from, train
from rlhf_testbed.selection.ppo import PPO
from rlhf_testbed.settings import sized
from rlhf_testbed.settings.model_size import parameters
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.settings.sized import told_of_size
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store import ledger
from rlhf_testbed.tasks.base import Dials
from rlhf_testbed.tasks.corridor import Corridor
from test_models import saved

CHAT = (
    "{% for message in messages %}corridor {{ message['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}right left{% endif %}"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama with a chat template."""
    folder = saved(tmp_path_factory.mktemp("chatting") / "model", "llama")
    (folder / "chat_template.jinja").write_text(CHAT)
    return folder


def _run(folder: Path, model: Path, *more: str) -> RunConfig:
    few = ["--total_episodes", "32", "--base_steps", "5", "--checkpoint_every", "1"]
    told = ["--arm", "both", "--output_dir", str(folder), "--model", str(model)]
    return parse_run([*SMALL, *told, *few, *more])


def test_parameters_are_counted_without_a_weight_being_read(model: Path) -> None:
    counted = load_language(str(model)).model.num_parameters()
    assert parameters(str(model)) == counted
    assert parameters(str(model / "model.safetensors")) == counted
    with pytest.raises(UsageError, match=r"^model \./nosuch: no such folder"):
        parameters("./nosuch")


def test_a_large_model_has_defaults_of_its_own(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them, unless it is asked for; and none of them for a small model."""
    small = _run(tmp_path / "small", model).flat()
    monkeypatch.setattr(sized, "LARGE_FROM", 1000)
    words = ["--model", str(model), "--output_dir", str(tmp_path / "large")]
    large = parse_run(words).flat()
    for name, value in {**sized.LARGE, **sized.BOUNDED}.items():
        assert large[name] == value, name
        assert small[name] != value or name == "base_steps", name
    own = {"learning_rate": 1e-5, "base_lora_r": 2, "demonstrations": 7}
    asked = [word for name, value in own.items() for word in (f"--{name}", str(value))]
    assert own.items() <= parse_run([*words, *asked]).flat().items()
    whole = parse_run([*words, "--use_peft", "false", "--exact", "true"]).flat()
    assert (whole["lora_target_modules"], whole["value_layers"]) == ([], 1)
    assert whole["learning_rate"] == sized.LARGE["learning_rate"]
    for more in (["--use_peft", "false"], ["--exact", "true"], ["--method", "grpo"]):
        careful = parse_run([*words, *more]).flat()
        assert careful["learning_rate"] == sized.LARGE["learning_rate"], more
        assert careful.get("target_kl") != sized.BOUNDED["target_kl"], more


def test_what_size_has_settled_is_told(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told_of_size(_run(tmp_path / "small", model)) == ""
    assert told_of_size(parse_run([])) == ""
    monkeypatch.setattr(sized, "LARGE_FROM", 1000)
    told = told_of_size(_run(tmp_path / "large", model, "--learning_rate", "1e-5"))
    assert f"model {model} of 0 M parameters: " in told
    assert "lora_target_modules all-linear, " in told
    assert "learning_rate 1e-05, " in told


def test_a_model_that_is_not_here_yet_is_taken_for_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sized, "parameters", lambda *_: None)
    run = parse_run(["--model", "somebody/something"])
    assert run.flat()["use_peft"] is True
    assert "somebody/something of unknown size: " in told_of_size(run)


def test_half_precision_is_for_a_gpu_that_has_it(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sized, "LARGE_FROM", 1000)
    words = ["--model", str(model), "--output_dir", str(tmp_path / "run")]
    for there, dtype in ((False, "float32"), (True, "bfloat16")):
        monkeypatch.setattr(sized, "is_torch_bf16_gpu_available", lambda there=there: there)
        run = parse_run(words)
        assert run.base.dtype == dtype
        assert run.flat()["gradient_checkpointing"] is there


def test_a_filed_run_is_read_where_its_model_is_gone(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sized, "LARGE_FROM", 1000)
    run = train(_run(tmp_path / "run", model), lambda step: None)

    def gone(*_: object) -> int:
        raise UsageError("gone")

    monkeypatch.setattr(sized, "parameters", gone)
    assert run.settings().flat()["use_peft"] is True


def test_prompts_are_in_the_chat_template_unless_a_setting_says_no(
    model: Path, tmp_path: Path
) -> None:
    scenario = Corridor().scenarios(Dials(), 0, "train", 1)[0]
    for asked, told in ((True, f"corridor {scenario.prompt} right left"), (False, scenario.prompt)):
        run = _run(tmp_path / str(asked), model, "--chat_template", str(asked).lower())
        language = load_language(str(ensure_base_policy(run)))
        assert language.chats is asked
        assert language.tokenizer.decode(language.prompt_ids(scenario.prompt)) == told
        assert language.text(language.response_ids("walk jump")) == "walk jump"


def test_a_model_that_chats_is_trained_measured_and_read_again(model: Path, tmp_path: Path) -> None:
    """The path of a real language model, with a tiny one: warm-up through LoRA, PPO through LoRA
    with a head for values, chat template, evaluation."""
    more = ["--use_peft", "true", "--lora_r", "4", "--lora_target_modules", "all-linear"]
    more += ["--base_lora_r", "4", "--base_patience", "2", "--value_layers", "0"]
    run = train(_run(tmp_path / "run", model, *more), lambda step: None)
    rows = ledger.read(run.ledger)
    assert [row.kl for row in rows if row.update == 1] == pytest.approx([0.0] * 16, abs=1e-5)
    assert load_language(str(run.policy)).chats
    assert 0 <= evaluate(run).figure("threat_2") < 20


def _taught(model: Path, **more: Any) -> tuple[Any, float, int]:
    """What has learned 200 demonstrations for so many steps, its loss, and the steps taken."""
    language = load_language(str(model))
    shown, steps = Corridor().demonstrations(0.3, 0, 200), []
    learning = Learning(steps=40, batch_size=16, learning_rate=2e-2, seed=0, **more)
    taught, loss = learn(language, shown, learning, lambda step: steps.append(step.done))
    return taught, loss, max(steps)


def test_lora_teaches_and_is_merged(model: Path) -> None:
    """What has learned is one model again, and it has: its demonstrations are likelier."""
    before, _ = load_language(str(model)), None
    taught, loss, steps = _taught(model, lora_r=8)
    assert steps == 40
    assert not [name for name, _ in taught.model.named_parameters() if "lora" in name]
    assert all(each.requires_grad for each in taught.model.parameters())
    task = Corridor()
    scenarios = task.scenarios(Dials(), 0, "held_out", 4)
    readable = [
        torch.tensor(LanguagePolicy.of(one, task).log_probs(scenarios, task.responses))
        .exp()
        .sum(1)
        .mean()
        for one in (before, taught)
    ]
    assert readable[1] > 4 * readable[0]
    assert math.isfinite(loss)


def test_only_the_last_layers_learn_where_asked(model: Path) -> None:
    taught, _, _ = _taught(model, lora_r=8, lora_layers=1)
    before, after = load_language(str(model)).model.state_dict(), taught.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("layers.1." in name for name in changed)


def test_learning_ends_early_where_nothing_is_learned(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bound that no loss can fall by: two looks bring nothing, after the first one."""
    monkeypatch.setattr("rlhf_testbed.policy.teaching.FALLEN", 100.0)
    assert _taught(model, patience=2)[2] == 12
    assert _taught(model, patience=0)[2] == 40


def test_teaching_settings_without_a_model_are_refused() -> None:
    for name in ("base_lora_r", "base_lora_layers", "base_patience"):
        with pytest.raises(UsageError, match=f"^command line: {name} has no effect without model"):
            parse_run([f"--{name}", "3"])


def test_a_head_for_values_reads_the_policy_and_leaves_it_alone(
    model: Path, tmp_path: Path
) -> None:
    """The loss of the values changes the head only: with and without it, policies are the same."""
    found = {}
    for weight in ("0", "0.5"):
        more = ["--value_layers", "0", "--vf_coef", weight, "--lam", "1", "--gamma", "1"]
        run = _run(tmp_path / weight, model, *more, "--total_episodes", "16")
        train(run, lambda step: None)
        found[weight] = load_file(tmp_path / weight / "policy" / "model.safetensors")
    for name, tensor in found["0"].items():
        torch.testing.assert_close(tensor, found["0.5"][name])
    method = PPO(starting_from(run, ensure_base_policy(run)))
    assert not method.sample(1).values.any()
    head = method.trainer.head
    assert head is not None
    torch.nn.init.ones_(head.score.weight)
    assert method.sample(1).values.any()


def test_a_head_is_no_part_of_trls_own_loop() -> None:
    with pytest.raises(UsageError, match="value_layers = 0 can't be had with exact"):
        parse_run(["--value_layers", "0", "--exact", "true"])


def test_activations_computed_anew_give_the_same_gradients(model: Path, tmp_path: Path) -> None:
    found = {}
    for again in ("false", "true"):
        more = ["--gradient_checkpointing", again, "--optim", "sgd", "--learning_rate", "0.1"]
        train(_run(tmp_path / again, model, *more), lambda step: None)
        found[again] = load_file(tmp_path / again / "policy" / "model.safetensors")
    for name, tensor in found["false"].items():
        torch.testing.assert_close(tensor, found["true"][name], atol=1e-5, rtol=1e-3)
