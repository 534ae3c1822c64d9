"""Do samples fit the probabilities that they are said to be drawn with? A chi-square test.

    64 scenarios, one response each, and the exact probability of every response to each of them
    fit(chances, chosen)    0.78: they fit; 1e-44: they were drawn from something else

Each sample has a place between 0 and 1 in its own distribution, the likeliest responses first.
Drawn with those probabilities, places are even, whatever the distributions are.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import scipy.stats

from rlhf_testbed.measures.arguments import arrays
from rlhf_testbed.shared.arrays import Floats, FloatsLike

MOST_BINS = 8
PER_BIN = 4
"""Samples that a bin has on average, at least."""


def fit(chances: FloatsLike, chosen: Sequence[int]) -> float:
    """The p-value of a chi-square test (Pearson 1900) that the samples fit their probabilities.

    `chances` [samples, responses]: the probability of every response to each sample's scenario;
    `chosen` [samples]: the index of what was sampled, `responses` for anything else. Places within
    a response are dealt out evenly, by chance, as randomised probability integral transforms are
    (Smith 1985, J. Forecasting 4). NaN for fewer than eight samples, which can't tell.

    >>> fit([[0.5, 0.5]] * 64, [0, 1] * 32) > 0.01
    True
    >>> fit([[0.5, 0.5]] * 64, [2] * 64) < 1e-12
    True
    """
    (given,) = arrays(2, chances=chances)
    if len(given) < 2 * PER_BIN:
        return float("nan")
    rest = np.maximum(0.0, 1.0 - given.sum(axis=1, keepdims=True))
    places = _places(np.concatenate([given, rest], axis=1), chosen)
    bins = min(MOST_BINS, len(places) // PER_BIN)
    counts = np.bincount(np.minimum(places * bins, bins - 1).astype(int), minlength=bins)
    return float(scipy.stats.chisquare(counts).pvalue)


def _places(chances: Floats, chosen: Sequence[int]) -> Floats:
    """The place of each sample in its own distribution: [samples], in [0, 1]."""
    dealt = random.Random(0)
    found = np.empty(len(chances))
    for at, (row, index) in enumerate(zip(chances, chosen, strict=True)):
        order = np.argsort(-row, kind="stable")
        before = row[order[: int(np.flatnonzero(order == index)[0])]].sum()
        found[at] = min(1.0, before + dealt.random() * row[index])
    return found
