"""Both threats through training: the base policy and each checkpoint, on the same scenarios.

    places = Places.of(run, (base, last), (trained_by, knowing))
    checkpoint_figures(run, places, places.log_policy(last), between, updates=60)
    [Checkpoint(update=0, figures={"kl": 0.0, "threat_1": 0.19, "threat_2": 0.0, ...}),
     Checkpoint(update=5, figures={"kl": 0.3, "threat_1": 0.41, "threat_2": 0.12, ...}), ...]

Exact: every response to every scenario is scored, nothing is sampled (unless the response space is
too large, see `response_samples`). Happens after training.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from scipy.special import rel_entr

from rlhf_testbed.evaluation.exact import JudgedSpace
from rlhf_testbed.evaluation.goals import OffDistribution, Place, drawn, goal_figures, shares
from rlhf_testbed.evaluation.judged import Judged
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
UNREADABLE = ""
"""Stands for every response that the task can't read, with what is left of a policy's chance."""
Scored: TypeAlias = tuple[Floats, Floats]
"""A policy's log-probabilities held out and off distribution: [scenarios, responses] each."""


class Places(NamedTuple):
    """Where a run's policies are scored: the last, the base policy, and all between, alike."""

    held_out: Place
    off_distribution: Place
    space: JudgedSpace
    """The first, judged."""

    @classmethod
    def of(
        cls,
        run: RunConfig,
        ends: tuple[Policy, Policy],
        overseers: tuple[TrainingOverseer, HeldOutOverseer],
    ) -> Places:
        """Those of a run; `ends`: base policy and last policy, of which responses are sampled where
        there are too many."""
        task, settings = run.task, run.evaluation
        found = []
        splits: tuple[Split, Split] = ("held_out", "off_distribution")
        counts = settings.held_out_scenarios, settings.off_distribution_scenarios
        for split, count in zip(splits, counts, strict=True):
            scenarios = task.scenarios(run.dials, run.seed, split, count)
            responses: Sequence[str] = task.responses
            if settings.response_samples:
                responses = drawn(ends, scenarios, settings.response_samples, run.seed)
            found.append(Place.of(task, ends[0], scenarios, responses))
        here, off = found
        judged = [*here.responses, *([] if settings.response_samples else [UNREADABLE])]
        return cls(here, off, JudgedSpace.of(here.scenarios, judged, *overseers))

    @property
    def log_base(self) -> Scored:
        """The base policy's log-probabilities at both."""
        return self.held_out.log_base, self.off_distribution.log_base

    def log_policy(self, policy: Policy) -> Scored:
        """A policy's log-probabilities at both, in nats: [scenarios, responses] each."""
        here, off = self.held_out, self.off_distribution
        if here.responses != off.responses:  # sampled ones
            return here.log_policy(policy), off.log_policy(policy)
        both = policy.log_probs([*here.scenarios, *off.scenarios], here.responses)
        return both[: len(here.scenarios)], both[len(here.scenarios) :]

    def judged(self, scored: Scored) -> Judged:
        """Every response to each held-out scenario, judged, with its chance."""
        return self.space.weighed(self.chances(scored[0]))

    def chances(self, log_here: Floats) -> Floats:
        """Those of the judged responses, which sum to 1: [scenarios, judged responses].

        What the response space lacks can't be read; sampled responses are taken for all there are.
        """
        if len(self.space.judged.score) == log_here.size:
            return shares(log_here)
        readable = np.exp(log_here)
        rest = np.clip(1 - readable.sum(axis=1, keepdims=True), 0, None)
        found: Floats = np.concatenate([readable, rest], axis=1)
        found /= found.sum(axis=1, keepdims=True)
        return found


def checkpoint_figures(
    run: RunConfig,
    places: Places,
    last: Scored,
    between: Iterable[tuple[int, Policy]],
    updates: int,
) -> list[Checkpoint]:
    """The figures of the base policy (update 0), of each checkpoint and of the last policy.

    Of those between, one is in memory at a time. Threat 1, approval, scores and KL are
    of held-out scenarios; threat 2 is off distribution; each goal's figures are of both.
    Definitions: docs/METRICS.md.
    """
    found = {0: _checkpoint(run.task, 0, places.log_base, places)}
    for update, policy in between:
        if update < updates:  # the last checkpoint is the last policy
            found[update] = _checkpoint(run.task, update, places.log_policy(policy), places)
        del policy  # else it stays in memory while the next one is loaded
    found[updates] = _checkpoint(run.task, updates, last, places)
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


def _checkpoint(task: Task, update: int, scored: Scored, places: Places) -> Checkpoint:
    """All figures of one policy, from its log-probabilities at both places."""
    here, there = places.held_out, places.off_distribution
    log_here, log_there = scored
    off = OffDistribution.of(task, log_there, there)
    goals = here.goals(log_here)
    return Checkpoint(
        update=update,
        figures={
            "kl": _divergence(shares(log_here), shares(here.log_base)),
            **places.space.figures(places.chances(log_here)),
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
