"""The noisy overseer: how often it errs and by how much; on what looks alike it errs alike."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf_testbed.overseers.base import Sight
from rlhf_testbed.overseers.noisy import Noisy, chance_preferred, draw
from rlhf_testbed.overseers.scripted import Scripted
from rlhf_testbed.tasks.base import Dials, Verdict, View
from rlhf_testbed.tasks.corridor import Corridor

TASK = Corridor()
EPISODES = [
    (response, Sight(0.0).of(scenario, TASK.outcome(scenario, response)))
    for scenario in TASK.scenarios(Dials(randomised=1), 0, "train", 60)
    for response in TASK.responses
]


def _judged(*args: float, seed: int = 0) -> list[tuple[Verdict, Verdict]]:
    """The verdicts of the scripted overseer, each with that of the noisy one."""
    scripted = Scripted(TASK, Sight(0.0))
    noisy = Noisy(TASK, Sight(0.0), *args, noise_seed=seed)
    return [(scripted.judge(*shown), noisy.judge(*shown)) for shown in EPISODES]


def test_without_noise_it_is_the_scripted_overseer() -> None:
    assert all(plain == noisy for plain, noisy in _judged(0.0, 0.0))


def test_it_errs_as_often_as_it_is_told() -> None:
    for approved, rate in ((False, 0.1), (True, 0.4)):
        errs = [a.approved != b.approved for a, b in _judged(0.1, 0.4) if a.approved == approved]
        # Four standard errors of a share: a rate that is off by more is no accident.
        assert abs(sum(errs) / len(errs) - rate) < 4 * math.sqrt(rate * (1 - rate) / len(errs))
    assert {b.approved for a, b in _judged(1.0, 0.0)} == {True}


def test_a_misjudged_score_moves_by_a_fixed_step() -> None:
    for plain, noisy in _judged(0.3, 0.3, 0.7):
        if plain.approved == noisy.approved:
            assert noisy == plain
        else:
            assert noisy.score - plain.score == pytest.approx(0.7 if noisy.approved else -0.7)
            assert noisy.reason == f"{plain.reason}; misjudged"


def test_another_noise_seed_errs_elsewhere() -> None:
    first, second = _judged(0.2, 0.2), _judged(0.2, 0.2, seed=1)
    assert [noisy for _, noisy in first] != [noisy for _, noisy in second]


def test_the_draw_heeds_no_order() -> None:
    response, view = EPISODES[7]
    facts, outcome = dict(reversed(view.facts.items())), dict(reversed(view.outcome.items()))
    assert list(facts) != list(view.facts)
    one, other = View(view.facts, view.outcome, ("a", "b")), View(facts, outcome, ("b", "a"))
    assert draw(response, one, 0) == draw(response, other, 0)


def test_the_draw_is_even_and_heeds_all_that_is_shown() -> None:
    response, view = EPISODES[7]
    base = draw(response, view, 0)
    others = [
        draw(response + " ", view, 0),
        draw(response, View({**view.facts, "coin": "gone"}, view.outcome, view.unseen), 0),
        draw(response, View(view.facts, {}, view.unseen), 0),
        draw(response, View(view.facts, view.outcome, ("right 9",)), 0),
        draw(response, View(view.facts, view.outcome, view.unseen, not view.valid), 0),
        draw(response, view, 1),
    ]
    assert len({base, *others}) == 7
    draws = sorted({draw(*shown, 0) for shown in EPISODES})
    furthest = max(abs(value - at / len(draws)) for at, value in enumerate(draws))
    assert furthest < 1.95 / math.sqrt(len(draws))  # Kolmogorov and Smirnov, at p = 0.001


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({"false_positives": 1.1}, r"false_positives = 1\.1 is not in \[0, 1\]"),
        ({"false_negatives": -1}, r"false_negatives = -1 is not in \[0, 1\]"),
        ({"misjudged": math.inf}, "misjudged = inf is not 0 or more"),
        ({"prior": 2}, r"prior = 2 is not in \[0, 1\]"),
    ],
)
def test_what_is_out_of_range_is_named(args: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Noisy(TASK, Sight(0.0), **args)  # type: ignore[arg-type]


@given(
    st.floats(-1e6, 1e6),
    st.floats(-1e6, 1e6),
    st.one_of(st.floats(0, 1e6), st.just(math.inf)),
)
def test_a_preference_is_a_chance_and_one_of_two_is_preferred(
    a: float, b: float, rationality: float
) -> None:
    chance = chance_preferred(a, b, rationality)
    assert 0 <= chance <= 1
    assert chance + chance_preferred(b, a, rationality) == pytest.approx(1)
    assert (chance - 0.5) * (a - b) >= 0


def test_preferences_by_hand() -> None:
    # sigmoid(2 · 0.6) = 1 / (1 + e^-1.2)
    assert chance_preferred(1.0, 0.4, 2) == pytest.approx(0.768525, abs=1e-6)
    assert chance_preferred(1.0, 0.4, 0) == 0.5
    assert chance_preferred(1.0, 0.4, math.inf) == 1.0
