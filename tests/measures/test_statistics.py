"""Statistics over seeds: hand-worked numbers, scipy's own tests, coverage and power simulated."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from rlhf_testbed.measures.decisions import decide
from rlhf_testbed.measures.statistics import (
    equivalence,
    interval_over_seeds,
    paired_test,
    seeds_for_equivalence,
    seeds_needed,
)

NAN = math.nan
# On two degrees of freedom, P(|T| > sqrt(3)) = 1 - sqrt(3 / 5).
P_OF_ROOT_3 = 1 - math.sqrt(0.6)
T_2 = 4.302653  # t(0.975) on two degrees of freedom
T_2_ONE_SIDED = 2.919986  # t(0.95) on two degrees of freedom
SEEDS = st.lists(st.integers(-50, 50).map(lambda tenths: tenths / 10), min_size=3, max_size=8)


def test_interval_by_hand() -> None:
    # sd of 0, 2, 4 is 2; the error of the mean 2 / sqrt(3).
    half = T_2 * 2 / math.sqrt(3)
    assert interval_over_seeds([0.0, 2.0, 4.0]) == pytest.approx(
        (2.0, 2 - half, 2 + half), abs=1e-5
    )
    half = T_2_ONE_SIDED * 2 / math.sqrt(3)
    narrow = interval_over_seeds([0.0, 2.0, 4.0], level=0.9)
    assert narrow == pytest.approx((2.0, 2 - half, 2 + half), abs=1e-5)
    assert interval_over_seeds([0.25, 0.25]) == (0.25, 0.25, 0.25)


def test_interval_that_cannot_be_judged() -> None:
    one = interval_over_seeds([0.3])
    assert one.mean == 0.3
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    for values in ([], [NAN], [1.0, NAN, 2.0], [1.0, math.inf], [-math.inf]):
        assert all(math.isnan(value) for value in interval_over_seeds(values))


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, -0.1])
def test_interval_refuses_a_level_that_is_no_share(level: float) -> None:
    with pytest.raises(ValueError, match=r"^level = .* is not in \(0, 1\)$"):
        interval_over_seeds([1.0, 2.0], level)


def test_interval_covers_as_often_as_it_says() -> None:
    draws = np.random.default_rng(7).normal(3.0, 2.0, size=(2000, 4))
    for level in (0.95, 0.8):
        intervals = [interval_over_seeds(row, level) for row in draws]
        covered = np.mean([found.low <= 3.0 <= found.high for found in intervals])
        # Four standard errors of a share over 2000 draws.
        assert covered == pytest.approx(level, abs=4 * math.sqrt(level * (1 - level) / 2000))


@given(SEEDS, st.floats(-2, 2))
def test_paired_test_agrees_with_scipy(a: list[float], shift: float) -> None:
    b = [shift * i for i in range(len(a))]
    found = paired_test(a, b)
    difference = np.subtract(a, b)
    if np.ptp(difference) < 1e-6:
        return
    theirs = scipy.stats.ttest_rel(a, b)
    bounds = theirs.confidence_interval(0.95)
    expected = (difference.mean(), bounds.low, bounds.high, theirs.pvalue)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_paired_test_by_hand() -> None:
    # Differences 0, 2, 4.
    found = paired_test([1.0, 3.0, 5.0], [1.0, 1.0, 1.0])
    half = T_2 * 2 / math.sqrt(3)
    assert found == pytest.approx((2.0, 2 - half, 2 + half, P_OF_ROOT_3), abs=1e-5)
    assert paired_test([1.0, 1.0, 1.0], [1.0, 3.0, 5.0]).difference == -2.0
    assert paired_test([1.0, 1.0, 1.0], [1.0, 3.0, 5.0]).p == pytest.approx(found.p)


def test_paired_test_of_differences_that_are_all_alike() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert paired_test([1.0, 2.0], [0.5, 1.5]) == (0.5, 0.5, 0.5, 0.0)
        assert paired_test([1.0, 2.0], [1.5, 2.5]) == (-0.5, -0.5, -0.5, 0.0)
        assert paired_test([1.0, 2.0], [1.0, 2.0]) == (0.0, 0.0, 0.0, 1.0)
        # 0.1 + 0.2 is not 0.3 in floating point, and 0.9 - 0.7 is not 0.5 - 0.3.
        assert paired_test([0.1 + 0.2, 1.0], [0.3, 1.0]) == (0.0, 0.0, 0.0, 1.0)
        assert paired_test([0.9, 0.5], [0.7, 0.3]) == pytest.approx((0.2, 0.2, 0.2, 0.0))
        assert paired_test([0.9, 0.5], [0.7, 0.3]).p == 0.0
        assert paired_test([0.0, 0.0], [0.0, 0.0]).p == 1.0


def test_paired_test_that_cannot_be_judged() -> None:
    one = paired_test([0.5], [0.25])
    assert one.difference == 0.25
    assert all(math.isnan(value) for value in one[1:])
    for a, b in (([], []), ([1.0, NAN], [1.0, 2.0]), ([1.0, 2.0], [NAN, 2.0])):
        assert all(math.isnan(value) for value in paired_test(a, b))
    with pytest.raises(ValueError, match=r"^a has shape \(2,\) but b has shape \(1,\)$"):
        paired_test([1.0, 2.0], [1.0])


@given(SEEDS, st.floats(0.1, 5))
def test_equivalence_is_two_one_sided_tests(a: list[float], bound: float) -> None:
    found = equivalence(a, [0.0] * len(a), bound)
    if np.ptp(a) == 0:
        return
    below = scipy.stats.ttest_1samp(a, bound, alternative="less")
    above = scipy.stats.ttest_1samp(a, -bound, alternative="greater")
    assert found.p == pytest.approx(max(below.pvalue, above.pvalue), rel=1e-6, abs=1e-12)
    assert (found.low, found.high) == pytest.approx(
        tuple(scipy.stats.ttest_1samp(a, 0).confidence_interval(0.9)), rel=1e-6, abs=1e-9
    )
    if abs(found.p - 0.05) > 1e-9:
        assert found.equivalent == (-bound < found.low and found.high < bound)


def test_equivalence_by_hand() -> None:
    # Differences -1, 0, 1 within 1: t = 1 / (1 / sqrt(3)) = sqrt(3) on each side.
    found = equivalence([0.0, 1.0, 2.0], [1.0, 1.0, 1.0], bound=1.0)
    half = T_2_ONE_SIDED / math.sqrt(3)
    assert found.p == pytest.approx(P_OF_ROOT_3 / 2)
    assert (found.difference, found.low, found.high) == pytest.approx((0.0, -half, half), abs=1e-5)
    assert found.equivalent is False
    # The edge is where the 90 % interval ends.
    assert equivalence([0.0, 1.0, 2.0], [1.0, 1.0, 1.0], bound=half + 1e-4).equivalent is True
    assert equivalence([0.0, 1.0, 2.0], [1.0, 1.0, 1.0], bound=half - 1e-4).equivalent is False


def test_equivalence_of_differences_that_are_all_alike() -> None:
    assert equivalence([1.0, 2.0], [0.5, 1.5], 0.75) == (0.5, 0.0, True, 0.5, 0.5)
    assert equivalence([1.0, 2.0], [0.5, 1.5], 0.25) == (0.5, 1.0, False, 0.5, 0.5)
    assert equivalence([0.5, 1.5], [1.0, 2.0], 0.25) == (-0.5, 1.0, False, -0.5, -0.5)
    assert equivalence([1.0, 2.0], [0.5, 1.5], 0.5).equivalent is False
    assert equivalence([1.0, 2.0], [1.0, 2.0], 0.1) == (0.0, 0.0, True, 0.0, 0.0)


def test_equivalence_that_cannot_be_judged() -> None:
    one = equivalence([0.5], [0.25], 0.1)
    assert one.difference == 0.25
    assert one.equivalent is False
    assert math.isnan(one.p)
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    unknown = equivalence([0.5, NAN], [0.25, 0.5], 0.1)
    assert math.isnan(unknown.difference)
    assert math.isnan(unknown.p)
    assert not unknown.equivalent
    for bound in (0.0, -0.1, NAN):
        with pytest.raises(ValueError, match=r"^bound = .* is not above 0$"):
            equivalence([0.5, 0.5], [0.25, 0.5], bound)


def test_decide_moved() -> None:
    found = decide([0.98, 0.97, 0.99, 0.96], [0.02, 0.01, 0.05, 0.0], bound=0.1)
    assert found.verdict == "moved"
    assert found.reason == "difference 0.955 (95 % interval 0.939 to 0.971, p = 3.2e-07)"


def test_decide_equivalent() -> None:
    # Differences 0.01, -0.01, 0: t(0.95) 0.01 / sqrt(3) = 0.0169.
    found = decide([0.51, 0.49, 0.5], [0.5, 0.5, 0.5], bound=0.1)
    assert found.verdict == "equivalent"
    assert found.reason.startswith("difference ")
    assert found.reason.endswith("(90 % interval -0.0169 to 0.0169 is within ±0.1)")


def test_decide_says_when_it_is_both() -> None:
    found = decide([0.52, 0.521, 0.519], [0.5, 0.5, 0.5], bound=0.1)
    assert found.verdict == "equivalent"
    assert "within ±0.1), though it differs from 0 (p = 0.00083)" in found.reason
    assert "same in all" not in found.reason


def test_decide_undecided() -> None:
    found = decide([0.0, 2.0, 4.0], [0.0, 0.0, 0.0], bound=1.0)
    assert found.verdict == "undecided"
    assert found.reason == (
        "difference 2 (95 % interval -2.97 to 6.97, p = 0.23): neither apart from 0 nor within ±1"
    )


def test_decide_of_differences_that_are_all_alike() -> None:
    moved = decide([1.0, 1.0], [0.0, 0.0], bound=0.1)
    assert moved.verdict == "moved"
    assert moved.reason.endswith("p < 1e-09); the same in all 2 seeds")
    alike = decide([0.5, 0.7, 0.9], [0.5, 0.7, 0.9], bound=0.1)
    assert alike.verdict == "equivalent"
    assert alike.reason == (
        "difference 0 (90 % interval 0 to 0 is within ±0.1); the same in all 3 seeds"
    )


def test_decide_with_too_few_seeds() -> None:
    assert decide([0.9], [0.1], 0.1) == ("undecided", "1 seed")
    assert decide([], [], 0.1) == ("undecided", "0 seeds")
    assert decide([0.9, NAN, 0.8], [0.1, 0.1, math.inf], 0.1) == (
        "undecided",
        "2 of 3 seeds could not be judged",
    )
    assert decide([NAN], [0.1], 0.1).reason == "1 of 1 seed could not be judged"
    with pytest.raises(ValueError, match=r"^bound = 0 is not above 0"):
        decide([0.9, 0.8], [0.1, 0.1], 0)


def test_decide_errs_as_often_as_it_says() -> None:
    """No difference: "moved" in 5 %. A difference as large as the bound: "equivalent" in 5 %."""
    rng = np.random.default_rng(11)
    still = [decide(x, np.zeros(5), 1e-6).verdict for x in rng.normal(0, 1, (1000, 5))]
    edge = [decide(x, np.zeros(5), 3.0).verdict for x in rng.normal(3, 1, (1000, 5))]
    assert np.mean(np.array(still) == "moved") == pytest.approx(0.05, abs=0.028)
    assert np.mean(np.array(edge) == "equivalent") == pytest.approx(0.05, abs=0.028)


@pytest.mark.parametrize(("effect", "seeds"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)])
def test_seeds_needed_matches_the_published_tables(effect: float, seeds: int) -> None:
    """A paired t test at 5 %, power 0.8: the sizes that G*Power gives."""
    assert seeds_needed(1.0, effect) == seeds
    assert seeds_needed(1.0, -effect) == seeds
    assert seeds_needed(0.1, effect / 10) == seeds


def test_seeds_needed_reaches_the_power_by_simulation() -> None:
    n = seeds_needed(1.0, 1.5, power=0.9, level=0.01)
    draws = np.random.default_rng(3).normal(1.5, 1.0, size=(20_000, n))
    for seeds, enough in ((n, True), (n - 1, False)):
        power = np.mean(scipy.stats.ttest_1samp(draws[:, :seeds], 0, axis=1).pvalue < 0.01)
        assert bool(power > 0.895) is enough


def test_seeds_needed_counts_both_sides() -> None:
    """A tiny effect at a power near the level is reached by errors of both signs: 2 x 2.5 %."""
    assert seeds_needed(1.0, 1e-6, power=0.05) == 2


def test_seeds_for_equivalence_reaches_the_power_by_simulation() -> None:
    assert seeds_for_equivalence(1.0, 1.0) == 11
    assert seeds_for_equivalence(0.2, 0.2) == 11
    # A bound of three deviations: three seeds have a power of 0.86, four of 0.99.
    assert seeds_for_equivalence(1.0, 3.0, power=0.85) == 3
    assert seeds_for_equivalence(1.0, 3.0, power=0.9) == 4
    rng = np.random.default_rng(5)
    for bound, power, level in ((1.0, 0.8, 0.05), (1.5, 0.9, 0.1)):
        n = seeds_for_equivalence(1.0, bound, power, level)
        draws = rng.normal(0, 1, size=(20_000, n))
        for seeds, enough in ((n, True), (n - 1, False)):
            x = draws[:, :seeds]
            half = (
                scipy.stats.t.ppf(1 - level, seeds - 1) * x.std(axis=1, ddof=1) / math.sqrt(seeds)
            )
            reached = np.mean(np.abs(x.mean(axis=1)) + half < bound)
            assert bool(reached > power - 0.004) is enough


def test_the_smallest_plan_is_two_seeds() -> None:
    assert seeds_needed(0.0, 0.1) == 2
    assert seeds_for_equivalence(0.0, 0.1) == 2
    assert seeds_needed(1.0, 1e6) == 2
    assert seeds_for_equivalence(1.0, 1e6) == 2
    assert seeds_needed(1.0, 5.0) == 3
    assert seeds_for_equivalence(1.0, 5.0) == 3
    assert seeds_needed(1.0, 0.003) == 872_098  # within the million, found past the last doubling


@pytest.mark.parametrize("plan", [seeds_needed, seeds_for_equivalence])
def test_plans_refuse_what_makes_no_sense(plan: Callable[..., Any]) -> None:
    cases = [
        ((1.0, 0.0), r"(\|effect\||bound) = 0.0 is not above 0"),
        ((1.0, NAN), "is not above 0"),
        ((-1.0, 0.5), "sd = -1.0 is not a standard deviation"),
        ((NAN, 0.5), "sd = nan is not"),
        ((math.inf, 0.5), "sd = inf is not"),
        ((1.0, 0.5, 1.0), "power = 1.0 is not in"),
        ((1.0, 0.5, 0.8, 0.0), "level = 0.0 is not in"),
        ((1.0, 1e-4), "power = 0.8 would take more than 1000000 seeds"),
    ]
    for arguments, message in cases:
        with pytest.raises(ValueError, match=message):
            plan(*arguments)
    with pytest.raises(ValueError, match=r"bound = -1.0 is not above 0"):
        seeds_for_equivalence(1.0, -1.0)
