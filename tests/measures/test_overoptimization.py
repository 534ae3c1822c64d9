"""Over-optimisation: the forms, their peaks and fits, and best-of-n against all subsets."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from rlhf_testbed.measures.overoptimization import (
    best_of_n,
    best_of_n_form,
    best_of_n_peak,
    fit_best_of_n,
    fit_rl,
    kl_best_of_n,
    rl_form,
    rl_peak,
)

NAN = math.nan
COEFFICIENTS = st.floats(0.1, 3.0)


def test_forms_by_hand() -> None:
    assert rl_form([0.0, 1.0, math.e], 2.0, 0.5) == pytest.approx([0.0, 2.0, 1.5 * math.e])
    assert best_of_n_form([0.0, 1.0, 4.0], 2.0, 0.5) == pytest.approx([0.0, 1.5, 0.0])
    assert rl_form([[1.0], [1.0]], 2, 1).shape == (2, 1)
    assert float(best_of_n_form(2.0, 3, 1)) == 2.0
    assert np.isnan(rl_form([NAN], 1, 1)).all()
    assert np.isnan(best_of_n_form([NAN], 1, 1)).all()


@pytest.mark.parametrize("form", [rl_form, best_of_n_form])
def test_a_distance_is_not_negative(form: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"^d = -0.5 is a distance"):
        form([0.0, 1.0, -0.5], 1.0, 1.0)


def test_kl_of_best_of_n() -> None:
    assert kl_best_of_n(1) == 0.0
    assert kl_best_of_n(2) == pytest.approx(0.693147 - 0.5, abs=1e-6)
    assert kl_best_of_n(4) == pytest.approx(1.386294 - 0.75, abs=1e-6)
    with pytest.raises(ValueError, match=r"n = 0 must be at least 1"):
        kl_best_of_n(0)


@given(st.integers(2, 60))
def test_kl_of_best_of_n_is_that_of_the_largest_rank(n: int) -> None:
    """The largest of n uniforms has density n x^(n-1): KL by numeric integration."""
    x = (np.arange(200_000) + 0.5) / 200_000
    density = n * x ** (n - 1)
    numeric = np.mean(density * np.log(np.maximum(density, 1e-300)))
    assert kl_best_of_n(n) == pytest.approx(numeric, abs=1e-4)


@given(COEFFICIENTS, COEFFICIENTS)
def test_peaks_are_where_the_forms_are_largest(alpha: float, beta: float) -> None:
    for form, peak in (
        (rl_form, rl_peak(alpha, beta)),
        (best_of_n_form, best_of_n_peak(alpha, beta)),
    ):
        assert float(form(peak.d, alpha, beta)) == pytest.approx(peak.gold)
        top = minimize_scalar(
            lambda x, form=form: -float(form(x, alpha, beta)),
            bounds=(0, 2 * peak.d),
            method="bounded",
        )
        assert -top.fun == pytest.approx(peak.gold, rel=1e-6)
        assert top.x == pytest.approx(peak.d, rel=1e-3)


def test_peaks_by_hand() -> None:
    assert rl_peak(3.0, 3.0) == (1.0, 3.0)
    assert rl_peak(4.0, 2.0) == pytest.approx((math.e, 2 * math.e))
    assert rl_peak(-1.0, 1.0) == pytest.approx((math.exp(-2), math.exp(-2)))
    assert best_of_n_peak(6.0, 1.5) == (2.0, 6.0)
    assert best_of_n_peak(0.0, 1.0) == (0.0, 0.0)
    assert best_of_n_peak(-1.0, 1.0) == (0.0, 0.0)
    assert rl_peak(1.0, 1e-4).d == math.inf


@pytest.mark.parametrize("peak", [rl_peak, best_of_n_peak])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (1.0, -1.0), (NAN, 1.0), (1.0, NAN)])
def test_no_peak(peak: Callable[..., Any], alpha: float, beta: float) -> None:
    assert all(math.isnan(value) for value in peak(alpha, beta))


@given(COEFFICIENTS, COEFFICIENTS)
def test_fits_recover_the_coefficients(alpha: float, beta: float) -> None:
    d = np.linspace(0, 6, 8)
    rl = fit_rl(d, rl_form(d, alpha, beta))
    best = fit_best_of_n(d, best_of_n_form(d, alpha, beta))
    assert rl == pytest.approx((alpha, beta, 1.0, *rl_peak(alpha, beta)), rel=1e-5)
    assert best == pytest.approx((alpha, beta, 1.0, *best_of_n_peak(alpha, beta)), rel=1e-5)


def test_fit_with_a_residual_by_hand() -> None:
    # Columns d = (1, 2, 1) and -d^2 = (-1, -4, -1): gold (2, 4, 4) is fitted by (3, 4, 3), which is
    # alpha = 4, beta = 1. Residual 2, about the mean 10/3: 16/9 + 4/9 + 4/9 = 8/3, so 1 - 3/4.
    fit = fit_best_of_n([1.0, 2.0, 1.0], [2.0, 4.0, 4.0])
    assert fit == pytest.approx((4.0, 1.0, 0.25, 2.0, 4.0))
    # At d = 1 the logarithm is 0: alpha is the mean there, 3; at e, e (3 - beta) = e, beta = 2.
    fit = fit_rl([1.0, 1.0, math.e], [2.0, 4.0, math.e])
    mean = (6 + math.e) / 3
    about = (2 - mean) ** 2 + (4 - mean) ** 2 + (math.e - mean) ** 2
    assert fit[:3] == pytest.approx((3.0, 2.0, 1 - 2 / about))


@pytest.mark.parametrize("fit", [fit_rl, fit_best_of_n])
def test_a_fit_that_cannot_be_made(fit: Callable[..., Any]) -> None:
    cases: tuple[tuple[list[float], list[float]], ...] = (
        ([], []),
        ([2.0, 2.0], [1.0, 3.0]),
        ([0.0, 2.0], [0.0, 3.0]),
        ([1.0], [1.0]),
    )
    for d, gold in (*cases, ([1.0, NAN], [1.0, 2.0]), ([1.0, 2.0, 3.0], [1.0, 2.0, NAN])):
        assert all(math.isnan(value) for value in fit(d, gold))
    with pytest.raises(ValueError, match=r"d has shape \(2,\) but gold has shape \(1,\)"):
        fit([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match=r"is a distance"):
        fit([1.0, -2.0], [1.0, 2.0])


def test_a_fit_without_peak_or_variation() -> None:
    rising = fit_best_of_n([1.0, 2.0], [1.0, 4.0])
    assert rising[:3] == pytest.approx((0.0, -1.0, 1.0))
    assert math.isnan(rising.peak_d)
    assert math.isnan(rising.peak_gold)
    flat = fit_best_of_n([1.0, 2.0], [2.0, 2.0])
    assert flat[:2] == pytest.approx((3.0, 1.0))
    assert math.isnan(flat.r_squared)
    # Worse than the mean: 4 and 3 are met, the 4 at d = 0 is not. 1 - 16 / (2 / 3).
    assert fit_rl([1.0, 2.0, 0.0], [4.0, 3.0, 4.0]).r_squared == pytest.approx(-23.0)


def brute_force(proxy: list[int], gold: list[float], n: int) -> float:
    """Mean over all subsets of n of the mean gold of their best by proxy."""
    values = []
    for subset in combinations(range(len(proxy)), n):
        top = max(proxy[i] for i in subset)
        values.append(np.mean([gold[i] for i in subset if proxy[i] == top]))
    return float(np.mean(values))


def test_best_of_n_by_hand() -> None:
    proxy, gold = [30, 10, 20], [4.0, 0.0, 1.0]
    assert best_of_n(proxy, gold, 1) == pytest.approx(5 / 3)
    assert best_of_n(proxy, gold, 2) == pytest.approx(3.0)
    assert best_of_n(proxy, gold, 3) == pytest.approx(4.0)
    # All alike: whatever n, the mean.
    assert best_of_n([1, 1, 1], gold, 3) == pytest.approx(5 / 3)


@given(st.data(), st.lists(st.integers(-5, 5), min_size=1, max_size=7, unique=True))
def test_best_of_n_is_the_mean_over_all_subsets(data: st.DataObject, proxy: list[int]) -> None:
    gold = data.draw(st.lists(st.floats(-9, 9), min_size=len(proxy), max_size=len(proxy)))
    n = data.draw(st.integers(1, len(proxy)))
    assert best_of_n(proxy, gold, n) == pytest.approx(brute_force(proxy, gold, n), abs=1e-9)


@given(st.data(), st.lists(st.integers(0, 2), min_size=2, max_size=7))
def test_best_of_n_with_ties_ignores_the_order(data: st.DataObject, proxy: list[int]) -> None:
    gold = data.draw(st.lists(st.integers(-9, 9), min_size=len(proxy), max_size=len(proxy)))
    n = data.draw(st.integers(1, len(proxy)))
    order = data.draw(st.permutations(range(len(proxy))))
    shuffled = best_of_n([proxy[i] for i in order], [gold[i] for i in order], n)
    assert best_of_n(proxy, gold, n) == pytest.approx(shuffled, abs=1e-9)
    assert best_of_n(proxy, gold, n) == pytest.approx(
        brute_force(proxy, [float(value) for value in gold], n), abs=1e-9
    )


def test_best_of_n_with_ties_by_hand() -> None:
    # Pairs of (low 0, high 2, high 6): {0,2} 2, {0,6} 6, {2,6} the mean 4; their mean is 4.
    assert best_of_n([0, 1, 1], [0.0, 2.0, 6.0], 2) == pytest.approx(4.0)
    # Pairs of (low 0, low 6, high 9): {0,6} 3, twice 9: 7.
    assert best_of_n([0, 0, 1], [0.0, 6.0, 9.0], 2) == pytest.approx(7.0)


def test_best_of_n_of_many_samples_stays_finite() -> None:
    samples = np.arange(5000.0)
    # The largest of n out of 1..N has the mean n (N + 1) / (n + 1).
    for n in (1, 2, 1000, 4999, 5000):
        expected = n * 5001 / (n + 1) - 1
        assert best_of_n(samples, samples, n) == pytest.approx(expected, rel=1e-9)


def test_best_of_n_that_cannot_be_judged_or_asked() -> None:
    assert math.isnan(best_of_n([], [], 1))
    assert math.isnan(best_of_n([1.0, NAN], [1.0, 2.0], 1))
    assert math.isnan(best_of_n([1.0, 2.0], [NAN, 2.0], 2))
    with pytest.raises(ValueError, match=r"^n = 3 is not between 1 and the 2 samples$"):
        best_of_n([1.0, 2.0], [1.0, 2.0], 3)
    with pytest.raises(ValueError, match=r"^n = 0 is not between"):
        best_of_n([1.0, 2.0], [1.0, 2.0], 0)
    with pytest.raises(ValueError, match=r"^n = 0 is not between"):
        best_of_n([], [], 0)
    with pytest.raises(ValueError, match=r"proxy has shape \(2,\) but gold has shape \(1,\)"):
        best_of_n([1.0, 2.0], [1.0], 1)
