"""The interval of a share over clusters: exact cases, what counts once, and how often it holds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from rlhf_testbed.measures.clusters import share_over_clusters


def test_at_the_edges_each_cluster_is_one_trial_of_clopper_and_pearson() -> None:
    exact = scipy.stats.binomtest(0, 16).proportion_ci(0.95, "exact")
    assert share_over_clusters([0] * 16, [5] * 16) == pytest.approx((0, exact.low, exact.high))
    exact = scipy.stats.binomtest(16, 16).proportion_ci(0.95, "exact")
    assert share_over_clusters([5] * 16, [5] * 16) == pytest.approx((1, exact.low, exact.high))


def test_single_trials_are_nearly_clopper_and_pearson() -> None:
    hits = [1] * 120 + [0] * 280
    exact = scipy.stats.binomtest(120, 400).proportion_ci(0.95, "exact")
    found = share_over_clusters(hits, [1] * 400)
    assert found == pytest.approx((0.3, exact.low, exact.high), abs=1e-3)


def test_what_is_there_twice_counts_once() -> None:
    once, twice = (share_over_clusters([n, 0, n, n, 0], [n] * 5) for n in (1, 7))
    assert once == pytest.approx(twice)
    assert once.mean == 0.6


def test_clusters_of_different_size_count_by_their_trials() -> None:
    assert share_over_clusters([9, 0], [9, 1]).mean == 0.9
    wide = share_over_clusters([9, 0, 5], [9, 9, 9])
    narrow = share_over_clusters([5, 4, 5], [9, 9, 9])
    assert wide.mean == narrow.mean
    assert narrow.high - narrow.low < wide.high - wide.low
    spread_alike = share_over_clusters([2] * 50, [4] * 50)
    exact = scipy.stats.binomtest(100, 200).proportion_ci(0.95, "exact")
    assert spread_alike == pytest.approx((0.5, exact.low, exact.high)), "never beyond all trials"


def test_too_few_clusters_and_bad_input() -> None:
    assert all(math.isnan(value) for value in share_over_clusters([], []))
    assert share_over_clusters([1], [2]).mean == 0.5
    assert math.isnan(share_over_clusters([1], [2]).low)
    for hits, trials in (([2], [1]), ([-1], [1]), ([0], [0])):
        with pytest.raises(ValueError, match=r"not all in \[0, trials\]"):
            share_over_clusters(hits, trials)
    with pytest.raises(ValueError, match="level = 1 is not in"):
        share_over_clusters([1, 0], [1, 1], level=1)


@pytest.mark.parametrize("trials", [1, 4])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_it_holds_a_planted_share_in_95_of_100(share: float, trials: int) -> None:
    """Of 60 scenarios whose own shares differ; the planted one is their mean."""
    rng = np.random.default_rng(int(100 * share) + trials)
    concentration, sets = 2.0, 600
    held = 0
    for _ in range(sets):
        own = rng.beta(share * concentration, (1 - share) * concentration, size=60)
        found = share_over_clusters(rng.binomial(trials, own), [trials] * 60)
        held += found.low <= share <= found.high
    assert held / sets > 0.93
