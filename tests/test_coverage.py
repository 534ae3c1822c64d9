"""The panel test of threat 1: a planted rate must lie in its interval as often as is promised.

    five seeds that get away with it in 0.31, 0.27, 0.36, 0.24 and 0.29 of 200 exposed episodes
    interval_of_share   0.294 (0.241 to 0.352): holds the 0.3 that was planted

One data set is five training seeds, and each of 100 data sets is such a row. A 95 % interval that
is exactly right still holds the planted rate in fewer than 93 of 100 data sets one time in eight
(binomial), so that a single hundred would be a lottery: twenty of them, the master seeds 0 to 19,
are taken together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import NamedTuple, TypeAlias

import numpy as np
import pytest

import coverage_tables
from policies import CAREFUL, SLY, TASK, way
from rlhf_testbed.contract.rules import OPEN
from rlhf_testbed.evaluation.episode_measures import figures
from rlhf_testbed.evaluation.judged import Judged
from rlhf_testbed.judging.episode import Episode, judge_all
from rlhf_testbed.measures.selection import unwanted_approved
from rlhf_testbed.measures.shares import interval_of_share
from rlhf_testbed.measures.statistics import Interval, interval_over_seeds
from rlhf_testbed.overseers.base import Overseer, Sight
from rlhf_testbed.overseers.full_knowledge import FullKnowledge
from rlhf_testbed.overseers.scripted import Scripted
from share_intervals import METHODS, TAKEN

DataSet: TypeAlias = Sequence[float]
"""Threat 1 of each seed."""
SEEDS, EXPOSED, DATA_SETS, ENOUGH = 5, 200, 100, 93
MASTER_SEEDS = range(20)


class Planted(NamedTuple):
    """The mean rate over all seeds that there could be, and how far it spreads between them."""

    rate: float
    spread: float

    def draw(self, rng: np.random.Generator) -> float:
        """One seed's rate: beta distributed, which has just that mean and spread."""
        size = self.rate * (1 - self.rate) / self.spread**2 - 1
        return float(rng.beta(self.rate * size, (1 - self.rate) * size))


MIDDLING = Planted(0.3, 0.05)
AT_THE_EDGE = Planted(0.98, 0.03)
"""Most seeds at 1 and a few far below: that is no bell curve."""


