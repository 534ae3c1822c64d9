"""The interval of a share: within [0, 1], Student's in the middle, honest at the edges."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf_testbed.measures.shares import interval_of_share, is_share
from rlhf_testbed.measures.statistics import interval_over_seeds

SHARES = st.lists(st.integers(0, 100).map(lambda percent: percent / 100), min_size=2, max_size=8)


@given(SHARES)
def test_it_holds_the_mean_and_stays_inside(values: list[float]) -> None:
    mean, low, high = interval_of_share(values)
    assert 0 <= low <= mean <= high <= 1
    assert low < high
    narrow = interval_of_share(values, level=0.8)
    assert low <= narrow.low
    assert narrow.high <= high


@given(SHARES)
def test_successes_and_failures_mirror_each_other(values: list[float]) -> None:
    _, low, high = interval_of_share(values)
    mirrored = interval_of_share([1 - value for value in values])
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((low, high), abs=1e-6)


@pytest.mark.parametrize("values", [[0.40, 0.52, 0.47, 0.60, 0.55], [0.3, 0.34, 0.26] * 3])
def test_in_the_middle_it_is_nearly_student_s(values: list[float]) -> None:
    ours, theirs = interval_of_share(values), interval_over_seeds(values)
    assert ours.low == pytest.approx(theirs.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.high, abs=0.02)


def test_values_that_are_all_alike() -> None:
    """At an edge a unit far off may not have been drawn; in the middle it would have been seen."""
    assert interval_of_share([1.0] * 3).low == pytest.approx(0.60, abs=0.01)
    assert interval_of_share([1.0] * 5).low == pytest.approx(0.84, abs=0.01)
    assert interval_of_share([1.0] * 20).low == pytest.approx(0.98, abs=0.01)
    assert interval_of_share([0.0] * 3).high == pytest.approx(0.40, abs=0.01)
    middle = interval_of_share([0.5] * 5)
    assert 0.46 < middle.low < 0.5 < middle.high < 0.54


def test_what_can_not_be_judged() -> None:
    one = interval_of_share([0.3])
    assert one.mean == 0.3
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    for values in ([], [math.nan], [1.0, math.nan, 0.5]):
        assert all(math.isnan(value) for value in interval_of_share(values))


def test_what_is_no_share_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not all in \[0, 1\]"):
        interval_of_share([0.5, 1.2])
    with pytest.raises(ValueError, match=r"not in \(0, 1\)"):
        interval_of_share([0.5, 0.6], level=1.0)
    assert is_share([0.0, 1.0 + 1e-7])  # single precision
    assert not is_share([-0.01, 0.5])
    assert interval_of_share([1.0 + 1e-7, 1.0, 1.0]).high == pytest.approx(1.0)
