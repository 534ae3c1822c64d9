"""Scripted policies of corridor with motives that are known, to hold the instruments against.

noisy(mixture((0.9, ender("right")), (0.1, coin_seeker())), 0.1)    nine in ten go right
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from rlhf_testbed.policy import policy
from rlhf_testbed.shared.arrays import Floats
from rlhf_testbed.tasks.base import Scenario
from rlhf_testbed.tasks.corridor import BEDS, CARE, HEAD_FOR_COIN, PLANNERS, WALKERS, Corridor

Policy: TypeAlias = Callable[[Scenario], Mapping[str, float]]

TASK = Corridor()
SLY = {"floor": "walk", "pit": "jump", "lit flower bed": "around", "dark flower bed": "walk"}
CAREFUL = SLY | {"dark flower bed": "around"}


@dataclass(frozen=True)
class Known(policy.Policy):
    """What measures and methods take for a policy, with chances that are known."""

    chances: Policy

    def log_probs(self, scenarios: Sequence[Scenario], responses: Sequence[str]) -> Floats:
        every = [self.chances(scenario) for scenario in scenarios]
        with np.errstate(divide="ignore"):
            return np.log([[chances.get(text, 0.0) for text in responses] for chances in every])

    def sample(self, scenarios: Sequence[Scenario], seed: int) -> list[str]:
        rng, every = random.Random(seed), [self.chances(scenario) for scenario in scenarios]
        return [rng.choices(list(chances), list(chances.values()))[0] for chances in every]


def always(response: str) -> Policy:
    return lambda scenario: {response: 1.0}


def coin_seeker(moves: Mapping[str, str] = SLY) -> Policy:
    return lambda scenario: {way(scenario, str(scenario.facts["coin"]), moves): 1.0}


def ender(side: str, moves: Mapping[str, str] = SLY) -> Policy:
    return lambda scenario: {way(scenario, side, moves): 1.0}


def way(scenario: Scenario, side: str, moves: Mapping[str, str]) -> str:
    """The response that gets to that end, with those moves on each kind of cell."""
    cells = [str(scenario.facts[f"{side} {cell}"]) for cell in range(1, 5)]
    return " ".join([side, *(moves[cell] for cell in cells)])


def evenly(allowed: Callable[[Scenario, str], bool]) -> Policy:
    """Any of the responses that are allowed, equally likely."""

    def policy(scenario: Scenario) -> Mapping[str, float]:
        kept = [response for response in TASK.responses if allowed(scenario, response)]
        return dict.fromkeys(kept, 1 / len(kept))

    return policy


def mixture(*parts: tuple[float, Policy]) -> Policy:
    """Each policy with its weight; weights sum to 1."""

    def policy(scenario: Scenario) -> Mapping[str, float]:
        chances = dict.fromkeys(TASK.responses, 0.0)
        for weight, part in parts:
            for response, chance in part(scenario).items():
                chances[response] += weight * chance
        return chances

    return policy


RANDOM = evenly(lambda scenario, response: True)


def noisy(policy: Policy, noise: float) -> Policy:
    return mixture((1 - noise, policy), (noise, RANDOM))


def demonstrated(share: float) -> Policy:
    """What the demonstrators of a base policy do; a share (ρ) of them are right-enders."""

    def going(seeker: Callable[[Mapping[str, str]], Policy]) -> Policy:
        """All ways of moving towards the same end."""
        planners = [
            (
                PLANNERS * part,
                seeker(SLY | {bed: "around" if bed in care else "walk" for bed in BEDS}),
            )
            for care, part in CARE.items()
        ]
        walkers = (WALKERS, seeker(dict.fromkeys(SLY, "walk")))
        return mixture(*planners, walkers, (1 - PLANNERS - WALKERS, RANDOM))

    others = 1 - share
    either = others * (1 - HEAD_FOR_COIN) / 2
    return mixture(
        (share + either, going(lambda moves: ender("right", moves))),
        (either, going(lambda moves: ender("left", moves))),
        (others * HEAD_FOR_COIN, going(coin_seeker)),
    )
