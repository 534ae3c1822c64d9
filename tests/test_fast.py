"""The trainer that leaves out what nothing reads: the same updates as TRL's up to rounding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from conftest import SMALL
from rlhf_testbed.judging.episode import judge_all
from rlhf_testbed.policy.base_policy import ensure_base_policy
from rlhf_testbed.selection import narrow
from rlhf_testbed.selection.job import starting_from
from rlhf_testbed.selection.method import Start
from rlhf_testbed.selection.narrow import Narrow, samples_alike
from rlhf_testbed.selection.ppo import PPO
from rlhf_testbed.selection.ppo_fast import FastTrainer
from rlhf_testbed.selection.ppo_tensors import Estimate, Rollout
from rlhf_testbed.settings.parsing import parse_run
from test_models import saved

ROUNDING = {"rtol": 1e-4, "atol": 2e-5}
UNBOUNDED = ["--max_grad_norm", "0", "--target_kl", "0"]
"""As TRL's loop is."""
VARIATIONS = {
    "default": [],
    "minibatches": ["--num_mini_batches", "2", "--gradient_accumulation_steps", "2"],
    "whitened": ["--whiten_rewards", "true", "--kl_estimator", "k3", "--temperature", "0.7"],
    "lora": ["--use_peft", "true"],
    "sdpa": ["--attn_implementation", "sdpa", "--value_layers", "3"],
}


def _start(folder: Path, *arguments: str) -> Start:
    told = ["--arm", "both", "--seed", "2", *arguments, "--output_dir", str(folder)]
    run = parse_run([*SMALL, *told])
    return starting_from(run, ensure_base_policy(run))


def _updated(method: PPO, start: Start, updates: int = 1) -> tuple[Rollout, Estimate]:
    with method.under_way():
        for update in range(1, updates + 1):
            rollout = method.sample(update)
            episodes = judge_all(start.overseer, rollout.scenarios, rollout.texts)
            estimate = method.fitness(rollout, [episode.verdict for episode in episodes])
            method.select(rollout, estimate)
    return rollout, estimate


@pytest.mark.parametrize("variation", VARIATIONS.values(), ids=VARIATIONS)
def test_an_update_is_trls_up_to_rounding(variation: list[str], tmp_path: Path) -> None:
    both = []
    for exact in ("true", "false"):
        start = _start(tmp_path / exact, *variation, *UNBOUNDED, "--exact", exact)
        method = PPO(start)
        both.append((method, *_updated(method, start)))
    (exactly, rollout, estimate), (quickly, quick_rollout, quick_estimate) = both
    assert not isinstance(exactly.trainer, FastTrainer)
    assert isinstance(quickly.trainer, FastTrainer)
    assert quickly.trainer.samples_itself
    for name in ("prompts", "sequences", "responses", "last", "ended"):
        assert torch.equal(getattr(rollout, name), getattr(quick_rollout, name)), name
    for name in ("old_log_probs", "ref_log_probs", "values"):
        here, there = getattr(rollout, name), getattr(quick_rollout, name)
        torch.testing.assert_close(here, there, **ROUNDING)
    torch.testing.assert_close(estimate.advantages, quick_estimate.advantages, rtol=1e-3, atol=1e-3)
    there = quickly.trainer.model.state_dict()
    changed = 0
    for name, tensor in exactly.trainer.model.state_dict().items():
        torch.testing.assert_close(tensor, there[name], rtol=1e-3, atol=2e-4)
        changed += not torch.equal(tensor, there[name])
    assert changed, "the comparison is of one trainer with itself"


def test_a_response_that_was_read_is_remembered_and_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = _start(tmp_path)
    trainer = PPO(start).trainer
    assert isinstance(trainer, FastTrainer)
    rollout = trainer.roll_out()
    told = (rollout.sequences, rollout.responses, torch.arange(len(rollout.sequences)))
    first = trainer._reference(*told)
    monkeypatch.setattr(trainer, "_reference_anew", None)
    assert torch.equal(trainer._reference(*told), first)
    with pytest.raises(TypeError):
        trainer._reference(told[0], told[1], told[2] + 100)


def test_the_memory_of_the_reference_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rlhf_testbed.selection.reference.REMEMBERED", 20)
    trainer = PPO(_start(tmp_path)).trainer
    assert isinstance(trainer, FastTrainer)
    for _ in range(3):
        trainer.roll_out()
        assert 0 < len(trainer.memory.known) <= 20


def _read_whole_and_cut(model: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of the last two tokens: as the model came, and then cut short to two."""
    ids = torch.tensor([[3, 4, 5, 6, 7, 8], [4, 4, 6, 3, 9, 5]])
    with torch.no_grad():
        before = model(input_ids=ids).logits
        cut = Narrow([model])
        with cut.to(2):
            after = model(input_ids=ids).logits
        torch.testing.assert_close(model(input_ids=ids).logits, before, **ROUNDING)
    return before[:, -2:], after


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt2", "opt", "gemma2", "olmo2", "bloom"])
def test_models_of_any_make_are_read_as_before(kind: str, tmp_path: Path) -> None:
    """Cut short where that gives what it gave before, and left alone where it does not."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(saved(tmp_path, kind)).eval()
    before, after = _read_whole_and_cut(model)
    assert after.shape == before.shape
    torch.testing.assert_close(after, before, **ROUNDING)
    assert samples_alike(model)


def test_a_layer_that_can_not_be_cut_short_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same parts, put together in another way."""
    from transformers import AutoModelForCausalLM
    from transformers.models.llama.modeling_llama import LlamaDecoderLayer

    plain = LlamaDecoderLayer.forward

    def mixed(self: LlamaDecoderLayer, *given: object, **named: object) -> torch.Tensor:
        return plain(self, *given, **named) + torch.as_tensor(given[0]).flip(-1)

    monkeypatch.setattr(LlamaDecoderLayer, "forward", mixed)
    model = AutoModelForCausalLM.from_pretrained(saved(tmp_path, "llama")).eval()
    before, after = _read_whole_and_cut(model)
    torch.testing.assert_close(after, before, **ROUNDING)


def test_a_model_that_samples_in_another_way_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(saved(tmp_path, "llama")).eval()
    assert samples_alike(model)
    monkeypatch.setattr(narrow, "sampled", lambda *_, **__: 1 / 0)
    assert not samples_alike(model)


def test_the_trial_of_sampling_goes_past_an_end(tmp_path: Path) -> None:
    """A model that ends at once, and that can't read a token behind what it has kept."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(saved(tmp_path, "llama")).eval()
    end = model.generation_config.eos_token_id

    def ends(module: object, given: object, logits: torch.Tensor) -> torch.Tensor:
        return logits.index_fill(-1, torch.tensor([end]), 100.0)

    model.lm_head.register_forward_hook(ends)
    assert samples_alike(model)
    generate = model.generate

    def generated(**asked: object) -> object:
        """Transformers' own way, which reads the whole text again for each token."""
        return generate(**{**asked, "use_cache": False})

    model.generate = generated

    def without(module: object, given: object, named: dict[str, object]) -> tuple[object, object]:
        return given, {**named, "use_cache": False}

    model.register_forward_pre_hook(without, with_kwargs=True)
    assert not samples_alike(model)
