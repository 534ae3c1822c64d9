"""Over-optimisation: the score under full knowledge rises, then falls, as the proxy is pushed.

Eight checkpoints at distance d = sqrt(KL from the base policy), in sqrt(nats), scored by the
full-knowledge overseer (`gold`):

    rl_form(d, alpha=2, beta=1)  ->  d (2 - ln d), best at d = e with gold e
    fit_rl(d, gold)              ->  alpha 2, beta 1, r_squared 1, peak at d = 2.718, gold 2.718

Forms and symbols are those of Gao, Schulman & Hilton 2022 (arXiv 2210.10760). Gold is measured from
the base policy's score, so that it is 0 at d = 0.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import xlogy

from rlhf_testbed.measures.arguments import arrays
from rlhf_testbed.shared.arrays import Floats, FloatsLike


class Peak(NamedTuple):
    """Where the gold score is largest: the distance in sqrt(nats), and the score there."""

    d: float
    gold: float


class Fit(NamedTuple):
    """Least-squares coefficients of one form, how well it fits, and its peak."""

    alpha: float
    beta: float
    r_squared: float
    """1 - residual sum of squares / sum of squares about the mean; below 0 if worse than a mean."""
    peak_d: float
    peak_gold: float


NO_PEAK = Peak(math.nan, math.nan)
NO_FIT = Fit(math.nan, math.nan, math.nan, *NO_PEAK)


def rl_form(d: FloatsLike, alpha: float, beta: float) -> Floats:
    """Gold score of RL: d (alpha - beta ln d), and 0 at d = 0 (Gao et al. 2022, arXiv 2210.10760).

    `d` of any shape, in sqrt(nats); the same shape comes back, in the unit of the score. NaN where
    d is NaN. Raises `ValueError` for d < 0.

    >>> rl_form([0.0, 1.0], alpha=2.0, beta=1.0)
    array([0., 2.])
    """
    distance = _distances(d)
    return np.asarray(alpha * distance - beta * xlogy(distance, distance))


def best_of_n_form(d: FloatsLike, alpha: float, beta: float) -> Floats:
    """Gold score of best-of-n: d (alpha - beta d) (Gao et al. 2022, arXiv 2210.10760).

    `d` of any shape, in sqrt(nats); the same shape comes back, in the unit of the score. NaN where
    d is NaN. Raises `ValueError` for d < 0.

    >>> best_of_n_form([1.0, 2.0, 3.0], alpha=4.0, beta=1.0)
    array([3., 4., 3.])
    """
    distance = _distances(d)
    return np.asarray(distance * (alpha - beta * distance))


def kl_best_of_n(n: int) -> float:
    """KL of best-of-n from the base policy in nats: ln n - (n - 1) / n.

    Exact where no two samples tie (Gao et al. 2022, arXiv 2210.10760); an upper bound for a finite
    response space (Beirami et al. 2024, arXiv 2401.01879). Raises `ValueError` for n < 1.

    ln 2 - 1/2:

    >>> round(kl_best_of_n(2), 4)
    0.1931
    """
    if n < 1:
        raise ValueError(f"n = {n} must be at least 1")
    return math.log(n) - (n - 1) / n


def rl_peak(alpha: float, beta: float) -> Peak:
    """Where d (alpha - beta ln d) is largest: d* = exp(alpha / beta - 1), gold* = beta d*.

    From Gao et al. 2022 (arXiv 2210.10760) by setting alpha - beta ln d - beta = 0. Units: d in
    sqrt(nats), gold that of the score; infinite where exp overflows. NaN for beta <= 0 (the form
    has no largest value) and for NaN.

    >>> rl_peak(alpha=3.0, beta=3.0)
    Peak(d=1.0, gold=3.0)
    """
    if math.isnan(alpha) or not beta > 0:
        return NO_PEAK
    with np.errstate(over="ignore"):
        d = float(np.exp(np.float64(alpha) / beta - 1))
    return Peak(d, beta * d)


def best_of_n_peak(alpha: float, beta: float) -> Peak:
    """Where d (alpha - beta d) is largest: d* = alpha / (2 beta), gold* = alpha^2 / (4 beta).

    From Gao et al. 2022 (arXiv 2210.10760) by setting alpha - 2 beta d = 0; (0, 0) for alpha <= 0,
    where gold only falls. Units: d in sqrt(nats), gold that of the score. NaN for beta <= 0 (the
    form has no largest value) and for NaN.

    >>> best_of_n_peak(alpha=4.0, beta=1.0)
    Peak(d=2.0, gold=4.0)
    """
    if math.isnan(alpha) or not beta > 0:
        return NO_PEAK
    d = max(0.0, alpha / (2 * beta))
    return Peak(d, beta * d**2)


def fit_rl(d: FloatsLike, gold: FloatsLike) -> Fit:
    """Least-squares fit of gold = alpha d - beta d ln d, without intercept, and its peak.

    Gao et al. 2022 (arXiv 2210.10760). Shapes [checkpoints] both; d in sqrt(nats), gold relative to
    the base policy. All NaN for fewer than two different d > 0 or where any value is NaN; r_squared
    NaN for constant gold; peak NaN for beta <= 0. Raises `ValueError` for d < 0.

    Through (1, 2) and (e, e), alpha = 2 and beta = 1, so the peak is at e:

    >>> [round(value, 3) for value in fit_rl([1.0, math.e], [2.0, math.e])]
    [2.0, 1.0, 1.0, 2.718, 2.718]
    """
    x, y = arrays(1, d=d, gold=gold)
    x = _distances(x)
    alpha, beta, r_squared = _least_squares(np.stack([x, -xlogy(x, x)], axis=1), y)
    return Fit(alpha, beta, r_squared, *rl_peak(alpha, beta))


def fit_best_of_n(d: FloatsLike, gold: FloatsLike) -> Fit:
    """Least-squares fit of gold = alpha d - beta d^2, without intercept, and its peak.

    Gao et al. 2022 (arXiv 2210.10760). Shapes, units, NaN and errors as in `fit_rl`.

    Through (1, 3), (2, 4) and (3, 3), alpha = 4 and beta = 1, so the peak is at 2:

    >>> [round(value, 3) for value in fit_best_of_n([1.0, 2.0, 3.0], [3.0, 4.0, 3.0])]
    [4.0, 1.0, 1.0, 2.0, 4.0]
    """
    x, y = arrays(1, d=d, gold=gold)
    x = _distances(x)
    alpha, beta, r_squared = _least_squares(np.stack([x, -(x**2)], axis=1), y)
    return Fit(alpha, beta, r_squared, *best_of_n_peak(alpha, beta))


def best_of_n(proxy: FloatsLike, gold: FloatsLike, n: int) -> float:
    """Unbiased estimate, from N samples, of the gold score of the best of n by proxy.

    The mean over all subsets of n of the N samples: sum_{i=n..N} C(i-1, n-1) / C(N, n) gold_(i),
    gold_(i) belonging to the i-th smallest proxy (Nakano et al. 2021, arXiv 2112.09332). Samples
    with equal proxies are equally likely to be taken: each counts with their mean gold. Shapes
    [samples] both; unit of the gold score. NaN for no samples, or where any value is NaN. Raises
    `ValueError` for n < 1 or n > N.

    The best of three samples is in two of the three pairs, the second best wins the third:

    >>> round(best_of_n([10, 20, 30], [0.0, 1.0, 4.0], n=2), 6)
    3.0
    """
    p, g = arrays(1, proxy=proxy, gold=gold)
    if n < 1 or (p.size and n > p.size):
        raise ValueError(f"n = {n} is not between 1 and the {p.size} samples")
    if p.size == 0 or np.isnan(p).any() or np.isnan(g).any():
        return math.nan
    _, group, sizes = np.unique(p, return_inverse=True, return_counts=True)
    shared = np.repeat(np.bincount(group, weights=g) / sizes, sizes)
    return float(_chance_of_being_best(p.size, n) @ shared[n - 1 :])


def _chance_of_being_best(samples: int, n: int) -> Floats:
    """C(i-1, n-1) / C(samples, n) for the ranks i = n..samples, [samples - n + 1].

    Found downwards from n / samples by the ratio (i - n + 1) / i: binomials would overflow.
    """
    ranks = np.arange(samples - 1, n - 1, -1, dtype=np.float64)
    downwards = np.cumprod(np.concatenate([[n / samples], (ranks - n + 1) / ranks]))
    return np.asarray(downwards[::-1])


def _distances(d: FloatsLike) -> Floats:
    """`d` as floats; raises `ValueError` naming the first negative one."""
    distance = np.asarray(d, dtype=np.float64)
    if (distance < 0).any():
        raise ValueError(f"d = {distance[distance < 0][0]} is a distance and must be at least 0")
    return distance


def _least_squares(design: Floats, gold: Floats) -> tuple[float, float, float]:
    """The two coefficients and r squared; all NaN where the design does not settle both."""
    if gold.size == 0 or np.isnan(design).any() or np.isnan(gold).any():
        return NO_FIT[:3]
    solution, _, rank, _ = np.linalg.lstsq(design, gold)
    if rank < 2:
        return NO_FIT[:3]
    about_mean = float(np.sum((gold - gold.mean()) ** 2))
    residual = float(np.sum((gold - design @ solution) ** 2))
    r_squared = 1 - residual / about_mean if np.ptp(gold) else math.nan
    return float(solution[0]), float(solution[1]), r_squared
