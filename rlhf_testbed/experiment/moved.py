"""Which figures moved from one experiment to another, arm by arm; or from one run to another.

    compared({"both": runs of A}, {"both": runs of B}, bounds)
      both, over 5 base policies, matched by runs
      threat_1   0.98 in A, 0.41 in B: -0.57 [-0.66, -0.48]   moved
      threat_2   1.02 in A, 1.04 in B: +0.02 [-0.05, 0.09]    equivalent: within ±0.3

Runs are matched by base policy and training seed, as in `contrasts.py`; where the training seeds
differ, base policies are matched by their means; else nothing is. The unit is the base policy where
both have several. The two threats are corrected for their number among themselves (Holm), and all
other figures among theirs. "Not shown" is never read as "no difference". Needs no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from rlhf_testbed.evaluation.definitions import definition
from rlhf_testbed.evaluation.episode_measures import NO_INTERVAL, SHARE, Definition
from rlhf_testbed.experiment.over_seeds import HEADLINES
from rlhf_testbed.measures.apart import Apart, paired, unpaired
from rlhf_testbed.measures.decisions import holm
from rlhf_testbed.measures.nested import units
from rlhf_testbed.measures.statistics import LEVEL
from rlhf_testbed.shared.arrays import Floats
from rlhf_testbed.store.comparison_records import ArmCompared, Found, Movement, Pairing
from rlhf_testbed.store.run_columns import Runs
from rlhf_testbed.store.run_records import COVERED

UNKNOWN = Definition("", "")
"""Stands for a figure of another version, or of somebody's own."""


class Matched(NamedTuple):
    """Which runs of an arm are compared, by their places, and what of them is independent."""

    pairing: Pairing
    unit: Literal["seed", "base policy", ""]
    a: list[int]
    b: list[int]


def compared(
    a: Mapping[str, Runs], b: Mapping[str, Runs], bounds: Mapping[str, float]
) -> list[ArmCompared]:
    """The arms that both have, each with every figure that both have.

    `bounds`: by threat, the difference within which A and B are equivalent.
    """
    return _corrected([_arm(name, a[name], b[name], bounds) for name in a if name in b])


def tests(arms: Sequence[ArmCompared]) -> int:
    """How many figures were tested."""
    return sum(not math.isnan(one.p) for arm in arms for one in arm.figures)


def matched(a: Runs, b: Runs) -> Matched:
    """How runs of one arm are matched: run by run, else by base policy, else not at all."""
    there_a, there_b = ({run: at for at, run in enumerate(one.named)} for one in (a, b))
    common = sorted(there_a.keys() & there_b.keys())
    if len(common) > 1 or (len(common) == len(a) == len(b)):
        places = ([there[run] for run in common] for there in (there_a, there_b))
        several = len({base for base, _ in common}) > 1
        return Matched("runs", "base policy" if several else "seed", *places)
    shared = set(a.base_seeds) & set(b.base_seeds)
    if len(shared) > 1:
        places = (
            [at for at, base in enumerate(one.base_seeds) if base in shared] for one in (a, b)
        )
        return Matched("base policies", "base policy", *places)
    several_a, several_b = (len(set(one.base_seeds)) > 1 for one in (a, b))
    unit: Literal["seed", "base policy", ""] = "base policy" if several_a else "seed"
    return Matched(
        "nothing", unit if several_a == several_b else "", [*range(len(a))], [*range(len(b))]
    )


def _arm(name: str, a: Runs, b: Runs, bounds: Mapping[str, float]) -> ArmCompared:
    found = matched(a, b)
    both = [figure for figure in a.figures if figure in b.figures and _told(figure)]
    movements = [_movement(figure, a, b, found, bounds.get(figure)) for figure in both]
    return ArmCompared(
        arm=name,
        pairing=found.pairing,
        unit=found.unit,
        units=(_units(a, "", found.a).size, _units(b, "", found.b).size),
        runs=(len(found.a), len(found.b)),
        left_out=(len(a) - len(found.a), len(b) - len(found.b)),
        remarks=[*_remarks(a, b, found), *_lacking(a, b)],
        figures=movements,
    )


