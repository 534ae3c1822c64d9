"""What frozen layers make of a text is computed once, and nothing else changes by that."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from conftest import SMALL
from rlhf_testbed.evaluation.evaluate import evaluate
from rlhf_testbed.policy import trunk as trunks
from rlhf_testbed.policy.adapters import all_linear
from rlhf_testbed.policy.base_policy import ensure_base_policy
from rlhf_testbed.policy.language import Language, load_language
from rlhf_testbed.policy.merging import plain
from rlhf_testbed.policy.scoring import response_log_probabilities
from rlhf_testbed.policy.trunk import Memory, Trunk, common_layers, frozen_layers, grown
from rlhf_testbed.selection.job import starting_from, train
from rlhf_testbed.selection.method import Method
from rlhf_testbed.selection.ppo import PPO
from rlhf_testbed.settings.methods import method_class
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.progress import Step
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.tasks.base import Dials, Verdict
from rlhf_testbed.tasks.corridor import Corridor
from test_models import saved

DEEP = {"num_hidden_layers": 7, "initializer_range": 0.3}
LORA = ["--use_peft", "true", "--lora_r", "4", "--lora_layers", "2"]
TASK = Corridor()
PROMPTS = [scenario.prompt for scenario in TASK.scenarios(Dials(), 0, "train", 6)]
RESPONSES = TASK.responses[::9]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama of seven layers that knows corridor's words."""
    return saved(tmp_path_factory.mktemp("deep") / "model", "llama", **DEEP)


def _language(model: Path) -> Language:
    return load_language(str(model), attn_implementation="eager")


def _calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the texts that a trunk reads, from now on."""
    read, found = Trunk._read, [0]

    def counted(self: Trunk, text: Any, caches: bool) -> Any:
        known = self.memory.known.get(text.key)
        found[0] += known is None or (caches and not known.cached)
        return read(self, text, caches)

    monkeypatch.setattr(Trunk, "_read", counted)
    return found


def test_scores_are_the_same_and_a_text_is_read_once(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    language = _language(model)
    before = response_log_probabilities(language, PROMPTS, RESPONSES)
    assert grown(language.model, 5, Memory())
    calls = _calls(monkeypatch)
    once = response_log_probabilities(language, PROMPTS, RESPONSES)
    assert calls[0] >= len(PROMPTS)
    calls[0] = 0
    again = response_log_probabilities(language, PROMPTS, RESPONSES)
    assert calls[0] == 0
    assert once == pytest.approx(before, abs=1e-4)
    assert (again == once).all()


def test_models_with_the_same_first_layers_read_with_one_memory(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, other = _language(model), _language(model)
    with torch.no_grad():
        plain(other.model).model.layers[5].mlp.up_proj.weight.add_(0.1)
    alone = response_log_probabilities(other, PROMPTS, RESPONSES)
    assert common_layers(base.model, other.model) == 5
    trunks.share_trunk(base.model, other.model)
    mine = response_log_probabilities(base, PROMPTS, RESPONSES)
    calls = _calls(monkeypatch)
    its = response_log_probabilities(other, PROMPTS, RESPONSES)
    assert calls[0] == 0
    assert its == pytest.approx(alone, abs=1e-4)
    assert abs(its - mine).max() > 0.01


def test_other_words_or_other_layers_share_nothing(model: Path) -> None:
    base, other = _language(model), _language(model)
    with torch.no_grad():
        other.model.get_input_embeddings().weight[7].add_(0.1)
    assert common_layers(base.model, other.model) == 0
    other = _language(model)
    adapted = get_peft_model(
        other.model, LoraConfig(target_modules=all_linear(other.model, last=2))
    )
    assert frozen_layers(plain(adapted)) == 5
    assert common_layers(base.model, plain(adapted)) == 5
    assert frozen_layers(base.model) == 0
    with pytest.raises(UsageError, match=r"^lora_layers = 8: the base policy has 7 layers"):
        all_linear(base.model, last=8)


def test_a_model_that_can_not_be_read_in_two_parts_stays_whole(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    language = _language(model)
    layer = type(language.model.model.layers[0])
    forward = layer.forward
    seen: dict[int, torch.Tensor] = {}

    def of_another_make(self: Any, hidden: torch.Tensor, *given: Any, **named: Any) -> Any:
        """A last layer that looks at what the first was given, past all between."""
        if self is language.model.model.layers[0]:
            seen[0] = hidden
        found = forward(self, hidden, *given, **named)
        return found + seen[0].roll(1, 0) if self is language.model.model.layers[-1] else found

    monkeypatch.setattr(layer, "forward", of_another_make)
    before = response_log_probabilities(language, PROMPTS, RESPONSES)
    assert grown(language.model, 5, Memory()) is None
    assert (response_log_probabilities(language, PROMPTS, RESPONSES) == before).all()


def test_a_memory_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trunks, "MOST_BYTES", 100)
    memory = Memory()
    for at in range(5):
        memory.keep(bytes([at]), trunks.Read(torch.zeros(10), ()))
    assert list(memory.known) == [b"\x03", b"\x04"]
    assert memory.bytes == 80


def _words(folder: Path, model: Path, *more: str) -> list[str]:
    few = ["--total_episodes", "64", "--base_steps", "4", "--save_steps", "1"]
    told = ["--arm", "both", "--output_dir", str(folder), "--model", str(model)]
    return [*SMALL, *told, *few, *LORA, *more]


def _content(run: RunDirectory) -> dict[str, str]:
    """Hashes of ledger, checkpoints and policy, by file."""
    return {
        str(file.relative_to(run.path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for folder in (run.ledger, run.policy, run.path / "checkpoints")
        for file in sorted(folder.rglob("*.[ps]a*"))
    }


def _updates(method: Method[Any, Any]) -> Iterator[tuple[Any, dict[str, torch.Tensor]]]:
    """Completions and adapters of three updates, with made-up verdicts."""
    with method.under_way():
        for update in (1, 2, 3):
            drawn = method.sample(update)
            verdicts = [Verdict(float(len(text) % 3), True, "") for text in drawn.texts]
            method.select(drawn, method.fitness(drawn, verdicts))
            live = method.live()
            assert live is not None
            named = live.model.named_parameters()
            yield drawn, {name: each.detach().clone() for name, each in named if "lora" in name}


@pytest.mark.parametrize("name", ["ppo", "grpo"])
def test_selection_is_what_it_was_without(
    name: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LoRA on the last two of seven layers, with a trunk and without: the same responses, and
    parameters that differ by rounding only."""
    more = ["--method", name, "--optim", "sgd", "--learning_rate", "0.5", "--base_lora_r", "0"]
    more += ["--value_layers", "0"] if name == "ppo" else []
    found = {}
    for least in (4, 99):
        monkeypatch.setattr(trunks, "LEAST", least)
        run = parse_run(_words(tmp_path / str(least), model, *more))
        method = method_class(name)(starting_from(run, ensure_base_policy(run)))
        found[least] = list(_updates(method))
    for (drawn, adapters), (other, others) in zip(found[4], found[99], strict=True):
        assert drawn.texts == other.texts
        for each, tensor in adapters.items():
            torch.testing.assert_close(tensor, others[each], atol=1e-5, rtol=1e-4)
        changed = [each for each, tensor in adapters.items() if "lora_B" in each and tensor.any()]
        assert changed
        assert all(".layers.5." in each or ".layers.6." in each for each in changed)


