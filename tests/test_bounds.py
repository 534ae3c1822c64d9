"""Bounds on a step of PPO: gradient clipping, and no further step beyond a KL."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from conftest import SMALL
from rlhf_testbed.judging.episode import judge_all
from rlhf_testbed.policy.base_policy import ensure_base_policy
from rlhf_testbed.selection.job import starting_from
from rlhf_testbed.selection.ppo import PPO
from rlhf_testbed.selection.ppo_bounds import NO_BOUNDS, Bounds, divergence, drop_gradients
from rlhf_testbed.selection.ppo_settings import MAX_GRAD_NORM, TARGET_KL, PPOSettings
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.errors import UsageError

OFF = ["--max_grad_norm", "0", "--target_kl", "0"]
KEPT = torch.ones(1, 2, dtype=torch.bool)


def _run(folder: Path, *words: str) -> RunConfig:
    told = ["--arm", "both", "--seed", "2", *words, "--output_dir", str(folder)]
    return parse_run([*SMALL, *told])


def _update(method: PPO) -> tuple[int, list[float]]:
    """One update: its optimiser steps, and the norm of each step's gradient."""
    trainer, norms = method.trainer, []
    step = trainer.optimizer.step

    def counted() -> None:
        if trainer.accelerator.sync_gradients:
            parts = [each.grad for each in trainer.model.parameters() if each.grad is not None]
            norms.append(float(torch.stack([part.norm() for part in parts]).norm()))
        step()

    trainer.optimizer.step = counted
    with method.under_way():
        rollout = method.sample(1)
        episodes = judge_all(method.overseer, rollout.scenarios, rollout.texts)  # type: ignore[attr-defined]
        method.select(rollout, method.fitness(rollout, [one.verdict for one in episodes]))
    return len(norms), norms


def _method(folder: Path, *words: str) -> PPO:
    run = _run(folder, *words)
    start = starting_from(run, ensure_base_policy(run))
    method = PPO(start)
    method.overseer = start.overseer  # type: ignore[attr-defined]
    return method


def test_gradients_are_scaled_down_to_the_bound_and_no_further(tmp_path: Path) -> None:
    steps, free = _update(_method(tmp_path / "free", *OFF))
    assert steps == 2
    bound = min(free) / 2
    clipped = _update(_method(tmp_path / "cut", *OFF[2:], "--max_grad_norm", f"{bound:g}"))[1]
    assert clipped == pytest.approx([bound, bound], rel=1e-3)
    wide = _update(_method(tmp_path / "wide", *OFF[2:], "--max_grad_norm", f"{2 * max(free):g}"))[1]
    assert wide == free


@pytest.mark.parametrize("more", [[], ["--gradient_accumulation_steps", "2"]])
def test_an_update_ends_once_the_policy_is_too_far(more: list[str], tmp_path: Path) -> None:
    told = ["--num_ppo_epochs", "4", "--max_grad_norm", "0", *more]
    every = _update(_method(tmp_path / "far", *told, "--target_kl", "0"))[0]
    few = _method(tmp_path / "near", *told, "--target_kl", "1e-6")
    assert every == 4
    assert _update(few)[0] == 1
    assert few.trainer.accelerator.step % few.trainer.args.gradient_accumulation_steps == 0
    assert all(each.grad is None for each in few.trainer.model.parameters())


@pytest.mark.parametrize("epochs", ["1", "2"])
def test_a_step_that_goes_too_far_is_shortened(epochs: str, tmp_path: Path) -> None:
    """To about the bound, whether another step would have followed or not."""
    told = ["--num_ppo_epochs", epochs, "--learning_rate", "0.01", "--max_grad_norm", "0"]

    def moved(bound: float) -> float:
        method = _method(tmp_path / f"{bound}", *told, "--target_kl", f"{bound:g}")
        trainer = method.trainer
        with method.under_way():
            rollout = method.sample(1)
            episodes = judge_all(method.overseer, rollout.scenarios, rollout.texts)  # type: ignore[attr-defined]
            method.select(rollout, method.fitness(rollout, [one.verdict for one in episodes]))
        with torch.no_grad():
            tokens = rollout.responses.shape[1]
            logits = trainer._logits_and_values(rollout.sequences, tokens)[0]
            new = trainer._log_probs(logits, rollout.responses)
        difference = (new - rollout.old_log_probs).masked_fill(~rollout.response_mask, 0)
        return float(divergence(difference, rollout.response_mask))

    free, bound = moved(0), 0.01
    assert free > 5 * bound
    assert bound / 4 < moved(bound) < 2 * bound


def test_divergence_by_hand() -> None:
    """Twice as likely and half as likely: 2 - 1 - log 2 and 1/2 - 1 + log 2, of which the mean."""
    difference = torch.tensor([[math.log(2), -math.log(2)]])
    assert float(divergence(difference, KEPT)) == pytest.approx(0.25)
    first = torch.tensor([[True, False]])
    assert float(divergence(difference, first)) == pytest.approx(1 - math.log(2))


def test_no_bounds_bound_nothing() -> None:
    accelerator = Accelerator(cpu=True)
    far = torch.full((1, 2), 5.0)
    assert NO_BOUNDS.allowed(accelerator, far, KEPT) == 1
    share = Bounds(target_kl=100.0).allowed(accelerator, far, KEPT)
    assert share == pytest.approx(math.sqrt(100 / (math.exp(5) - 1 - 5)))  # 142 nats
    assert Bounds(target_kl=150.0).allowed(accelerator, far, KEPT) == 1
    model = torch.nn.Linear(1, 1)
    model(torch.ones(1)).sum().backward()
    before = [each.grad.clone() for each in model.parameters() if each.grad is not None]
    NO_BOUNDS.clip(accelerator, model)
    assert [each.grad for each in model.parameters()] == before
    drop_gradients(accelerator, model)
    assert [each.grad for each in model.parameters()] == [None, None]


@pytest.mark.parametrize("name", ["max_grad_norm", "target_kl"])
def test_exact_training_has_no_bounds(name: str, tmp_path: Path) -> None:
    line = f"command line: {name} = 0.5 can't be had with exact: TRL's own loop has no such bound"
    with pytest.raises(UsageError, match=line) as told:
        _run(tmp_path, "--exact", "true", f"--{name}", "0.5")
    assert "\n" not in str(told.value)
    exact = _method(tmp_path, "--exact", "true")
    assert exact.trainer.bounds == NO_BOUNDS


def test_a_run_tells_the_bounds_that_it_had(tmp_path: Path) -> None:
    """So that another default changes no run."""
    by_default = _run(tmp_path).flat()
    assert (by_default["max_grad_norm"], by_default["target_kl"]) == (MAX_GRAD_NORM, TARGET_KL)
    exact = _run(tmp_path, "--exact", "true").flat()
    assert (exact["max_grad_norm"], exact["target_kl"]) == (0.0, 0.0)
    assert PPOSettings(max_grad_norm=2.0).max_grad_norm == 2.0