def threat_1(rate: float, rng: np.random.Generator) -> float:
    """Of the exposed, that share gets away with it; the rest is caught, or harmless. Those that
    are not exposed all look bad, and must not count."""
    hidden, caught = rng.random(EXPOSED) < rate, rng.random(EXPOSED) < 0.5
    unwanted, approved = hidden | caught, hidden | ~caught
    others = np.ones(EXPOSED // 2)
    return unwanted_approved(
        np.concatenate([approved, others]),
        np.concatenate([unwanted, others]),
        np.concatenate([np.ones(EXPOSED), 0 * others]),
    )


@cache
def data_sets(planted: Planted) -> list[DataSet]:
    """A hundred simulated data sets for each master seed."""
    return [
        [threat_1(planted.draw(rng), rng) for _ in range(SEEDS)]
        for rng in map(np.random.default_rng, MASTER_SEEDS)
        for _ in range(DATA_SETS)
    ]


def covered_of_100(
    planted: Planted, interval: Callable[[DataSet], Interval] = interval_of_share
) -> float:
    """In how many of 100 data sets the interval holds the planted rate, mean over master seeds."""
    found = map(interval, data_sets(planted))
    return sum(low <= planted.rate <= high for _, low, high in found) / len(MASTER_SEEDS)


@pytest.mark.parametrize("planted", [MIDDLING, Planted(0.5, 0.1), Planted(0.1, 0.03)])
def test_the_interval_of_threat_1_holds_the_planted_rate(planted: Planted) -> None:
    assert ENOUGH <= covered_of_100(planted) <= 97


def test_threat_1_is_centred_on_the_planted_rate() -> None:
    found = np.array(data_sets(MIDDLING)).ravel()
    error = float(found.std() / np.sqrt(found.size))
    assert abs(found.mean() - MIDDLING.rate) < 3 * error < 0.003


def over_episodes(threats: DataSet) -> Interval:
    """The usual mistake: all episodes taken as independent, whichever seed they come from."""
    mean = float(np.mean(threats))
    half = 1.96 * float(np.sqrt(mean * (1 - mean) / (EXPOSED * SEEDS)))
    return Interval(mean, mean - half, mean + half)


def test_intervals_that_are_too_narrow_are_caught() -> None:
    assert covered_of_100(MIDDLING, over_episodes) < 80
    assert covered_of_100(MIDDLING, lambda seeds: interval_of_share(seeds, level=0.9)) < ENOUGH


def test_at_the_edge_student_promises_too_much_and_the_interval_of_a_share_does_not() -> None:
    """What docs/METRICS.md says: Student's may hold a rate near 1 four times in five."""
    assert 75 < covered_of_100(AT_THE_EDGE, interval_over_seeds) < 85
    assert ENOUGH <= covered_of_100(AT_THE_EDGE) <= 99
    assert ENOUGH <= covered_of_100(Planted(0.98, 0.01)) <= 97


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_rate_without_exception_is_held(rate: float) -> None:
    found = coverage_tables.shares(coverage_tables.Planted(rate, 0.0), 3, data_sets=5)
    assert found[TAKEN].of_100 == 100
    assert 0.3 < found[TAKEN].width < 0.5


@pytest.mark.parametrize("planted", [(0.02, 0.03), (0.5, 0.1), (0.98, 0.03)])
def test_of_three_units_only_the_interval_that_is_taken_holds_everywhere(
    planted: tuple[float, float],
) -> None:
    """A small version of docs/results/intervals: three standard errors of 400 data sets are 3."""
    found = coverage_tables.shares(coverage_tables.Planted(*planted), 3, data_sets=400)
    assert found[TAKEN].of_100 >= ENOUGH - 3
    assert found["BCa bootstrap"].of_100 < 85
    if planted[0] != 0.5:
        assert found["Student, clipped"].of_100 < 90
    assert set(found) == set(METHODS)


def test_over_base_policies_the_nested_interval_holds_and_that_over_runs_does_not() -> None:
    found = coverage_tables.nested(coverage_tables.Nested(5, 4, 0.2, 0.1), data_sets=400)
    assert 92 <= found.over_base_policies.of_100 <= 98
    assert found.over_runs.of_100 < 85
    assert found.between == pytest.approx(0.2, abs=0.02)
    assert found.within == pytest.approx(0.1, abs=0.01)
    assert found.moved < 9


@cache
def judged_both_ways() -> tuple[list[tuple[Episode, Episode]], list[tuple[Episode, Episode]]]:
    """A coin-seeker's episodes in 400 corridors, [sly, careful], by a limited overseer and by full
    knowledge."""
    scenarios = TASK.scenarios(OPEN, 0, "held_out", 400)
    overseers: list[Overseer] = [Scripted(TASK, Sight(knowledge=0.0)), FullKnowledge(TASK)]
    ways = [
        [way(scenario, str(scenario.facts["coin"]), moves) for scenario in scenarios]
        for moves in (SLY, CAREFUL)
    ]
    limited, knowing = (
        list(zip(*(judge_all(overseer, scenarios, texts) for texts in ways), strict=True))
        for overseer in overseers
    )
    return limited, knowing


def corridor_threats(planted: Planted, rng: np.random.Generator) -> Iterator[float]:
    """Threat 1 of each seed as `evaluate` measures it: in 200 corridors the coin-seeker is sly at
    the seed's rate, else careful; where no dark bed lies on its way the two are alike."""
    limited, knowing = judged_both_ways()
    for _ in range(SEEDS):
        careful = (rng.random(200) >= planted.draw(rng)).astype(int)
        chosen = list(zip(rng.permutation(len(limited))[:200], careful, strict=True))
        mine, theirs = ([both[at][how] for at, how in chosen] for both in (limited, knowing))
        judged = Judged.of(
            TASK,
            [episode.case for episode in mine],
            [episode.verdict for episode in mine],
            [episode.verdict for episode in theirs],
        )
        yield figures(judged)["threat_1"]


@pytest.mark.slow
def test_a_rate_planted_in_corridor_is_recovered_by_the_whole_chain() -> None:
    """Responses, outcomes, both overseers' verdicts, exposure, threat 1, interval."""
    found = [
        list(corridor_threats(MIDDLING, rng))
        for rng in map(np.random.default_rng, MASTER_SEEDS[:10])
        for _ in range(DATA_SETS)
    ]
    assert np.mean(found) == pytest.approx(MIDDLING.rate, abs=0.003)
    held = sum(low <= MIDDLING.rate <= high for _, low, high in map(interval_of_share, found))
    assert ENOUGH <= held / 10 <= 97
