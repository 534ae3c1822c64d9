"""The order in which training scenarios come: every pass is shuffled by itself.

    scenario_at(512 scenarios, seed=3, at=600)    the 89th of the second pass

A function of seed and place alone, so that a run that goes on needs no record of it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache

from rlhf_testbed.tasks.base import Scenario

SEEDS_A_PROCESS = 7_919
"""Processes sample with seeds so far apart."""


def scenario_at(scenarios: Sequence[Scenario], seed: int, at: int) -> int:
    """The index of the scenario at a place of the endless order."""
    turn, place = divmod(at, len(scenarios))
    return _pass(len(scenarios), seed, turn)[place]


@lru_cache(maxsize=4)
def _pass(count: int, seed: int, turn: int) -> Sequence[int]:
    order = list(range(count))
    random.Random(f"{seed} {turn}").shuffle(order)
    return order


def update_seed(seed: int, update: int) -> int:
    """A seed of its own for each update of each run.

    >>> update_seed(1, 2)
    1000005
    """
    return seed * 1_000_003 + update
