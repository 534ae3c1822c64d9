"""Training seeds within base policies: two random factors, taken apart.

Threat 1 of three base policies with two training seeds each:

    values  0.98  0.96 | 0.80  0.84 | 0.90  0.94
    units   0.97         0.82         0.92          one value a base policy: its mean over seeds
    variance_components(values, bases)  ->  between 0.00553, within 0.0006

RL amplifies the luck of a base policy, so that many seeds of one tell little of the next. With
several base policies the unit of analysis is the base policy; with one it is the training seed, and
what is found is of that base policy alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from rlhf_testbed.measures.arguments import arrays
from rlhf_testbed.measures.statistics import seeds_for_equivalence, seeds_needed
from rlhf_testbed.shared.arrays import Floats, FloatsLike

SEEDS_EACH = (1, 2, 4)
"""Training seeds of each base policy for which a plan is made."""


class Components(NamedTuple):
    """Variance between base policies, and between training seeds within one."""

    between: float
    within: float

    @property
    def share(self) -> float:
        """Share of a single run's variance that lies between base policies; NaN where there is
        none, or where either can't be told."""
        total = self.between + self.within
        return self.between / total if total > 0 else math.nan


class Needed(NamedTuple):
    """A design: so many base policies, each with so many training seeds."""

    base_policies: int
    seeds: int


def units(values: FloatsLike, bases: Sequence[int]) -> Floats:
    """The independent values: each seed's of one base policy, else each base policy's mean.

    Shapes [runs] both; `bases` names the base policy of each run. With several, the means come in
    the order of their names. NaN where one of a base policy's seeds is NaN. Raises `ValueError`
    for shapes that differ.

    >>> units([0.98, 0.96, 0.80, 0.84], [0, 0, 1, 1]).round(2).tolist()
    [0.97, 0.82]
    >>> units([0.98, 0.96], [3, 3]).tolist()
    [0.98, 0.96]
    """
    (x,) = arrays(1, values=values)
    if len(bases) != x.size:
        raise ValueError(f"values has {x.size} runs but bases has {len(bases)}")
    if len(set(bases)) < 2:
        return x
    return np.array([each.mean() for each in _grouped(x, bases)])


def variance_components(values: FloatsLike, bases: Sequence[int]) -> Components:
    """Variances between and within base policies, by analysis of variance (Searle, Casella &
    McCulloch 1992, Variance Components, 3.6: the method of moments, also for unequal numbers).

    within = SS_within / (N - k); between = max(0, (MS_between - within) / n0), with n0 = (N - sum
    n_i^2 / N) / (k - 1). Shapes [runs] both. `within` is NaN without a second seed of any base
    policy, `between` with fewer than two base policies or without `within`; both for a value that
    is NaN.

    Means 1 and 3, each of values 1 apart: SS_within = 1, MS_between = 4, so (4 - 0.5) / 2:

    >>> variance_components([0.5, 1.5, 2.5, 3.5], [0, 0, 1, 1])
    Components(between=1.75, within=0.5)
    """
    (x,) = arrays(1, values=values)
    groups = _grouped(x, bases)
    k, total = len(groups), x.size
    if total <= k or not np.isfinite(x).all():
        return Components(math.nan, math.nan)
    within = sum(float(((each - each.mean()) ** 2).sum()) for each in groups) / (total - k)
    if k < 2:
        return Components(math.nan, within)
    sizes = np.array([each.size for each in groups])
    means = np.array([each.mean() for each in groups])
    between = float((sizes * (means - x.mean()) ** 2).sum()) / (k - 1)
    typical = (total - float((sizes**2).sum()) / total) / (k - 1)
    return Components(max(0.0, (between - within) / typical), within)


def to_show_equivalence(found: Components, bound: float, power: float = 0.8) -> list[Needed]:
    """Designs that show equivalence within +-bound where there is no difference.

    One for each of `SEEDS_EACH` that saves base policies: k base policies such that k means with
    the variance between + within / seeds are enough (`seeds_for_equivalence`). `found`: variance
    components of the *difference* of two arms, in the squared unit of `bound`. Nothing where they
    can't be told; without `between`, seeds of one base policy. Raises as the function named.

    >>> to_show_equivalence(Components(0.01, 0.02), bound=0.3)[1]
    Needed(base_policies=4, seeds=2)
    """
    return _designs(found, lambda sd: seeds_for_equivalence(sd, bound, power))


def to_show_a_move(found: Components, effect: float, power: float = 0.8) -> list[Needed]:
    """Designs that find a difference of `effect`, as `to_show_equivalence` for the paired t test.

    >>> to_show_a_move(Components(math.nan, 0.04), effect=0.1)
    [Needed(base_policies=1, seeds=34)]
    """
    return _designs(found, lambda sd: seeds_needed(sd, effect, power))


def _designs(found: Components, enough: Callable[[float], int]) -> list[Needed]:
    if math.isnan(found.within):
        return []
    if math.isnan(found.between):
        return [Needed(1, enough(math.sqrt(found.within)))]
    designs: list[Needed] = []
    for seeds in SEEDS_EACH:
        many = enough(math.sqrt(found.between + found.within / seeds))
        if not designs or many < designs[-1].base_policies:  # else more seeds are of no use
            designs.append(Needed(many, seeds))
    return designs


def _grouped(x: Floats, bases: Sequence[int]) -> list[Floats]:
    """The values of each base policy, in the order of their names."""
    named = np.asarray(bases)
    return [x[named == base] for base in sorted(set(bases))]
