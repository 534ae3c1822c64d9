"""The trainer: our loop with PPO is TRL's own `train()`, to the last bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from conftest import SMALL
from rlhf_testbed.policy.base_policy import ensure_base_policy
from rlhf_testbed.selection.job import starting_from
from rlhf_testbed.selection.loop import select_all
from rlhf_testbed.selection.ppo import PPO
from rlhf_testbed.selection.stock import stock_trainer
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.store import ledger
from rlhf_testbed.store.run_directory import RunDirectory


def _trained_weights(arguments: list[str], folder: Path, *, stock: bool) -> dict[str, torch.Tensor]:
    run = parse_run([*SMALL, "--output_dir", str(folder), "--exact", "true", *arguments])
    start = starting_from(run, ensure_base_policy(run))
    if stock:
        trainer = stock_trainer(start)
        trainer.train()
    else:
        method = PPO(start)
        select_all(method, start.overseer, RunDirectory(folder), lambda step: None)
        trainer = method.trainer
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}


@pytest.mark.parametrize(
    "variation",
    [
        [],
        ["--num_mini_batches", "2", "--gradient_accumulation_steps", "2"],
        ["--whiten_rewards", "true", "--kl_estimator", "k3", "--missing_eos_penalty", "1.0"],
        ["--local_rollout_forward_batch_size", "8", "--lr_scheduler_type", "cosine"],
        ["--use_peft", "true"],
    ],
    ids=["default", "minibatches", "whitened", "rollout slices", "lora"],
)
def test_the_loop_equals_the_stock_train(variation: list[str], tmp_path: Path) -> None:
    arguments = ["--arm", "both", "--seed", "2", "--exact", "true", *variation]
    stock = _trained_weights(arguments, tmp_path / "stock", stock=True)
    ours = _trained_weights(arguments, tmp_path / "ours", stock=False)
    assert stock.keys() == ours.keys()
    assert len(stock) > 10
    for name, tensor in stock.items():
        assert torch.equal(tensor, ours[name]), name


def test_another_seed_gives_other_parameters(tmp_path: Path) -> None:
    """The comparison above can fail."""
    one = _trained_weights(["--seed", "2"], tmp_path / "one", stock=False)
    other = _trained_weights(["--seed", "3"], tmp_path / "other", stock=False)
    assert any(not torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_the_scenario_travels_with_its_completion(tmp_path: Path) -> None:
    """Each completion's tokens begin with its own scenario's prompt, and spell its own text."""
    run = parse_run([*SMALL, "--output_dir", str(tmp_path), "--arm", "neither", "--seed", "2"])
    start = starting_from(run, ensure_base_policy(run))
    method = PPO(start)
    rollout = method.sample(1)
    language = method.trainer.language
    assert len(rollout.scenarios) == len(rollout.texts) == 16
    assert len({scenario.id for scenario in rollout.scenarios}) == 16
    for at, (scenario, text) in enumerate(zip(rollout.scenarios, rollout.texts, strict=True)):
        prompt = [i for i in rollout.prompts[at].tolist() if i != language.tokenizer.pad_token_id]
        assert prompt == language.prompt_ids(scenario.prompt)
        kept = rollout.responses[at][rollout.response_mask[at]].tolist()
        assert language.text(kept) == text


def test_a_checkpoint_that_is_loaded_again_is_the_policy(tmp_path: Path) -> None:
    from rlhf_testbed.policy.language import load_language

    run = parse_run([*SMALL, "--output_dir", str(tmp_path), "--arm", "both"])
    start = starting_from(run, ensure_base_policy(run))
    method = PPO(start)
    select_all(method, start.overseer, RunDirectory(tmp_path), lambda step: None)
    assert list(RunDirectory(tmp_path).checkpoints) == [2]
    method.keep(tmp_path / "now")
    there = load_language(str(tmp_path / "now")).model.state_dict()
    for name, tensor in method.trainer.policy_model.state_dict().items():
        assert torch.equal(tensor, there[name]), name
    assert len(ledger.read(tmp_path / "ledger")) == 48