def _paused(row: list[int], pad: int) -> bool:
    """Whether padding was sampled within a response, where a pass of an update reads otherwise."""
    return pad in row and row[row.index(pad) :] != [pad] * (len(row) - row.index(pad))


def test_prompts_are_read_once_and_responses_not_again(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In all updates the trunk reads each training prompt once; what sampling has read token by
    token no pass of an update reads again."""
    run = parse_run(_words(tmp_path / "run", model, "--value_layers", "0", "--base_lora_r", "0"))
    method = PPO(starting_from(run, ensure_base_policy(run)))
    calls = _calls(monkeypatch)
    drawn = [one for one, _ in _updates(method)]
    asked = {scenario.id for one in drawn for scenario in one.scenarios}
    pad = method.trainer.processing_class.pad_token_id
    paused = sum(_paused(row, pad) for one in drawn for row in one.responses[:, :-1].tolist())
    assert calls[0] == len(asked) + paused
    assert paused < 8


def test_a_run_with_a_trunk_goes_on_byte_for_byte_and_is_measured(
    model: Path, tmp_path: Path
) -> None:
    class Killed(Exception):
        pass

    def watcher(step: Step) -> None:
        if step.done == 2 and "approved" in step.note:
            raise Killed

    whole = train(parse_run(_words(tmp_path / "whole", model)), lambda step: None)
    words = _words(tmp_path / "run", model)
    with suppress(Killed):
        train(parse_run(words), watcher)
    run = train(parse_run(words), lambda step: None, resume=True)
    assert _content(run) == _content(whole)
    measures = evaluate(run)
    assert 0 <= measures.figure("threat_2") < 20
