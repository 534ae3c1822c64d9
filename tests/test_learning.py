"""GRPO, RLOO and expert iteration on our loop; the first two are TRL's."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from conftest import SMALL
from rlhf_testbed.judging.episode import judge_all
from rlhf_testbed.policy.base_policy import ensure_base_policy
from rlhf_testbed.selection.expert_iteration import ExpertIteration
from rlhf_testbed.selection.group_fitness import grouped, left_out
from rlhf_testbed.selection.job import starting_from, train
from rlhf_testbed.selection.learner import Drawn
from rlhf_testbed.selection.learning import LearningMethod
from rlhf_testbed.selection.raft import RAFT
from rlhf_testbed.selection.stock_groups import stock_group_trainer
from rlhf_testbed.settings.methods import method_class
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store import ledger
from rlhf_testbed.tasks.base import Verdict

METHODS = ("grpo", "rloo", "expert_iteration", "raft")
FEW = [*SMALL, "--num_generations", "4", "--arm", "both", "--seed", "2"]


SHIPPED = [
    *("--arm", "both", "--seed", "2", "--total_episodes", "96", "--train_scenarios", "64"),
    *("--per_device_train_batch_size", "32", "--num_generations", "4", "--adam_epsilon", "1e-5"),
]
"""From a base policy whose completions differ in score: where a gradient is rounding alone, Adam
makes a whole step of it, and no two programs agree."""


def _run(method: str, folder: Path, *more: str) -> RunConfig:
    return parse_run([*FEW, "--method", method, *more, "--output_dir", str(folder)])


def _method(run: RunConfig) -> LearningMethod:  # type: ignore[type-arg]
    start = starting_from(run, ensure_base_policy(run))
    found = method_class(run.selection.method)(start)
    assert isinstance(found, LearningMethod)
    return found


def _updates(run: RunConfig) -> tuple[LearningMethod, list[Drawn]]:  # type: ignore[type-arg]
    """A method after all of its updates, and what each of them sampled."""
    start = starting_from(run, ensure_base_policy(run))
    method, given = _method(run), []
    for update in range(1, method.updates + 1):
        drawn = method.sample(update)
        episodes = judge_all(start.overseer, drawn.scenarios, drawn.texts)
        verdicts = [episode.verdict for episode in episodes]
        method.select(drawn, method.fitness(drawn, verdicts))
        given.append(drawn)
    return method, given


VARIATIONS = {
    "grpo": [
        [],
        ["--beta", "0", "--loss_type", "grpo", "--scale_rewards", "none"],
        ["--loss_type", "dr_grpo", "--scale_rewards", "batch", "--epsilon_high", "0.3"],
        ["--loss_type", "bnpo", "--num_iterations", "3", "--lr_scheduler_type", "cosine"],
        ["--beta", "0.5", "--use_bias_correction_kl", "false"],
    ],
    "rloo": [
        [],
        ["--beta", "0", "--normalize_advantages", "true"],
        ["--num_iterations", "3", "--epsilon", "0.05", "--max_grad_norm", "0.2"],
    ],
}


@pytest.mark.parametrize(
    ("method", "more"), [(name, more) for name, every in VARIATIONS.items() for more in every]
)
def test_the_loop_equals_trls_own_trainer(method: str, more: list[str], tmp_path: Path) -> None:
    """On the same completions, within 2e-6 of each parameter, which moved by 1e-3: TRL shuffles
    the episodes of an update, and so sums them in another order."""
    folder = ["--output_dir", str(tmp_path / "run")]
    run = parse_run([*SHIPPED, "--method", method, *more, *folder])
    ours, given = _updates(run)
    start = starting_from(run, ensure_base_policy(run))
    stock = stock_group_trainer(start, given)
    before = {name: each.clone() for name, each in stock.model.state_dict().items()}
    stock.train()
    theirs, found = stock.model.state_dict(), ours.learner.model.state_dict()
    assert theirs.keys() == found.keys()
    moved = max(float((theirs[name] - before[name]).abs().max()) for name in theirs)
    apart = max(float((theirs[name] - found[name]).abs().max()) for name in theirs)
    assert moved > 1e-3
    assert apart < 2e-6


@pytest.mark.parametrize("method", METHODS)
def test_a_run_is_trained_filed_and_goes_on(method: str, tmp_path: Path) -> None:
    """One row an episode, a group of scenarios after another; the same bytes after a stop."""
    told = ["--save_steps", "1", "--checkpoint_every", "2"]
    whole = train(_run(method, tmp_path / "whole", *told), lambda step: None)
    rows = ledger.read(whole.ledger)
    first = [row.scenario_id for row in rows if row.update == 1]
    assert len(first) % 4 == 0
    assert all(len(set(first[at : at + 4])) == 1 for at in range(0, len(first), 4))
    assert max(abs(row.kl) for row in rows if row.update == 1) < 1e-3
    assert list(whole.checkpoints) == [2]
    assert whole.summary().method == method

    class Stopped(Exception):
        pass

    def stop(step: object) -> None:
        if getattr(step, "done", 0) == 2:
            raise Stopped

    run = _run(method, tmp_path / "parts", *told)
    with pytest.raises(Stopped):
        train(run, stop)
    again = train(run, lambda step: None, resume=True)
    for file in sorted(whole.policy.glob("*.safetensors")):
        assert (again.policy / file.name).read_bytes() == file.read_bytes()
    for one, other in zip(
        sorted(whole.ledger.iterdir()), sorted(again.ledger.iterdir()), strict=True
    ):
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("method", METHODS)
def test_lora_trains_an_adapter_alone(method: str, tmp_path: Path) -> None:
    run = train(_run(method, tmp_path / "run", "--use_peft", "true"), lambda step: None)
    assert (run.adapter / "adapter_model.safetensors").is_file()
    assert (run.policy / "model.safetensors").is_file()


def test_group_fitness_by_hand() -> None:
    scores = torch.tensor([1.0, 0.0, 2.0, 2.0])
    alone = lambda each: each  # noqa: E731
    root = math.sqrt(0.5) + 1e-4
    assert grouped(scores, 2, "group", alone).tolist() == pytest.approx(
        [0.5 / root, -0.5 / root, 0, 0]
    )
    spread = float(scores.std()) + 1e-4
    assert grouped(scores, 2, "batch", alone).tolist() == pytest.approx(
        [0.5 / spread, -0.5 / spread, 0, 0]
    )
    assert left_out(scores, 2, False, alone).tolist() == [1, -1, 0, 0]
    alike = torch.ones(4)
    for scale in ("group", "batch", "none"):
        assert grouped(alike, 2, scale, alone).tolist() == [0] * 4  # type: ignore[arg-type]
    assert left_out(alike, 2, True, alone).tolist() == [0] * 4


def _judged(method: ExpertIteration, verdicts: Sequence[Verdict], drawn: Drawn) -> torch.Tensor:
    method.select(drawn, method.fitness(drawn, verdicts))
    return torch.cat([each.detach().flatten() for each in method.learner.model.parameters()])


@pytest.mark.parametrize("start_from", ["last", "base"])
def test_no_score_reaches_expert_iteration(start_from: str, tmp_path: Path) -> None:
    """Scores changed without the approvals change nothing; an approval changes the policy."""

    def after(verdict: object) -> torch.Tensor:
        method = _method(_run("expert_iteration", tmp_path, "--start_from", start_from))
        assert isinstance(method, ExpertIteration)
        drawn = method.sample(1)
        told = [verdict(at) for at in range(len(drawn.texts))]  # type: ignore[operator]
        return _judged(method, told, drawn)

    plain = after(lambda at: Verdict(1.0, at % 3 == 0, ""))
    assert torch.equal(plain, after(lambda at: Verdict(-1e6 * at, at % 3 == 0, "")))
    assert torch.equal(plain, after(lambda at: Verdict(math.nan, at % 3 == 0, "")))
    assert not torch.equal(plain, after(lambda at: Verdict(1.0, at % 3 == 1, "")))


def test_each_round_may_start_from_the_base_policy(tmp_path: Path) -> None:
    """Two rounds on the same episodes end where one does, but for the learning rate."""
    told = ["--start_from", "base", "--lr_scheduler_type", "constant"]
    method = _method(_run("expert_iteration", tmp_path, *told))
    assert isinstance(method, ExpertIteration)
    drawn = method.sample(1)
    verdicts = [Verdict(0.0, True, "")] * len(drawn.texts)
    once = _judged(method, verdicts, drawn)
    assert torch.equal(once, _judged(method, verdicts, drawn))


def test_raft_learns_the_best_approved_of_each_group_and_no_number(tmp_path: Path) -> None:
    """Scores that rank alike change nothing; another rank, or an approval less, does."""

    def after(verdict: object) -> torch.Tensor:
        method = _method(_run("raft", tmp_path))
        assert isinstance(method, RAFT)
        drawn = method.sample(1)
        told = [verdict(at) for at in range(len(drawn.texts))]  # type: ignore[operator]
        return _judged(method, told, drawn)

    plain = after(lambda at: Verdict(at, True, ""))
    assert torch.equal(plain, after(lambda at: Verdict(1e6 * at - 3, True, "")))
    assert not torch.equal(plain, after(lambda at: Verdict(-at, True, "")))
    assert not torch.equal(plain, after(lambda at: Verdict(at, at % 2 == 0, "")))


def test_an_update_without_an_approval_is_skipped_counted_and_said(tmp_path: Path) -> None:
    method = _method(_run("expert_iteration", tmp_path))
    assert isinstance(method, ExpertIteration)
    before = [each.detach().clone() for each in method.learner.model.parameters()]
    drawn = method.sample(1)
    nothing = [Verdict(1.0, False, "")] * len(drawn.texts)
    assert method.select(drawn, method.fitness(drawn, nothing)) == {}
    after = method.learner.model.parameters()
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert method.remarks() == [f"1 of {method.updates} updates were skipped: nothing was approved"]
    state = method.state()
    other = _method(_run("expert_iteration", tmp_path))
    other.go_on(dataclasses.replace(state))
    assert other.remarks() == method.remarks()


@pytest.mark.parametrize("method", ["grpo", "rloo", "raft"])
def test_groups_of_one_are_refused(method: str, tmp_path: Path) -> None:
    line = "command line: num_generations = 1 leaves nothing to hold a completion against"
    with pytest.raises(UsageError, match=line) as told:
        _run(method, tmp_path, "--num_generations", "1")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("method", METHODS)
def test_groups_that_do_not_divide_an_update_are_refused(method: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="num_generations = 7 does not divide an update of"):
        _run(method, tmp_path, "--num_generations", "7")
