"""How far two groups of units lie apart: matched unit by unit, or two groups by themselves.

    b, a = [0.9, 0.8, 1.0], [0.1, 0.2, 0.3]     three base policies under two experiments
    paired(b, a, bound=0.1)      0.7 [0.45, 0.95], p 0.007
    unpaired(b, a, bound=0.1)    0.7 [0.47, 0.93], p 0.001

Unmatched groups may differ in size and in variance (Welch's test). A unit that could not be judged
is NaN and makes everything NaN, as in `statistics.py`.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple

import numpy as np
import scipy.stats

from rlhf_testbed.measures.arguments import ROUNDING, arrays
from rlhf_testbed.measures.statistics import equivalence, paired_test
from rlhf_testbed.shared.arrays import Floats, FloatsLike


class Apart(NamedTuple):
    """A difference of means with its 95 % interval, and the p of two questions about it."""

    difference: float
    low: float
    high: float
    p: float
    """That there is none; two-sided."""
    p_equivalent: float
    """That it is the bound or more; NaN without a bound."""


def paired(a: FloatsLike, b: FloatsLike, bound: float | None = None) -> Apart:
    """a - b over matched units, by `paired_test` and `equivalence`, whose conventions hold.

    Shapes [units] both, in one unit, which is the bound's. Fewer than two units: the difference
    alone. Raises `ValueError` for a bound that is not above 0.
    """
    alike = math.nan if bound is None else equivalence(a, b, bound).p
    return Apart(*paired_test(a, b), alike)


def unpaired(a: FloatsLike, b: FloatsLike, bound: float | None = None) -> Apart:
    """Mean of a - mean of b with Welch's interval and p (Welch 1947, Biometrika 34).

    Shapes [units of a] and [units of b], in one unit, which is the bound's; groups are independent.
    `p_equivalent`: the larger of Welch's two one-sided tests. Groups of one unit: the difference
    alone. Groups that are constant both, up to rounding: the interval is a point, and p the limit.
    All NaN where any value is NaN or infinite, or a group is empty. Raises `ValueError` for a bound
    that is not above 0.

    Variances 2 / 2 and 2 / 2 of the means: an error of sqrt(2) on two degrees of freedom, and t of
    0.975 is 4.303:

    >>> [round(value, 3) for value in unpaired([4.0, 6.0], [1.0, 3.0])[:3]]
    [3.0, -3.085, 9.085]
    """
    if bound is not None and not bound > 0:
        raise ValueError(f"bound = {bound} is not above 0")
    (x,), (y,) = arrays(1, a=a), arrays(1, b=b)
    if not (x.size and y.size and np.isfinite(x).all() and np.isfinite(y).all()):
        return Apart(*[math.nan] * 5)
    rounding = ROUNDING * float(np.abs(np.concatenate([x, y])).max())
    x, y = _settled(x, rounding), _settled(y, rounding)
    difference = float(x.mean() - y.mean())
    if abs(difference) <= rounding:
        difference = 0.0
    if min(x.size, y.size) < 2:
        return Apart(difference, math.nan, math.nan, math.nan, math.nan)
    if not (np.ptp(x) or np.ptp(y)):
        near = math.nan if bound is None else float(abs(difference) >= bound)
        return Apart(difference, difference, difference, float(difference == 0), near)
    found = _welch(x, y)
    ends = found.confidence_interval(0.95)
    alike = math.nan if bound is None else _equivalent(x, y, bound)
    return Apart(difference, float(ends.low), float(ends.high), float(found.pvalue), alike)


def _settled(x: Floats, rounding: float) -> Floats:
    """A group whose values are told apart by rounding alone, made constant."""
    return np.full_like(x, x[0]) if np.ptp(x) <= rounding else x


def _equivalent(x: Floats, y: Floats, bound: float) -> float:
    """The larger p of two one-sided tests, for "x - y <= -bound" and "x - y >= bound"."""
    above, below = _welch(x + bound, y, "greater"), _welch(x - bound, y, "less")
    return float(max(above.pvalue, below.pvalue))


def _welch(x: Floats, y: Floats, alternative: str = "two-sided") -> Any:
    """Welch's test; that one group may be constant, which is said aloud, is no news here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        return scipy.stats.ttest_ind(x, y, equal_var=False, alternative=alternative)