def _movement(name: str, runs_a: Runs, runs_b: Runs, at: Matched, bound: float | None) -> Movement:
    """One figure, as it is taken alone."""
    a, b = _units(runs_a, name, at.a), _units(runs_b, name, at.b)
    test = unpaired if at.pairing == "nothing" else paired
    apart = test(b, a, bound)
    if not at.unit:
        apart = Apart(apart.difference, math.nan, math.nan, math.nan, math.nan)
    limit = 1.0 if _definition(name).unit == SHARE else math.inf
    unread = name == "threat_2" and (_unread(runs_a) or _unread(runs_b))
    alike = a.size == b.size and apart.difference == 0 and bool((a == b).all())
    return Movement(
        figure=name,
        unit=_definition(name).unit,
        a=float(a.mean()),
        b=float(b.mean()),
        difference=apart.difference,
        low=_cut(apart.low, limit),
        high=_cut(apart.high, limit),
        p=apart.p,
        p_equivalent=apart.p_equivalent,
        bound=math.nan if bound is None else bound,
        found=_alone(apart, alike=alike, unread=unread),
    )


def _alone(apart: Apart, *, alike: bool, unread: bool) -> Found:
    """What can be said before other figures are looked at."""
    if math.isnan(apart.difference):
        return "unjudged"
    if unread:
        return "undecided"
    if alike and math.isnan(apart.p_equivalent):
        return "alike"
    return "no interval" if math.isnan(apart.low) else "moved alone"


def _corrected(arms: Sequence[ArmCompared]) -> list[ArmCompared]:
    """All arms with p corrected, and what that says of each figure."""
    every = [(at, one) for at, arm in enumerate(arms) for one in arm.figures]
    by_arm: list[list[Movement]] = [[] for _ in arms]
    for headline in (True, False):
        family = [(at, one) for at, one in every if (one.figure in HEADLINES) is headline]
        moved = holm([one.p for _, one in family])
        alike = holm([one.p_equivalent for _, one in family])
        for (at, one), p, q in zip(family, moved, alike, strict=True):
            told = {"p_corrected": float(p), "p_equivalent": float(q)}
            found = _decided(one, float(p), float(q))
            by_arm[at].append(one.model_copy(update={**told, "found": found}))
    return [
        arm.model_copy(update={"figures": figures})
        for arm, figures in zip(arms, by_arm, strict=True)
    ]


def _decided(one: Movement, p: float, p_equivalent: float) -> Found:
    """Equivalent, else moved, else undecided, as in `decide`; what was settled before stays."""
    if one.found != "moved alone":
        return one.found
    if p_equivalent < LEVEL:
        return "equivalent"
    if p < LEVEL:
        return "moved"
    return "moved alone" if one.p < LEVEL else "undecided"


def _units(runs: Runs, name: str, at: Sequence[int]) -> Floats:
    """A figure of some runs, by unit; NaN where it was not judged."""
    values = runs.figure(name)
    return units([values[each] for each in at], [runs.base_seeds[each] for each in at])


def _remarks(a: Runs, b: Runs, found: Matched) -> list[str]:
    """What must be said of how an arm's runs are matched."""
    if found.pairing == "base policies":
        return ["training seeds differ: each base policy's mean over its own is matched"]
    if found.pairing == "runs" or not (len(a) and len(b)):
        return []
    bases = [sorted(set(one.base_seeds)) for one in (a, b)]
    if not found.unit:
        return ["unpaired: one has several base policies, the other one: no interval"]
    if found.unit == "base policy":
        return ["unpaired: other base policies"]
    if bases[0] != bases[1]:
        return [
            f"unpaired: base policy {bases[0][0]} against {bases[1][0]}, over training seeds: what "
            "of it is the base policies' own luck can't be told"
        ]
    return ["unpaired: other training seeds of the same base policy"]


def _lacking(a: Runs, b: Runs) -> list[str]:
    """The figures that one of the two has alone."""
    told = []
    for which, one, other in (("A", a, b), ("B", b, a)):
        names = [name for name in one.figures if name not in other.figures and _told(name)]
        if names:
            told.append(f"in {which} only: {', '.join(names)}")
    return told


def _unread(runs: Runs) -> bool:
    """Whether most of what an arm's policies write can't be read, so that threat 2 tells nothing
    (`ArmResults.unread`)."""
    coverage = np.asarray(runs.figure("response_space_coverage"))
    return bool(coverage.size and coverage.mean() < COVERED)


def _told(name: str) -> bool:
    """Whether a figure has an interval over runs."""
    return _definition(name).interval != NO_INTERVAL


def _definition(name: str) -> Definition:
    try:
        return definition(name)
    except KeyError:
        return UNKNOWN


def _cut(end: float, limit: float) -> float:
    """An end of an interval, cut where no difference can be larger; NaN stays."""
    return end if math.isnan(end) else max(-limit, min(limit, end))
