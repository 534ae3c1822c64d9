"""Six ways to an interval of a share, for `coverage_tables.py`: five that were tried, one taken.

METHODS["Student, clipped"](sets)    lower and upper ends [data sets] of sets [data sets, units]
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import scipy.special
import scipy.stats

from rlhf_testbed.measures.shares import interval_of_share, log_likelihood, places
from rlhf_testbed.shared.arrays import Floats

EPISODES = 200
"""Of each unit."""
Ends: TypeAlias = tuple[Floats, Floats]
"""Lower and upper ends [data sets]."""


def student(sets: Floats) -> Ends:
    """Today's: Student's t, which knows no bounds."""
    half = scipy.stats.t.ppf(0.975, sets.shape[1] - 1) * scipy.stats.sem(sets, axis=1)
    return sets.mean(axis=1) - half, sets.mean(axis=1) + half


def clipped(sets: Floats) -> Ends:
    """Student's t, cut at 0 and 1."""
    low, high = student(sets)
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


def log_odds(sets: Floats) -> Ends:
    """Student's t on log((x + 1/2) / (n - x + 1/2)), x of n episodes, and back."""
    counts = sets * EPISODES
    low, high = student(np.log((counts + 0.5) / (EPISODES - counts + 0.5)))
    back = [
        np.clip((scipy.special.expit(end) * (EPISODES + 1) - 0.5) / EPISODES, 0, 1)
        for end in (low, high)
    ]
    return back[0], back[1]


def bootstrap(sets: Floats) -> Ends:
    """Bias-corrected and accelerated bootstrap; where all are alike, the point."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = scipy.stats.bootstrap(
            (sets,), np.mean, axis=1, n_resamples=999, batch=100, method="BCa", rng=0
        ).confidence_interval
    alike = np.isnan(found.low) | np.isnan(found.high)
    mean = sets.mean(axis=1)
    return np.where(alike, mean, found.low), np.where(alike, mean, found.high)


def posterior(sets: Floats) -> Ends:
    """Beta-binomial, posterior: Jeffreys' prior of the mean, Beta(1/2, 4) of the correlation."""
    spread = np.geomspace(1e-5, 0.95, log_likelihood(sets[0]).shape[1])
    prior = 0.5 * np.log(spread) + 3 * np.log(1 - spread)
    ends = []
    for row in sets:
        logs = log_likelihood(row) + prior
        chances = np.exp(logs - logs.max()).sum(axis=1).cumsum()
        ends.append(np.interp([0.025, 0.975], chances / chances[-1], places()))
    return np.array(ends)[:, 0], np.array(ends)[:, 1]


def profile(sets: Floats) -> Ends:
    """Taken: beta-binomial, profile likelihood, cut as Student's t would be."""
    found = np.array([interval_of_share(row) for row in sets])
    return found[:, 1], found[:, 2]


METHODS: Mapping[str, Callable[[Floats], Ends]] = {
    "Student": student,
    "Student, clipped": clipped,
    "t on log-odds": log_odds,
    "BCa bootstrap": bootstrap,
    "beta-binomial posterior": posterior,
    "beta-binomial profile": profile,
}
TAKEN = "beta-binomial profile"
