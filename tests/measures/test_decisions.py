"""Holm's correction by hand and by simulation; decisions among several contrasts."""

from __future__ import annotations

import math

import numpy as np

from rlhf_testbed.measures.decisions import Corrected, corrected, decide, holm

A, B = [0.50, 0.60, 0.70, 0.62], [0.0, 0.1, 0.2, 0.05]


def test_holm_by_hand() -> None:
    # Sorted: 0.01 * 4, 0.02 * 3, 0.03 * 2, 0.5 * 1; 0.06 = 0.02 * 3 holds for 0.03, too.
    found = holm([0.03, 0.01, 0.5, 0.02])
    np.testing.assert_allclose(found, [0.06, 0.04, 0.5, 0.06])
    np.testing.assert_allclose(holm([0.6, 0.9]), [1.0, 1.0])
    assert holm([]).size == 0


def test_what_could_not_be_judged_is_no_test() -> None:
    found = holm([0.01, math.nan, 0.04])
    np.testing.assert_allclose(found[[0, 2]], [0.02, 0.04])
    assert math.isnan(found[1])


def test_the_chance_of_any_false_move_is_kept() -> None:
    rng = np.random.default_rng(5)
    false = 0
    for _ in range(400):
        pairs = [(rng.standard_normal(5), np.zeros(5), 1e-6) for _ in range(8)]
        false += any(one.p < 0.05 for one in corrected(pairs))
    assert false / 400 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)
    assert false > 0


def test_a_move_that_holds_alone_may_not_hold_among_others() -> None:
    alone = decide(A, B, bound=0.1)
    assert alone.verdict == "moved"
    among = decide(A, B, 0.1, "base policy", Corrected(0.07, 1.0, 12))
    assert among.verdict == "undecided"
    assert among.reason.endswith("apart from 0 taken alone, but not among 12 contrasts")
    assert "0.07 among 12 contrasts" in among.reason


def test_units_are_named() -> None:
    assert decide([1.0], [0.0], 0.1, "base policy").reason == "1 base policy"
    assert decide([1.0, math.nan], [0.0, 0.0], 0.1, "base policy").reason == (
        "1 of 2 base policies could not be judged"
    )
    alike = decide([0.5] * 3, [0.5] * 3, 0.1, "base policy", Corrected(1.0, 0.0, 2))
    assert alike.verdict == "equivalent"
    assert alike.reason.endswith("the same in all 3 base policies")
