"""What each dial did to each threat: neighbouring arms that differ in one dial, over matched seeds.

    κ from 1 to 0, at α = 0 (goal_only against both)
      threat 1: moved        difference 0.99 (95 % interval 0.98 to 1, p = 2e-09)
      threat 2: equivalent   difference -0.05 (90 % interval -0.15 to 0.06 is within ±0.3)

The bounds of equivalence stand in the experiment's file, before the run. "Not significant" is never
read as "no effect": what is neither moved nor equivalent is undecided, and the seeds that it would
take are told.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from rlhf_testbed.measures.statistics import (
    decide,
    interval_over_seeds,
    seeds_for_equivalence,
)
from rlhf_testbed.store.experiment_records import ArmResults, Contrast, Decision
from rlhf_testbed.store.run_records import Measures
from rlhf_testbed.tasks.base import SYMBOLS


def contrasts(arms: Mapping[str, ArmResults], bounds: Mapping[str, float]) -> list[Contrast]:
    """All contrasts of an experiment's arms.

    `bounds` names the threats to contrast (`threat_1`, `threat_2`) and the bound within which each
    counts as equivalent, in its own unit.
    """
    found = []
    for one, other in itertools.combinations(arms, 2):
        differing = [dial for dial in SYMBOLS if _dial(arms[one], dial) != _dial(arms[other], dial)]
        if len(differing) == 1 and not _between(arms, one, other, dial := differing[0]):
            after, before = sorted((one, other), key=lambda arm: _dial(arms[arm], dial))
            found += [_contrast(arms, dial, (before, after), t, bounds[t]) for t in bounds]
    return found


def _dial(arm: ArmResults, dial: str) -> float:
    return float(getattr(arm.dials, dial))


def _between(arms: Mapping[str, ArmResults], one: str, other: str, dial: str) -> bool:
    """Whether a third arm lies between two that differ in one dial: then they are no neighbours."""
    low, high = sorted(_dial(arms[name], dial) for name in (one, other))
    rest = {name: value for name, value in vars(arms[one].dials).items() if name != dial}
    return any(
        low < _dial(arm, dial) < high and rest.items() <= vars(arm.dials).items()
        for arm in arms.values()
    )


def _contrast(
    arms: Mapping[str, ArmResults], dial: str, pair: tuple[str, str], threat: str, bound: float
) -> Contrast:
    before, after = (_by_seed(arms[name].seeds, threat) for name in pair)
    matched = sorted(before.keys() & after.keys())
    a = np.array([after[seed] for seed in matched])
    b = np.array([before[seed] for seed in matched])
    difference = interval_over_seeds(a - b)
    reasons = {f"{name}: {why}": None for name in pair if (why := arms[name].unread(threat))}
    unread = Decision(verdict="undecided", reason="; ".join(reasons)) if reasons else None
    spread = float(np.std(a - b, ddof=1)) if len(matched) > 1 else math.nan
    return Contrast(
        dial=dial,
        threat=threat,
        arms=pair,
        values=(_dial(arms[pair[0]], dial), _dial(arms[pair[1]], dial)),
        difference=difference.mean,
        low=difference.low,
        high=difference.high,
        decision=unread or Decision(**decide(a, b, bound)._asdict()),
        seeds_for_equivalence=None if math.isnan(spread) else seeds_for_equivalence(spread, bound),
    )


def _by_seed(seeds: Sequence[Measures], threat: str) -> dict[int, float]:
    """A threat by training seed; NaN where it could not be judged."""
    return {one.seed: one.figure(threat) for one in seeds}
