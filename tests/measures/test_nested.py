"""Training seeds within base policies: numbers worked by hand, and planted components."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rlhf_testbed.measures.nested import (
    Components,
    Needed,
    to_show_a_move,
    to_show_equivalence,
    units,
    variance_components,
)
from rlhf_testbed.measures.statistics import seeds_for_equivalence, seeds_needed

NAN = math.nan


def test_units_are_seeds_of_one_base_policy_and_means_of_several() -> None:
    assert units([1.0, 2.0], [7, 7]).tolist() == [1.0, 2.0]
    assert units([1.0, 5.0, 3.0, 6.0], [2, 0, 2, 0]).tolist() == [5.5, 2.0]
    assert units([], []).size == 0
    with pytest.raises(ValueError, match="2 runs but bases has 1"):
        units([1.0, 2.0], [0])


def test_a_run_that_could_not_be_judged_spoils_its_base_policy_only() -> None:
    found = units([1.0, NAN, 3.0, 4.0], [0, 0, 1, 1])
    assert math.isnan(found[0])
    assert found[1] == 3.5


def test_components_by_hand_with_unequal_numbers() -> None:
    # Groups 0, 2 and 5: SS_within 2 on one degree of freedom; grand mean 7 / 3, so SS_between is
    # 2 (1 - 7/3)^2 + (5 - 7/3)^2 = 32 / 3; n0 = 3 - 5 / 3 = 4 / 3; (32/3 - 2) / (4/3) = 6.5.
    found = variance_components([0.0, 2.0, 5.0], [0, 0, 1])
    assert found == pytest.approx((6.5, 2.0))
    assert found.share == pytest.approx(6.5 / 8.5)


def test_components_that_can_not_be_told() -> None:
    assert variance_components([1.0, 3.0], [0, 0]).within == 2.0
    assert math.isnan(variance_components([1.0, 3.0], [0, 0]).between)
    for values, bases in (([1.0, 3.0], [0, 1]), ([], []), ([1.0, NAN, 2.0], [0, 0, 1])):
        assert all(math.isnan(one) for one in variance_components(values, bases))
    alike = variance_components([1.0] * 4, [0, 0, 1, 1])
    assert alike == (0.0, 0.0)
    assert math.isnan(alike.share)
    # Base policies closer than their seeds' noise: no negative variance.
    assert variance_components([0.0, 2.0, 0.1, 1.9], [0, 0, 1, 1]).between == 0.0


@pytest.mark.parametrize(("between", "within"), [(0.2, 0.1), (0.1, 0.3)])
def test_planted_components_are_recovered(between: float, within: float) -> None:
    rng = np.random.default_rng(3)
    bases = [base for base in range(400) for _ in range(3)]
    values = np.repeat(between * rng.standard_normal(400), 3) + within * rng.standard_normal(1200)
    found = variance_components(values, bases)
    assert math.sqrt(found.between) == pytest.approx(between, rel=0.15)
    assert math.sqrt(found.within) == pytest.approx(within, rel=0.1)


def test_designs_take_the_variance_of_a_base_policy_s_mean() -> None:
    found = to_show_equivalence(Components(0.04, 0.08), bound=0.3)
    sds = [math.sqrt(0.04 + 0.08 / seeds) for seeds in (1, 2, 4)]
    assert found == [
        Needed(seeds_for_equivalence(sd, 0.3), seeds)
        for sd, seeds in zip(sds, (1, 2, 4), strict=True)
    ]
    assert found[0].base_policies > found[2].base_policies
    moves = to_show_a_move(Components(0.04, 0.0), effect=0.3)
    assert {one.base_policies for one in moves} == {seeds_needed(0.2, 0.3)}


def test_designs_of_one_base_policy_and_of_nothing() -> None:
    assert to_show_equivalence(Components(NAN, 1.0), 1.0) == [Needed(1, 11)]
    assert to_show_a_move(Components(NAN, NAN), 1.0) == []
