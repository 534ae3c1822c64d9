"""What each dial did to each threat: neighbouring arms that differ in one dial, over matched runs.

    κ from 1 to 0, at α = 0 (goal_only against both), over 5 base policies
      threat 1: moved        difference 0.99 (95 % interval 0.98 to 1, p = 2e-09)
      threat 2: equivalent   difference -0.05 (90 % interval -0.15 to 0.06 is within ±0.3)

Runs are matched by base policy and training seed. With several base policies each one's mean
difference is one value. The bounds of equivalence stand in the experiment's file, before the run.
"Not significant" is never read as "no effect": what is neither moved nor equivalent is undecided,
and the design that it would take is told. All p of an experiment are corrected for their number.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rlhf_testbed.evaluation.definitions import definition
from rlhf_testbed.evaluation.episode_measures import SHARE
from rlhf_testbed.experiment.over_seeds import unit_of
from rlhf_testbed.measures.decisions import Corrected, corrected, decide
from rlhf_testbed.measures.nested import (
    Components,
    to_show_a_move,
    to_show_equivalence,
    units,
    variance_components,
)
from rlhf_testbed.measures.statistics import paired_test
from rlhf_testbed.shared.arrays import Floats
from rlhf_testbed.store import experiment_records
from rlhf_testbed.store.experiment_records import (
    BASES,
    SEEDS,
    ArmResults,
    Contrast,
    Decision,
    Needed,
)
from rlhf_testbed.store.run_columns import Runs


class _Pair(NamedTuple):
    """One threat in two neighbouring arms, over the runs that both have."""

    dial: str
    threat: str
    arms: tuple[str, str]
    bound: float
    bases: list[int]
    """Of each run [runs]."""
    before: Floats
    after: Floats

    @property
    def tested(self) -> tuple[Floats, Floats, float]:
        """Both arms by unit, and the bound."""
        return units(self.after, self.bases), units(self.before, self.bases), self.bound


def contrasts(arms: Mapping[str, ArmResults], bounds: Mapping[str, float]) -> list[Contrast]:
    """All contrasts of an experiment's arms.

    `bounds` names the threats to contrast (`threat_1`, `threat_2`) and the bound within which each
    counts as equivalent, in its own unit.
    """
    pairs = []
    for one, other in itertools.combinations(arms, 2):
        if not _alike(arms[one], arms[other]):
            continue
        names = dict.fromkeys([*arms[one].varied, *arms[other].varied])
        differing = [name for name in names if _dial(arms[one], name) != _dial(arms[other], name)]
        if len(differing) == 1 and not _between(arms, one, other, dial := differing[0]):
            after, before = sorted((one, other), key=lambda arm: _dial(arms[arm], dial))
            pairs += [_pair(arms, dial, (before, after), t, bounds[t]) for t in bounds]
    return _decided(arms, pairs)


def contrast_of(
    arms: Mapping[str, ArmResults],
    what: str,
    pairs: Sequence[tuple[str, str]],
    bounds: Mapping[str, float],
) -> list[Contrast]:
    """The contrasts of the named pairs of arms, which differ in `what`, for each threat."""
    return _decided(arms, [_pair(arms, what, pair, t, bounds[t]) for pair in pairs for t in bounds])


def _decided(arms: Mapping[str, ArmResults], pairs: Sequence[_Pair]) -> list[Contrast]:
    """All decisions, corrected for their number."""
    among = corrected([pair.tested for pair in pairs])
    return [_contrast(arms, pair, by) for pair, by in zip(pairs, among, strict=True)]


def _dial(arm: ArmResults, dial: str) -> float:
    """The value of a dial or of an option; NaN, which differs from all, where it isn't given."""
    return arm.varied.get(dial, math.nan)


def _alike(one: ArmResults, other: ArmResults) -> bool:
    """Whether two arms differ at most in numbers: one method, one overseer, and so on."""
    return one.method == other.method and one.words == other.words


def _between(arms: Mapping[str, ArmResults], one: str, other: str, dial: str) -> bool:
    """Whether a third arm lies between two that differ in one dial: then they are no neighbours."""
    low, high = sorted(_dial(arms[name], dial) for name in (one, other))
    rest = {name: value for name, value in arms[one].varied.items() if name != dial}
    return any(
        low < _dial(arm, dial) < high
        and rest.items() <= arm.varied.items()
        and _alike(arm, arms[one])
        for arm in arms.values()
    )


def _pair(
    arms: Mapping[str, ArmResults], dial: str, pair: tuple[str, str], threat: str, bound: float
) -> _Pair:
    before, after = (_by_run(arms[name].runs, threat) for name in pair)
    matched = sorted(before.keys() & after.keys())
    return _Pair(
        dial=dial,
        threat=threat,
        arms=pair,
        bound=bound,
        bases=[base for base, _ in matched],
        before=np.array([before[run] for run in matched]),
        after=np.array([after[run] for run in matched]),
    )


def _contrast(arms: Mapping[str, ArmResults], pair: _Pair, among: Corrected) -> Contrast:
    a, b, bound = pair.tested
    found = paired_test(a, b)
    limit = 1.0 if definition(pair.threat).unit == SHARE else math.inf
    spread = variance_components(pair.after - pair.before, pair.bases)
    several = unit_of(pair.bases) == "base policy"
    reasons = [f"{name}: {why}" for name in pair.arms if (why := arms[name].unread(pair.threat))]
    unread = Decision(verdict="undecided", reason="; ".join(reasons)) if reasons else None
    return Contrast(
        dial=pair.dial,
        threat=pair.threat,
        arms=pair.arms,
        values=(_dial(arms[pair.arms[0]], pair.dial), _dial(arms[pair.arms[1]], pair.dial)),
        difference=found.difference,
        low=_cut(found.low, limit),
        high=_cut(found.high, limit),
        inference=BASES if several else SEEDS,
        base_policies=len(set(pair.bases)),
        runs=len(pair.bases),
        p=found.p,
        p_corrected=among.p,
        p_equivalent=among.p_equivalent,
        decision=unread
        or Decision(**decide(a, b, bound, unit_of(pair.bases), among, limit)._asdict()),
        components=_record(spread) if several else None,
        needed=_needed(spread, a - b, bound, several=several),
    )


def _cut(end: float, limit: float) -> float:
    """An end of an interval, cut where no difference can be larger; NaN stays."""
    return end if math.isnan(end) else max(-limit, min(limit, end))


def _record(found: Components) -> experiment_records.Components:
    return experiment_records.Components(
        between=found.between, within=found.within, share=found.share
    )


def _needed(found: Components, by_unit: Floats, bound: float, *, several: bool) -> list[Needed]:
    """Designs for both claims. Without a second seed of any base policy the two variances can't be
    told apart, and so many base policies with one seed each are told."""
    if several and math.isnan(found.within) and np.isfinite(by_unit).all():
        found = Components(float(np.var(by_unit, ddof=1)), 0.0)
        moves, alike = to_show_a_move(found, bound)[:1], to_show_equivalence(found, bound)[:1]
    else:
        moves, alike = to_show_a_move(found, bound), to_show_equivalence(found, bound)
    return [
        *(Needed(claim="moved", **one._asdict()) for one in moves),
        *(Needed(claim="equivalent", **one._asdict()) for one in alike),
    ]


def _by_run(runs: Runs, threat: str) -> dict[tuple[int, int], float]:
    """A threat by base policy and training seed; NaN where it could not be judged."""
    return dict(zip(runs.named, runs.figure(threat), strict=True))
