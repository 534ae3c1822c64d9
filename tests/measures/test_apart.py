"""Two groups of units, matched or not: numbers worked by hand."""

from __future__ import annotations

import math

import pytest
import scipy.stats

from rlhf_testbed.measures.apart import Apart, paired, unpaired

NAN = math.nan


def all_nan(found: Apart) -> bool:
    return all(math.isnan(value) for value in found)


def test_matched_units_by_hand() -> None:
    # Differences 0, 2, 4: error 2 / sqrt(3), t(0.975, 2) = 4.303, p = 1 - sqrt(3 / 5).
    found = paired([1.0, 3.0, 5.0], [1.0, 1.0, 1.0])
    assert found.difference == 2
    assert found.high == pytest.approx(2 + 4.302653 * 2 / math.sqrt(3))
    assert found.p == pytest.approx(1 - math.sqrt(3 / 5))
    assert math.isnan(found.p_equivalent)


def test_matched_units_within_a_bound_by_hand() -> None:
    # Differences -1, 0, 1 against 1: t = sqrt(3) on two degrees of freedom, one side of it.
    found = paired([0.0, 1.0, 2.0], [1.0, 1.0, 1.0], bound=1.0)
    assert found.p_equivalent == pytest.approx((1 - math.sqrt(3 / 5)) / 2)


def test_groups_of_other_size_and_variance_by_hand() -> None:
    # Variances of the means 1 and 4 / 3, so (7 / 3)^2 / (1 / 1 + (4 / 3)^2 / 2) degrees of freedom.
    freedom = (7 / 3) ** 2 / (1 + (4 / 3) ** 2 / 2)
    half = scipy.stats.t.ppf(0.975, freedom) * math.sqrt(7 / 3)
    found = unpaired([4.0, 6.0], [1.0, 3.0, 5.0])
    assert found[:3] == pytest.approx((2.0, 2.0 - half, 2.0 + half))
    assert found.p == pytest.approx(2 * scipy.stats.t.sf(2 / math.sqrt(7 / 3), freedom))
    assert math.isnan(found.p_equivalent)


def test_groups_within_a_bound_by_hand() -> None:
    # An error of sqrt(2) on two degrees of freedom; one side of t has 1/2 - t / (2 sqrt(2 + t^2)).
    # At the difference 1 the near bound is 1 away, and decides.
    one_away = 0.5 - math.sqrt(0.5) / (2 * math.sqrt(2.5))
    for a, b in (([1.0, 3.0], [0.0, 2.0]), ([0.0, 2.0], [1.0, 3.0])):
        assert unpaired(a, b, bound=2.0).p_equivalent == pytest.approx(one_away)


def test_a_bound_beside_groups_of_other_size_and_variance_by_hand() -> None:
    freedom = (7 / 3) ** 2 / (1 + (4 / 3) ** 2 / 2)
    one_away = scipy.stats.t.sf(1 / math.sqrt(7 / 3), freedom)
    few, many = [4.0, 6.0], [1.0, 3.0, 5.0]
    for a, b in ((few, many), (many, few)):
        assert unpaired(a, b, bound=3.0).p_equivalent == pytest.approx(one_away)


def test_one_constant_group_leaves_the_others_variance() -> None:
    # The mean of 0 and 1 has the error 0.5 on one degree of freedom, for which t(0.975) is 12.706.
    for a, b, difference in (([1.0, 1.0], [0.0, 1.0], 0.5), ([0.0, 1.0], [1.0, 1.0], -0.5)):
        found = unpaired(a, b)
        half = 6.3531024
        assert found[:3] == pytest.approx((difference, difference - half, difference + half))


def test_constant_groups_have_a_point_and_the_limits_of_p() -> None:
    assert unpaired([1.0, 1.0], [0.5, 0.5], bound=0.6) == Apart(0.5, 0.5, 0.5, 0.0, 0.0)
    assert unpaired([0.5, 0.5], [1.0, 1.0], bound=0.5) == Apart(-0.5, -0.5, -0.5, 0.0, 1.0)
    same = unpaired([0.3, 0.1 + 0.2], [0.3, 0.3, 0.3])
    assert same[:4] == (0.0, 0.0, 0.0, 1.0)
    assert math.isnan(same.p_equivalent)


def test_what_only_rounding_tells_apart_is_no_difference() -> None:
    assert unpaired([0.1 + 0.2, 1.0], [0.3, 1.0]).difference == 0.0


def test_one_unit_has_a_difference_alone() -> None:
    for found in (
        unpaired([2.0], [1.0, 0.0], 0.1),
        unpaired([1.5, 2.5], [0.5], 0.1),
        paired([3.0], [1.5], 0.1),
    ):
        assert found.difference == 1.5
        assert math.isnan(found.low)
        assert math.isnan(found.p)
        assert math.isnan(found.p_equivalent)


def test_what_could_not_be_judged_makes_all_nan() -> None:
    assert all_nan(unpaired([1.0, NAN], [0.0, 1.0], 0.1))
    assert all_nan(unpaired([1.0, 2.0], [0.0, math.inf], 0.1))
    assert all_nan(unpaired([], [0.0, 1.0]))
    assert all_nan(unpaired([0.0, 1.0], []))
    assert all_nan(paired([1.0, NAN], [0.0, 1.0], 0.1))


@pytest.mark.parametrize("test", [paired, unpaired])
def test_a_bound_is_above_0(test: object) -> None:
    with pytest.raises(ValueError, match="bound"):
        test([1.0, 2.0], [1.0, 2.0], 0.0)  # type: ignore[operator]
