"""Statistics over a few training seeds. The unit of analysis is the seed.

Threat 1 of four matched seeds (same base policy and data, another overseer):

    limited        = [0.98, 0.97, 0.99, 0.96]
    full_knowledge = [0.02, 0.01, 0.05, 0.00]
    interval_over_seeds(limited)                 ->  Interval(mean=0.975, low=0.954, high=0.996)
    paired_test(limited, full_knowledge)         ->  difference 0.955, p = 3e-07

A seed that could not be judged is NaN and makes the result NaN; it is never dropped in silence.
Where there are several base policies the unit is the base policy (`nested.py`): what is called a
seed here is then its mean over seeds. Intervals of shares: `shares.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.stats

from rlhf_testbed.measures.arguments import ROUNDING, arrays, mean
from rlhf_testbed.shared.arrays import Floats, FloatsLike

LEVEL = 0.05
"""The chance of a false "moved", and of a false "equivalent", that is allowed."""

MOST_SEEDS = 10**6
"""A plan that asks for more seeds than this is refused."""


class Interval(NamedTuple):
    """A mean over seeds, and the bounds of its interval."""

    mean: float
    low: float
    high: float


class PairedTest(NamedTuple):
    """Mean difference of matched seeds, its 95 % interval, and the two-sided p."""

    difference: float
    low: float
    high: float
    p: float


class Equivalence(NamedTuple):
    """Mean difference of matched seeds, whether it is within the bound, and its 90 % interval."""

    difference: float
    p: float
    equivalent: bool
    low: float
    high: float


def interval_over_seeds(values: FloatsLike, level: float = 0.95) -> Interval:
    """Mean over seeds with a Student-t interval: mean +- t(level, seeds - 1) sd / sqrt(seeds).

    Takes seeds as independent and normal (Student 1908, Biometrika 6). Shape [seeds], one number a
    seed, in any unit. NaN bounds for fewer than two seeds; all NaN for no seeds or where any value
    is NaN or infinite. Raises `ValueError` for a level outside (0, 1).

    For 1 and 3 the mean is 2, sd / sqrt(2) is 1, and t of one degree of freedom is 12.706:

    >>> [round(value, 3) for value in interval_over_seeds([1.0, 3.0])]
    [2.0, -10.706, 14.706]
    """
    refuse_no_share("level", level)
    (x,) = arrays(1, values=values)
    if x.size == 0 or not np.isfinite(x).all():
        return Interval(math.nan, math.nan, math.nan)
    if x.size < 2:
        return Interval(mean(x), math.nan, math.nan)
    half = float(scipy.stats.t.ppf((1 + level) / 2, x.size - 1)) * _standard_error(x)
    return Interval(mean(x), mean(x) - half, mean(x) + half)


def paired_test(a: FloatsLike, b: FloatsLike) -> PairedTest:
    """Paired t test of a - b over matched seeds, with a 95 % interval (Student 1908, Biometrika 6).

    Shapes [seeds] both, in one unit, seed by seed. NaN bounds and p for fewer than two seeds; all
    NaN as in `interval_over_seeds`. Differences that are all alike have no variance: the interval
    is a point, and p is the limit: 0, or 1 where they are 0.

    Differences 0, 2 and 4 give t = 2 / (2 / sqrt(3)) = sqrt(3) on two degrees of freedom, for which
    p = 1 - t / sqrt(2 + t^2) = 1 - sqrt(3 / 5):

    >>> round(paired_test([1.0, 3.0, 5.0], [1.0, 1.0, 1.0]).p, 4)
    0.2254
    """
    x = differences(a, b)
    interval = interval_over_seeds(x)
    if math.isnan(interval.low):
        return PairedTest(*interval, math.nan)
    return PairedTest(*interval, 2 * _upper_tail(abs(interval.mean), x))


def equivalence(a: FloatsLike, b: FloatsLike, bound: float) -> Equivalence:
    """Whether a - b lies within +-bound over matched seeds: two one-sided t tests.

    p is the larger of the two, for "a - b <= -bound" and "a - b >= bound"; equivalent where it is
    below 0.05, which is where the 90 % interval lies within the bound (Schuirmann 1987, J.
    Pharmacokinet. Biopharm. 15). Shapes [seeds] both, in the unit of `bound`. NaN p and bounds, and
    not equivalent, for fewer than two seeds; all NaN as in `interval_over_seeds`. Differences all
    alike: p is the limit, 0 within the bound and 1 outside it. Raises `ValueError` for a bound that
    is not above 0.

    Differences -1, 0 and 1 against a bound of 1 give t = sqrt(3) on two degrees of freedom, for
    which the one-sided p = (1 - sqrt(3 / 5)) / 2:

    >>> round(equivalence([0.0, 1.0, 2.0], [1.0, 1.0, 1.0], bound=1.0).p, 4)
    0.1127
    """
    _above_zero("bound", bound)
    x = differences(a, b)
    difference, low, high = interval_over_seeds(x, 1 - 2 * LEVEL)
    if math.isnan(low):
        return Equivalence(difference, math.nan, False, low, high)
    p = _upper_tail(bound - abs(difference), x)
    return Equivalence(difference, p, p < LEVEL, low, high)


TINY = 1e-3
"""Deviations, as a share of what is looked for, for which two seeds do whatever the power, and
noncentral t is no number any more: constant figures differ by rounding alone."""


def seeds_needed(effect_sd: float, effect: float, power: float = 0.8, level: float = 0.05) -> int:
    """Matched seeds that a two-sided paired t test needs to find an effect with a given power.

    The smallest n >= 2 with P(|T| > t(1 - level / 2, n - 1)) >= power, T noncentral t with n - 1
    degrees of freedom and noncentrality effect / effect_sd sqrt(n) (Cohen 1988, Statistical Power
    Analysis). `effect_sd`: standard deviation of the differences over seeds, in the unit of
    `effect`; 0 gives 2. Raises `ValueError` for an effect that is 0, a negative deviation, a share
    outside (0, 1), or where more than a million seeds would be needed.

    Half a standard deviation takes 34 pairs (Cohen's classical example):

    >>> seeds_needed(effect_sd=1.0, effect=0.5)
    34
    """
    _above_zero("|effect|", abs(effect))
    _plan(effect_sd, power, level)

    def reached(n: int) -> float:
        shift = abs(effect) / effect_sd * math.sqrt(n)
        critical = float(scipy.stats.t.ppf(1 - level / 2, n - 1))
        either_side = scipy.stats.nct.sf([critical, -critical], n - 1, shift)
        return float(either_side[0] + 1 - either_side[1])

    return 2 if effect_sd < TINY * abs(effect) else _fewest(reached, power)


def seeds_for_equivalence(sd: float, bound: float, power: float = 0.8, level: float = 0.05) -> int:
    """Matched seeds needed to show equivalence within +-bound where there is no difference.

    The smallest n >= 2 with 2 P(T > t(1 - level, n - 1)) - 1 >= power, T noncentral t with n - 1
    degrees of freedom and noncentrality bound / sd sqrt(n): a lower bound on the power of the two
    one-sided tests, close to it from 0.5 up, so never too few seeds (after Phillips 1990, J.
    Pharmacokinet. Biopharm. 18). `sd`: standard deviation of the differences over seeds, in the
    unit of `bound`; 0 gives 2. Raises `ValueError` for a bound that is not above 0, and else as
    `seeds_needed`.

    A bound of one standard deviation:

    >>> seeds_for_equivalence(sd=1.0, bound=1.0)
    11
    """
    _above_zero("bound", bound)
    _plan(sd, power, level)

    def reached(n: int) -> float:
        critical = float(scipy.stats.t.ppf(1 - level, n - 1))
        return 2 * float(scipy.stats.nct.sf(critical, n - 1, bound / sd * math.sqrt(n))) - 1

    return 2 if sd < TINY * bound else _fewest(reached, power)


def _fewest(reached: Callable[[int], float], power: float) -> int:
    """The smallest n >= 2 at which `reached`, which rises with n, is at least `power`."""
    high = 2
    while not reached(high) >= power:
        if high >= MOST_SEEDS:
            raise ValueError(f"power = {power} would take more than {MOST_SEEDS} seeds")
        high = min(2 * high, MOST_SEEDS)
    low = 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) >= power else (middle, high)
    return high


def differences(a: FloatsLike, b: FloatsLike) -> Floats:
    """a - b by seed [seeds]. Where only rounding tells values from 0 or apart, it is removed."""
    x, y = arrays(1, a=a, b=b)
    difference: Floats = x - y
    if x.size and np.isfinite(difference).all():
        rounding = ROUNDING * float(np.max(np.abs([x, y])))
        difference[np.abs(difference) <= rounding] = 0.0
        if np.ptp(difference) <= rounding:
            difference[:] = difference[0]
    return difference


def _standard_error(x: Floats) -> float:
    """sd / sqrt(seeds), exactly 0 where all are alike."""
    return float(np.std(x, ddof=1)) / math.sqrt(x.size) if np.ptp(x) else 0.0


def _upper_tail(distance: float, x: Floats) -> float:
    """P(T > distance / standard error) on seeds - 1 degrees of freedom; the limit at error 0."""
    error = _standard_error(x)
    with np.errstate(divide="ignore"):
        t = np.float64(distance) / error if error or distance else 0.0
    return float(scipy.stats.t.sf(t, x.size - 1))


def refuse_no_share(name: str, value: float) -> None:
    """Raises `ValueError` for a number outside (0, 1)."""
    if not 0 < value < 1:
        raise ValueError(f"{name} = {value} is not in (0, 1)")


def _above_zero(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name} = {value} is not above 0")


def _plan(sd: float, power: float, level: float) -> None:
    """Refuses a deviation, power or level that is out of range (for both kinds of plan)."""
    if not 0 <= sd < math.inf:
        raise ValueError(f"sd = {sd} is not a standard deviation")
    refuse_no_share("power", power)
    refuse_no_share("level", level)
