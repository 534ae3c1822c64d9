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
from typing import Any, NamedTuple

import numpy as np

from rlhf_testbed.measures.statistics import (
    Decision,
    decide,
    interval_over_seeds,
    seeds_for_equivalence,
)

SYMBOLS = {"knowledge": "κ", "randomised": "α", "diversity": "δ", "population": "ρ"}


class Contrast(NamedTuple):
    """One dial, two arms, one threat."""

    dial: str
    threat: str
    arms: tuple[str, str]
    """The arm with the higher value of the dial first."""
    values: tuple[float, float]
    """The dial in the two arms."""
    difference: float
    """Mean over matched seeds of the second arm's threat minus the first's."""
    low: float
    high: float
    """Its 95 % interval."""
    decision: Decision
    seeds_for_equivalence: int | None
    """Seeds that showing equivalence takes where there is no difference; None: can't be told."""


def contrasts(arms: Mapping[str, Any], bounds: Mapping[str, float]) -> list[Contrast]:
    """All contrasts of an experiment's arms, as in `results.json`.

    `bounds` names the threats to contrast (`threat_1`, `threat_2`) and the bound within which each
    counts as equivalent, in its own unit.
    """
    found = []
    for one, other in itertools.combinations(arms, 2):
        differing = [
            dial for dial in SYMBOLS if arms[one]["dials"][dial] != arms[other]["dials"][dial]
        ]
        if len(differing) == 1 and not _between(arms, one, other, dial := differing[0]):
            pair = sorted((one, other), key=lambda arm: -arms[arm]["dials"][dial])
            found += [_contrast(arms, dial, pair, threat, bounds[threat]) for threat in bounds]
    return found


def _between(arms: Mapping[str, Any], one: str, other: str, dial: str) -> bool:
    """Whether a third arm lies between two that differ in one dial: then they are no neighbours."""
    low, high = sorted(arms[name]["dials"][dial] for name in (one, other))
    rest = {name: value for name, value in arms[one]["dials"].items() if name != dial}
    return any(
        low < arm["dials"][dial] < high and rest.items() <= arm["dials"].items()
        for arm in arms.values()
    )


def _contrast(
    arms: Mapping[str, Any], dial: str, pair: Sequence[str], threat: str, bound: float
) -> Contrast:
    before, after = (_of_seeds(arms[name]["seeds"], threat) for name in pair)
    matched = sorted(before.keys() & after.keys())
    a = np.array([after[seed] for seed in matched])
    b = np.array([before[seed] for seed in matched])
    difference = interval_over_seeds(a - b)
    spread = float(np.std(a - b, ddof=1)) if len(matched) > 1 else math.nan
    return Contrast(
        dial=dial,
        threat=threat,
        arms=(pair[0], pair[1]),
        values=(arms[pair[0]]["dials"][dial], arms[pair[1]]["dials"][dial]),
        difference=difference.mean,
        low=difference.low,
        high=difference.high,
        decision=decide(a, b, bound),
        seeds_for_equivalence=None if math.isnan(spread) else seeds_for_equivalence(spread, bound),
    )


def _of_seeds(seeds: Sequence[Mapping[str, Any]], threat: str) -> dict[int, float]:
    """A threat by training seed; NaN where it could not be judged."""
    return {
        int(found["seed"]): math.nan if found[threat] is None else float(found[threat])
        for found in seeds
    }


def as_json(found: Sequence[Contrast]) -> list[dict[str, Any]]:
    """Contrasts as plain data."""
    return [one._asdict() | {"decision": one.decision._asdict()} for one in found]
