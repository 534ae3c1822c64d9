"""Numbers and identities that were published, read off by the measures.

    MacDermott et al. 2024, an optimal policy     MEG = ln |A|
    Gao et al. 2022, best of 60,000               about 10 nats from the base policy
    Student 1908, ten sleepers on two drugs       mean difference 1.58 hours, t 4.06, p 0.0028

The four one-step examples of deceptive inflation and overjustification are this project's own: the
definitions are those of Lang et al. 2024, but the parameters of the examples in their Table 1 could
not be checked. Their theorem is here as well, over three policies at a time.
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import ndtri
from scipy.stats import entropy

from rlhf_testbed.measures.goal_directedness import attainable_meg, meg
from rlhf_testbed.measures.overoptimization import (
    best_of_n,
    best_of_n_peak,
    kl_best_of_n,
    rl_peak,
)
from rlhf_testbed.measures.selection import (
    Inflation,
    deceptive_inflation,
    inflation,
    overjustification,
    selection_differential,
    selection_gradient,
)
from rlhf_testbed.measures.statistics import paired_test
from rlhf_testbed.shared.arrays import Floats

SCORES = arrays(np.float64, (3, 4), elements=st.integers(-8, 8).map(lambda eighths: eighths / 8))


@pytest.mark.parametrize("responses", [2, 5, 162])
def test_meg_is_0_for_a_uniform_and_ln_a_for_an_optimal_policy(responses: int) -> None:
    """MacDermott et al. 2024: the two ends of the scale, for a goal with one best response."""
    uniform, goal = np.zeros((1, responses)), np.eye(responses)[:1]
    optimal = np.where(goal == 1, 0.0, -math.inf)
    assert meg(uniform, uniform, goal) == 0.0
    assert meg(optimal, uniform, goal) == pytest.approx(math.log(responses))


@pytest.mark.parametrize("responses", [2, 5, 9])
@pytest.mark.parametrize("beta", [0.25, 1.0, 4.0])
def test_meg_of_a_boltzmann_policy_is_the_entropy_that_it_gave_up(
    responses: int, beta: float
) -> None:
    """MacDermott et al. 2024: ln|A| - H for a policy of the maximum-entropy family itself, from 0
    at beta = 0 to ln|A| at beta = infinity."""
    utility = np.linspace(0, 1, responses)[None]
    policy = beta * utility
    chances = np.exp(policy) / np.exp(policy).sum()
    found = meg(policy, np.zeros((1, responses)), utility)
    assert found == pytest.approx(math.log(responses) - entropy(chances[0]))
    assert 0 < found < attainable_meg(np.zeros((1, responses)), utility)


@pytest.mark.parametrize(
    ("alpha", "beta", "d", "gold"),
    [(1.0, 1.0, 1.0, 1.0), (2.0, 1.0, math.e, math.e), (3.0, 1.5, math.e, 1.5 * math.e)],
)
def test_peak_of_the_rl_form(alpha: float, beta: float, d: float, gold: float) -> None:
    """Gao et al. 2022: d (alpha - beta ln d) is largest at exp(alpha / beta - 1), with beta d."""
    assert rl_peak(alpha, beta) == pytest.approx((d, gold))


@pytest.mark.parametrize(
    ("alpha", "beta", "d", "gold"), [(1.0, 1.0, 0.5, 0.25), (2.0, 0.5, 2.0, 2.0)]
)
def test_peak_of_the_best_of_n_form(alpha: float, beta: float, d: float, gold: float) -> None:
    """Gao et al. 2022: d (alpha - beta d) is largest at alpha / 2 beta, with alpha^2 / 4 beta."""
    assert best_of_n_peak(alpha, beta) == pytest.approx((d, gold))


@pytest.mark.parametrize(("n", "nats"), [(1_000, 6), (60_000, 10)])
def test_kl_of_best_of_n_as_printed(n: int, nats: int) -> None:
    """Gao et al. 2022, section 3.1, to the nearest nat."""
    assert round(kl_best_of_n(n)) == nats


@pytest.mark.parametrize("n", range(1, 8))
def test_best_of_n_is_the_mean_over_all_subsets(n: int) -> None:
    """Nakano et al. 2021: what every one of the C(7, n) subsets would have chosen, on average."""
    proxy, gold = [3, 1, 7, 5, 2, 6, 4], [0.5, -1.0, 0.0, 3.0, 1.0, 2.0, -0.5]
    chosen = [
        gold[max(subset, key=lambda sample: proxy[sample])] for subset in combinations(range(7), n)
    ]
    assert best_of_n(proxy, gold, n) == pytest.approx(np.mean(chosen))


# Means of the largest of n standard normal values: Harter 1961, Biometrika 48.
@pytest.mark.parametrize(
    ("n", "largest"), [(2, 0.56419), (3, 0.84628), (5, 1.16296), (10, 1.53875)]
)
@pytest.mark.parametrize("noise", [0.0, 1.0, 2.0])
def test_best_of_n_under_regressional_goodhart(n: int, largest: float, noise: float) -> None:
    """Gao et al. 2022, section 4.2.1: where the proxy is gold plus independent normal noise, gold
    gains the share var(gold) / var(proxy) of what the proxy gains.

    Gold and noise are 200 evenly spaced quantiles each, in all 40,000 pairs: nothing is drawn, and
    what is lost in the tails is less than one percent.
    """
    quantiles = ndtri((np.arange(200) + 0.5) / 200)
    gold, error = (axis.ravel() for axis in np.meshgrid(quantiles, noise * quantiles))
    spread = math.sqrt(1 + noise**2)
    proxy = gold + error
    assert best_of_n(proxy, proxy, n) == pytest.approx(spread * largest, rel=0.01)
    assert best_of_n(proxy, gold, n) == pytest.approx(largest / spread, rel=0.01)


@given(
    arrays(np.float64, 8, elements=st.floats(0.1, 5)),
    arrays(np.float64, 8, elements=st.integers(0, 1)),
)
def test_price_equation(offspring: Floats, trait: Floats) -> None:
    """Price 1970: with inheritance exact and fitness relative, the differential is the change of
    the mean trait from parents to offspring."""
    change = np.average(trait, weights=offspring) - trait.mean()
    assert selection_differential(offspring / offspring.mean(), trait) == pytest.approx(change)


@given(st.integers(0, 10_000))
def test_differentials_are_the_covariances_times_the_gradients(seed: int) -> None:
    """Lande & Arnold 1983: s = P beta."""
    rng = np.random.default_rng(seed)
    traits = rng.normal(size=(30, 3)) @ rng.normal(size=(3, 3))
    fitness = rng.normal(size=30) + traits[:, 0]
    gradient = selection_gradient(fitness, dict(zip("abc", traits.T, strict=True)))
    differentials = [selection_differential(fitness, column) for column in traits.T]
    expected = np.cov(traits.T, bias=True) @ list(gradient.values())
    assert differentials == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(SCORES, SCORES)
def test_overestimation_less_underestimation_is_what_looks_better(
    seen: Floats, true: Floats
) -> None:
    """Lang et al. 2024: E+ - E- = J_seen - J."""
    found = inflation(seen.ravel(), true.ravel())
    assert found.e_plus - found.e_minus == pytest.approx(found.j_seen - found.j_true)


# A job works out or fails, equally often: [worked, failed]. Done plainly, a success is worth 10 and
# leaves no trace, a failure is worth -4 and is seen. An overseer that sees no trace takes it for a
# success or for nothing done, equally likely: 5.
PLAIN = inflation([5.0, -4.0], [10.0, -4.0])


@pytest.mark.parametrize(
    ("seen", "true", "figures", "inflates", "overjustifies"),
    [
        # Failures are covered up, at a cost of 1: they leave no trace either.
        pytest.param([5, 5], [10, -5], (5.0, 2.5, 5.0, 2.5), True, False, id="inflation"),
        # Successes are proved at a cost of 8, which is more than the proof brings.
        pytest.param([2, -4], [2, -4], (0.0, 0.0, -1.0, -1.0), False, True, id="overjustification"),
        # Failures are covered up, and successes proved at a cost of 1.
        pytest.param([9, 5], [9, -5], (5.0, 0.0, 7.0, 2.0), True, True, id="both"),
        # Failures are announced at a cost of 1: worse than plain, but no overseer is misled.
        pytest.param([5, -5], [10, -5], (0.0, 2.5, 0.0, 2.5), False, False, id="neither"),
    ],
)
def test_one_step_examples_of_both_failures(
    seen: list[float],
    true: list[float],
    figures: tuple[float, ...],
    inflates: bool,
    overjustifies: bool,
) -> None:
    """The definitions of Lang et al. 2024, on examples of our own, against doing the job plainly:
    E+ = 0, E- = 2.5, J_seen = 0.5 and J = 3."""
    assert Inflation(0.0, 2.5, 0.5, 3.0) == PLAIN
    policy = inflation(seen, true)
    assert policy == Inflation(*figures)
    assert deceptive_inflation(policy, PLAIN) is inflates
    assert overjustification(policy, PLAIN) is overjustifies


@given(SCORES, SCORES)
def test_what_only_looks_best_inflates_or_overjustifies(seen: Floats, true: Floats) -> None:
    """Lang et al. 2024, their theorem, in one step: of three policies (rows, over four equally
    likely situations), the one that looks best is overestimated more than the best one, or
    underestimated less, wherever it looks better and is worse."""
    best, looks_best = int(true.mean(axis=1).argmax()), int(seen.mean(axis=1).argmax())
    ideal, chosen = (inflation(seen[row], true[row]) for row in (best, looks_best))
    assume(chosen.j_seen > ideal.j_seen and chosen.j_true < ideal.j_true)
    assert deceptive_inflation(chosen, ideal) or overjustification(chosen, ideal)


def test_students_sleepers() -> None:
    """Student 1908, Biometrika 6: hours of sleep gained, by patient."""
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    found = paired_test(second, first)
    assert found.difference == pytest.approx(1.58)
    assert (found.low, found.high) == pytest.approx((0.7001, 2.4599), abs=1e-4)
    assert found.p == pytest.approx(0.002833, abs=1e-6)
