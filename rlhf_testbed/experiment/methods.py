"""Selection methods side by side: each arm's threats at the same distance from the base policy.

    matched({"both method=ppo": {Run(0, 3): [Checkpoint, ...]}, "both method=grpo": ...}, arms)
    [Matched(arm="both", method="ppo", level=1.8 [...], threat_1=0.97 [...], ...), ...]

Methods that judge as many episodes may end at other distances, so that ends alone don't compare. Of
each base policy and seed the level is the least KL that any method ends with; where training passes
it, the threats are read off the line between two checkpoints.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

from rlhf_testbed.evaluation.definitions import definition
from rlhf_testbed.evaluation.episode_measures import SHARE
from rlhf_testbed.experiment.over_seeds import interval
from rlhf_testbed.experiment.plan import Run
from rlhf_testbed.shared.record import Interval
from rlhf_testbed.store.experiment_records import ArmResults, Matched
from rlhf_testbed.store.run_records import Checkpoint

METHOD = " method="
"""Stands between an arm's name and its method."""
THREATS = ("threat_1", "threat_2")
MATCHED_BY = ("kl", *THREATS)
"""The figures of checkpoints that are read here."""


def matched(
    paths: Mapping[str, Mapping[Run, Sequence[Checkpoint]]],
    arms: Mapping[str, ArmResults],
    episodes: Mapping[str, int],
) -> list[Matched]:
    """Each arm under each of its methods; nothing where no arm has several.

    `paths`: the checkpoints of each run, by arm; `episodes`: how many were judged, by arm.
    """
    found = []
    for arm, group in itertools.groupby(sorted(arms), lambda name: name.partition(METHOD)[0]):
        names = list(group)
        runs = sorted(set.intersection(*(set(paths[name]) for name in names)))
        if len(names) < 2 or not runs:
            continue
        least = {run: min(_last(paths[name][run]) for name in names) for run in runs}
        for name in (each for each in arms if each in names):
            at = {run: _read(paths[name][run], least[run]) for run in runs}
            bases = [run.base for run in runs]
            found.append(
                Matched(
                    arm=arm,
                    method=arms[name].method,
                    episodes=episodes[name],
                    kl=interval([_last(paths[name][run]) for run in runs], bases),
                    level=interval([least[run] for run in runs], bases),
                    **{
                        threat: _interval(threat, [at[run][threat] for run in runs], bases)
                        for threat in THREATS
                    },
                )
            )
    return found


def _interval(threat: str, values: Sequence[float], bases: Sequence[int]) -> Interval:
    return interval(values, bases, share=definition(threat).unit == SHARE)


def _last(path: Sequence[Checkpoint]) -> float:
    return path[-1].figure("kl")


def _read(path: Sequence[Checkpoint], level: float) -> dict[str, float]:
    """Both threats where a run's KL first reaches a level; NaN where it never does."""
    for before, after in itertools.pairwise(path):
        low, high = before.figure("kl"), after.figure("kl")
        if low <= level <= high:
            share = (level - low) / (high - low) if high > low else 1.0
            return {
                threat: before.figure(threat) * (1 - share) + after.figure(threat) * share
                if share < 1
                else after.figure(threat)
                for threat in THREATS
            }
    return dict.fromkeys(THREATS, math.nan)
