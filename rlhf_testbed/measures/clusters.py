"""The interval of a share over episodes that come in clusters, such as several a scenario.

    share_over_clusters(hits=[1, 0, 0], trials=[1, 1, 1])    three scenarios, one episode each
    share_over_clusters(hits=[4, 0, 0], trials=[4, 4, 4])    as wide: four alike are one

Over seeds, each of which has a share of thousands of episodes, `shares.py` has another: it takes a
unit's 0 for none out of many, which of one episode would be far too sure.
"""

from __future__ import annotations

import math

import scipy.stats

from rlhf_testbed.measures.arguments import arrays
from rlhf_testbed.measures.statistics import Interval, refuse_no_share
from rlhf_testbed.shared.arrays import Floats, FloatsLike


def share_over_clusters(hits: FloatsLike, trials: FloatsLike, level: float = 0.95) -> Interval:
    """Share of all trials, with Clopper and Pearson's interval for the effective number of trials.

    The effective number is p(1 - p) / V, with V the variance of the ratio of sums between clusters
    (linearised, k / (k - 1) for k clusters), times (z / t)^2 for the few clusters that V is told
    from, and at most the number of trials (Korn & Graubard 1998, Survey Methodology 24; z in place
    of t over trials is this project's, so that what is there twice counts once). Where p is 0 or 1
    nothing tells V, and each cluster counts as one trial.

    Shapes [clusters] both: `hits` in [0, trials], `trials` above 0. NaN bounds for fewer than two
    clusters, all NaN for none. Raises `ValueError` for what is out of range.

    None of ten is Clopper and Pearson's 1 - 0.025^(1/10):

    >>> [round(float(value), 3) for value in share_over_clusters([0] * 10, [1] * 10)]
    [0.0, 0.0, 0.308]
    """
    refuse_no_share("level", level)
    x, n = arrays(1, hits=hits, trials=trials)
    if not ((n > 0) & (x >= 0) & (x <= n)).all():
        raise ValueError("hits are not all in [0, trials], or trials not all above 0")
    if not x.size:
        return Interval(math.nan, math.nan, math.nan)
    share = float(x.sum() / n.sum())
    if x.size < 2:
        return Interval(share, math.nan, math.nan)
    count = _effective(x, n, share, level) if 0 < share < 1 else float(x.size)
    tail = (1 - level) / 2
    low = scipy.stats.beta.ppf(tail, share * count, (1 - share) * count + 1) if share > 0 else 0.0
    high = scipy.stats.beta.isf(tail, share * count + 1, (1 - share) * count) if share < 1 else 1.0
    return Interval(share, float(low), float(high))


def _effective(x: Floats, n: Floats, share: float, level: float) -> float:
    """How many independent trials would tell as much."""
    clusters = x.size
    variance = clusters / (clusters - 1) * float(((x - share * n) ** 2).sum()) / float(n.sum()) ** 2
    if not variance:
        return float(n.sum())
    z, t = scipy.stats.norm.ppf((1 + level) / 2), scipy.stats.t.ppf((1 + level) / 2, clusters - 1)
    return min(share * (1 - share) / variance * float(z / t) ** 2, float(n.sum()))
