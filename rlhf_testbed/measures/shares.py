"""The interval of a share over a few units, which stays within [0, 1].

Threat 1 of five training seeds, most at 1 and one far below:

    interval_over_seeds([1, 1, 0.99, 0.91, 1])  ->  0.98 [0.931, 1.029]     Student's, past 1
    interval_of_share([1, 1, 0.99, 0.91, 1])    ->  0.98 [0.767, 0.999]

How often it holds a planted rate, against four others: docs/results/intervals.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
import scipy.stats
from scipy.special import betaln

from rlhf_testbed.measures.arguments import arrays, mean
from rlhf_testbed.measures.statistics import Interval, refuse_no_share
from rlhf_testbed.shared.arrays import Floats, FloatsLike

RESOLUTION = 1000
"""Episodes that a share is taken to be counted over: what lies closer than this can't be told."""
ROUNDED = 1e-6
"""How far a share may be outside [0, 1] for having been computed in single precision."""
PLACES, SPREADS = 240, 24
SPREAD_FROM, SPREAD_TO = 1e-5, 0.95


class _Grid(NamedTuple):
    """Where the likelihood is computed: means across, correlations within a unit down."""

    angle: Floats
    """arcsin of the root of the mean [places]: the means lie closest near 0 and 1."""
    a: Floats
    b: Floats
    """Parameters of the beta distribution [places, spreads]."""
    weight: Floats
    """Log-weight of each spread [spreads]."""
    scale: Floats
    """log B(a, b) [places, spreads]."""


def interval_of_share(values: FloatsLike, level: float = 0.95) -> Interval:
    """Mean of shares over units, with an interval within [0, 1] by a beta-binomial likelihood.

    Each value is taken as a count out of `RESOLUTION` whose chance is drawn from a beta
    distribution with mean m and correlation r (of two episodes of one unit; Skellam 1948, J. R.
    Stat. Soc. B 10). With l(m) the log-likelihood at the best r, weighted by sqrt(1 - r), the
    interval holds the m with l(max) - l(m) <= n / 2 log(1 + t^2 / (n - 1)), t = t(level, n - 1):
    for normal values that is Student's interval to the last digit. (The weight and this cut are
    this project's; the weight was chosen by coverage, docs/results/intervals.)

    Shape [units], each a share of one seed or one base policy. NaN bounds for fewer than two; all
    NaN for none, or where any is NaN. Raises `ValueError` for a value outside [0, 1] and for a
    level outside (0, 1).

    Where all are 1 the interval does not shrink to a point: a unit far below may just not have
    been drawn.

    >>> [round(value, 2) for value in interval_of_share([1.0, 1.0, 1.0, 1.0, 1.0])]
    [1.0, 0.84, 1.0]
    """
    refuse_no_share("level", level)
    (x,) = arrays(1, values=values)
    if x.size == 0 or not np.isfinite(x).all():
        return Interval(math.nan, math.nan, math.nan)
    if not is_share(x):
        raise ValueError(f"values = {x.tolist()} are not all in [0, 1]")
    if x.size < 2:
        return Interval(mean(x), math.nan, math.nan)
    x = np.clip(x, 0.0, 1.0)
    profile = (log_likelihood(x) + _grid().weight).max(axis=1)
    t = float(scipy.stats.t.ppf((1 + level) / 2, x.size - 1))
    cut = x.size / 2 * math.log1p(t**2 / (x.size - 1))
    low, high = _ends(profile - profile.max() + cut)
    return Interval(mean(x), min(low, mean(x)), max(high, mean(x)))


def is_share(values: FloatsLike) -> bool:
    """Whether all values lie in [0, 1], but for rounding."""
    x = np.asarray(values, dtype=float)
    return bool(((x >= -ROUNDED) & (x <= 1 + ROUNDED)).all())


def log_likelihood(x: Floats) -> Floats:
    """Log-likelihood [places, spreads] of each mean and spread, of shares [units]."""
    found: Floats = np.sum([_of_count(RESOLUTION * float(share)) for share in x], axis=0)
    return found


@lru_cache(maxsize=512)  # many runs have the same share, 0 and 1 above all
def _of_count(count: float) -> Floats:
    grid = _grid()
    found: Floats = betaln(count + grid.a, RESOLUTION - count + grid.b) - grid.scale
    return found


def places() -> Floats:
    """The means [places] at which the likelihood is computed."""
    found: Floats = np.sin(_grid().angle) ** 2
    return found


def _ends(above: Floats) -> tuple[float, float]:
    """The means between which `above` [places] is at least 0, between places by a line."""
    angle, inside = _grid().angle, np.flatnonzero(above >= 0)
    ends = []
    for at, beyond in ((inside[0], inside[0] - 1), (inside[-1], inside[-1] + 1)):
        if not 0 <= beyond < above.size:
            ends.append(0.0 if beyond < 0 else 1.0)
            continue
        part = above[at] / (above[at] - above[beyond])
        ends.append(math.sin(angle[at] + part * (angle[beyond] - angle[at])) ** 2)
    return ends[0], ends[1]


@cache
def _grid() -> _Grid:
    angle = np.pi / 2 * (np.arange(PLACES) + 0.5) / PLACES
    spread = np.geomspace(SPREAD_FROM, SPREAD_TO, SPREADS)
    share, size = np.sin(angle)[:, None] ** 2, 1 / spread - 1
    a, b = share * size, (1 - share) * size
    return _Grid(angle, a, b, np.log(1 - spread) / 2, betaln(a, b))
