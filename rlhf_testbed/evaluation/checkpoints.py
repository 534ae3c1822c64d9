"""Both threats through training: the base policy and each checkpoint, on the same scenarios.

    checkpoint_figures(run, policies, trained_by, knowing)
    [Checkpoint(update=0, figures={"kl": 0.0, "threat_1": 0.19, "threat_2": 0.0, ...}),
     Checkpoint(update=5, figures={"kl": 0.3, "threat_1": 0.41, "threat_2": 0.12, ...}), ...]

Exact: every response to every scenario is scored, nothing is sampled (unless the response space is
too large, see `response_samples`). Happens after training.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import rel_entr

from rlhf_testbed.evaluation.exact import JudgedSpace
from rlhf_testbed.evaluation.goals import OffDistribution, Place, drawn, goal_figures, shares
from rlhf_testbed.measures.onset import Onset, onset
from rlhf_testbed.overseers.base import HeldOutOverseer, TrainingOverseer
from rlhf_testbed.policy.policy import Policy
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.arrays import Floats
from rlhf_testbed.store.run_records import Checkpoint, GoalInBoth
from rlhf_testbed.tasks.base import Split, Task

CURVES = ("threat_1", "threat_2", "concealment_gap", "goal_directedness")
"""The figures of checkpoints of which the onset is looked for."""
THREATS = ("threat_1", "threat_2")


class _Places(NamedTuple):
    """Where checkpoints are scored."""

    in_distribution: Place
    off_distribution: Place
    space: JudgedSpace
    """The first, judged."""

    def log_policy(self, policy: Policy) -> tuple[Floats, Floats]:
        """A policy's log-probabilities at both, in nats: [scenarios, responses] each."""
        here, off = self.in_distribution, self.off_distribution
        if here.responses != off.responses:  # sampled ones
            return here.log_policy(policy), off.log_policy(policy)
        both = policy.log_probs([*here.scenarios, *off.scenarios], here.responses)
        return both[: len(here.scenarios)], both[len(here.scenarios) :]


def checkpoint_figures(
    run: RunConfig,
    base: Policy,
    last: Policy,
    between: Iterable[tuple[int, Policy]],
    updates: int,
    overseers: tuple[TrainingOverseer, HeldOutOverseer],
) -> list[Checkpoint]:
    """The figures of the base policy (update 0), of each checkpoint and of the last policy.

    Of those between, one is in memory at a time. Threat 1, approval, scores and KL are
    of held-out scenarios; threat 2 is off distribution; each goal's figures are of both.
    Definitions: docs/METRICS.md.
    """
    places = _places(run, base, last, overseers)
    before = places.in_distribution.log_base, places.off_distribution.log_base
    found = {0: _checkpoint(run.task, 0, before, places)}
    for update, policy in between:
        if update < updates:  # the last checkpoint is the last policy
            found[update] = _checkpoint(run.task, update, places.log_policy(policy), places)
        del policy  # else it stays in memory while the next one is loaded
    found[updates] = _checkpoint(run.task, updates, places.log_policy(last), places)
    return [found[update] for update in sorted(found)]


def onsets(checkpoints: Sequence[Checkpoint], floors: Mapping[str, float]) -> dict[str, Onset]:
    """When each curve first reaches half of its final value: `measures.onset.onset` of each.

    `floors` holds, for each of `CURVES`, the final value below which nothing has set on.
    """
    updates = [checkpoint.update for checkpoint in checkpoints]
    return {
        curve: onset(updates, [one.figure(curve) for one in checkpoints], floors[curve])
        for curve in CURVES
    }


def floors(run: RunConfig) -> dict[str, float]:
    """The final value of each curve below which nothing has set on, from the run's settings."""
    share, nats = run.evaluation.onset_floor_threat_1, run.evaluation.onset_floor_threat_2
    return {
        "threat_1": share,
        "threat_2": nats,
        "concealment_gap": share,
        "goal_directedness": nats,
    }


def late(checkpoints: Sequence[Checkpoint], updates: int) -> dict[str, float]:
    """Mean and spread of both threats over the checkpoints of the last fifth of the updates.

    The spread is their standard deviation; NaN where there is one only, and where one is NaN.
    """
    last = [one for one in checkpoints if one.update > updates * 4 // 5]
    found = {}
    for threat in THREATS:
        values = [one.figure(threat) for one in last]
        found[f"{threat}_late_mean"] = float(np.mean(values))
        found[f"{threat}_late_spread"] = float(np.std(values, ddof=1)) if values[1:] else math.nan
    return found


def late_reasons(checkpoints: Sequence[Checkpoint], updates: int) -> dict[str, str]:
    """Why each NaN among the figures of `late` is one."""
    last = [one for one in checkpoints if one.update > updates * 4 // 5]
    where = f"{len(last)} in the last fifth of {updates} updates"
    return {
        name: f"one checkpoint only: {where}"
        if len(last) == 1 and name.endswith("spread")
        else f"{name.split('_late')[0]} can't be judged at every checkpoint: {where}"
        for name, value in late(checkpoints, updates).items()
        if math.isnan(value)
    }


def _places(
    run: RunConfig,
    base: Policy,
    last: Policy,
    overseers: tuple[TrainingOverseer, HeldOutOverseer],
) -> _Places:
    task, settings = run.task, run.evaluation
    found = []
    splits: tuple[Split, Split] = ("held_out", "off_distribution")
    for split in splits:
        scenarios = task.scenarios(run.dials, run.seed, split, settings.checkpoint_scenarios)
        responses: Sequence[str] = task.responses
        if settings.response_samples:
            responses = drawn([base, last], scenarios, settings.response_samples, run.seed)
        found.append(Place.of(task, base, scenarios, responses))
    here, off = found
    return _Places(here, off, JudgedSpace.of(here.scenarios, here.responses, *overseers))


def _checkpoint(
    task: Task, update: int, scored: tuple[Floats, Floats], places: _Places
) -> Checkpoint:
    """All figures of one policy, from its log-probabilities at both places."""
    here, there = places.in_distribution, places.off_distribution
    log_here, log_there = scored
    off = OffDistribution.of(task, log_there, there)
    goals = here.goals(log_here)
    chances = shares(log_here)
    return Checkpoint(
        update=update,
        figures={
            "kl": _divergence(chances, shares(here.log_base)),
            **places.space.figures(chances),
            **goal_figures(off),
        },
        goals={
            name: GoalInBoth(in_distribution=goals[name], off_distribution=off.goals[name])
            for name in goals
        },
    )


def _divergence(policy: Floats, base: Floats) -> float:
    """Mean over scenarios of KL(policy, base), in nats."""
    return float(rel_entr(policy, base).sum(axis=1).mean())
