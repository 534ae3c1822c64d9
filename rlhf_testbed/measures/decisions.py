"""What matched units say of two arms: moved, equivalent or undecided, corrected for their number.

    limited        = [0.98, 0.97, 0.99, 0.96]
    full_knowledge = [0.02, 0.01, 0.05, 0.00]
    decide(limited, full_knowledge, bound=0.1)   ->  moved: difference 0.955 ...
    holm([0.01, 0.04, 0.03])                     ->  0.03, 0.06, 0.06

"Not significant" never stands for "no effect": that two arms are alike must be shown, by a
difference that lies within a bound named beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from rlhf_testbed.measures.arguments import arrays
from rlhf_testbed.measures.statistics import LEVEL, differences, equivalence, paired_test
from rlhf_testbed.shared.arrays import Floats, FloatsLike

Conclusion: TypeAlias = Literal["moved", "equivalent", "undecided"]
Unit: TypeAlias = Literal["seed", "base policy"]
"""What is independent: the training seed of one base policy, or the base policy."""
LEAST_P = 1e-9
"""Smaller ones are not told: no p is nothing, and what a test assumes holds nowhere so exactly."""
PLURAL = {"seed": "seeds", "base policy": "base policies"}


class Decision(NamedTuple):
    """Whether two arms differ, and the reason in words."""

    verdict: Conclusion
    reason: str


class Corrected(NamedTuple):
    """The p of one pair of arms among `of`, corrected for their number."""

    p: float
    """That the arms don't differ."""
    p_equivalent: float
    """That they differ by the bound or more."""
    of: int


def holm(p: FloatsLike) -> Floats:
    """p values corrected for their number (Holm 1979, Scand. J. Stat. 6): step down, from the
    smallest.

    With p sorted, corrected_i = max over j <= i of min(1, (m - j + 1) p_j): rejecting below a level
    keeps the chance of any false rejection at that level. Shape [tests]; NaN is no test, and stays.

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    (x,) = arrays(1, p=p)
    found: Floats = np.full(x.size, math.nan)
    tested = np.flatnonzero(~np.isnan(x))
    order = tested[np.argsort(x[tested], kind="stable")]
    scaled = np.minimum(1.0, np.arange(order.size, 0, -1) * x[order])
    found[order] = np.maximum.accumulate(scaled)
    return found


def corrected(pairs: Sequence[tuple[FloatsLike, FloatsLike, float]]) -> list[Corrected]:
    """The corrected p of each pair of arms among all: (a, b, bound) each, unit by unit."""
    moved = holm([paired_test(a, b).p for a, b, _ in pairs])
    alike = holm([equivalence(a, b, bound).p for a, b, bound in pairs])
    of = int((~np.isnan(moved)).sum())
    return [Corrected(float(p), float(q), of) for p, q in zip(moved, alike, strict=True)]


def decide(
    a: FloatsLike,
    b: FloatsLike,
    bound: float,
    unit: Unit = "seed",
    among: Corrected | None = None,
    limit: float = math.inf,
) -> Decision:
    """What matched units say of a - b: moved, equivalent within +-bound, or undecided, and why.

    Equivalent where `equivalence` shows it, even if the difference also differs from 0 (the reason
    then says so); else moved where `paired_test` has p < 0.05; else undecided. `among`: the p
    corrected for all pairs of an experiment, by which both are then decided. `limit`: the largest
    difference that there can be, at which intervals are cut. Shapes [units] both, in the unit of
    `bound`. Fewer than two units, or one that is NaN or infinite: undecided. Raises
    `ValueError` for a bound that is not above 0. (The order of the tests is this project's.)

    >>> decide([0.98], [0.02], bound=0.1)
    Decision(verdict='undecided', reason='1 seed')
    >>> decide([0.5, 0.6, 0.7], [0.0, 0.1, 0.2], bound=0.1).reason
    'difference 0.5 (95 % interval 0.5 to 0.5, p < 1e-09); the same in all 3 seeds'
    """
    x = differences(a, b)
    test, alike = paired_test(a, b), equivalence(a, b, bound)
    unjudged = int(np.sum(~np.isfinite(x)))
    if unjudged:
        return Decision("undecided", f"{unjudged} of {told(x.size, unit)} could not be judged")
    if x.size < 2:
        return Decision("undecided", told(x.size, unit))
    by = among or Corrected(test.p, alike.p, 1)
    end = "" if np.ptp(x) else f"; the same in all {told(x.size, unit)}"
    if by.p_equivalent < LEVEL:
        ends = _ends(alike.low, alike.high, limit)
        within = f"90 % interval {ends} is within ±{bound:g}"
        apart = f", though it differs from 0 ({_p(test.p, by.p, by.of)})" if by.p < LEVEL else ""
        counted = f", {_p(alike.p, by.p_equivalent, by.of)}" if by.of > 1 else ""
        reason = f"difference {test.difference:.3g} ({within}{counted}){apart}{end}"
        return Decision("equivalent", reason)
    ends = _ends(test.low, test.high, limit)
    interval = f"95 % interval {ends}, {_p(test.p, by.p, by.of)}"
    found = f"difference {test.difference:.3g} ({interval})"
    if by.p < LEVEL:
        return Decision("moved", found + end)
    return Decision("undecided", f"{found}: {_neither(test.p, alike.p, by.of, bound)}{end}")


def told(count: int, unit: Unit) -> str:
    """A number of units in words.

    >>> told(1, "seed"), told(5, "base policy")
    ('1 seed', '5 base policies')
    """
    return f"{count} {unit if count == 1 else PLURAL[unit]}"


def _ends(low: float, high: float, limit: float) -> str:
    return f"{max(-limit, low):.3g} to {min(limit, high):.3g}"


def _p(p: float, by: float, of: int) -> str:
    """A p, with what becomes of it among several."""
    shown = f"p < {LEAST_P:g}" if p < LEAST_P else f"p = {p:.2g}"
    among = f"{max(by, LEAST_P):.2g} among {of} contrasts"
    return f"{shown}, {among}" if of > 1 else shown


def _neither(p: float, p_equivalent: float, of: int, bound: float) -> str:
    """Why nothing is shown, and whether that is for the number of contrasts only."""
    alone = [
        words
        for words, value in (("apart from 0", p), (f"within ±{bound:g}", p_equivalent))
        if value < LEVEL
    ]
    if alone:
        return f"{' and '.join(alone)} taken alone, but not among {of} contrasts"
    return f"neither apart from 0 nor within ±{bound:g}"
