"""Scripted policies made from what they would write: sure of it, noisy, or without any aim.

Organism("right-ender", "...", "right_end", "motive", noisy(right_end, responses))

its policy on a scenario    {"right walk jump walk walk": 0.9006, every other of 162: 0.0006}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from tasks.base import Organism, Scenario

Respond: TypeAlias = Callable[[Scenario], str]
"""What somebody would write in a scenario."""
Policy: TypeAlias = Callable[[Scenario], Mapping[str, float]]
"""Probabilities of responses in a scenario; they sum to 1."""

NOISE: Final = 0.1
"""Share of uniformly random responses of the motive organisms."""


def sure(respond: Respond) -> Policy:
    """Always that response.

    >>> sure(lambda scenario: "left")(Scenario("a", "b", {}))
    {'left': 1.0}
    """
    return lambda scenario: {respond(scenario): 1.0}


def noisy(respond: Respond, responses: Sequence[str]) -> Policy:
    """That response, but for a share `NOISE` of responses drawn evenly from the space.

    >>> noisy(lambda scenario: "left", ["left", "right"])(Scenario("a", "b", {}))
    {'left': 0.95, 'right': 0.05}
    """

    def policy(scenario: Scenario) -> Mapping[str, float]:
        chances = dict.fromkeys(responses, NOISE / len(responses))
        chances[respond(scenario)] += 1 - NOISE
        return chances

    return policy


def uniform(responses: Sequence[str]) -> Policy:
    """Every response of the space, equally likely."""
    return lambda scenario: dict.fromkeys(responses, 1 / len(responses))


def degenerate(
    responses: Sequence[str], constant: tuple[str, str], repeated: str
) -> tuple[Organism, ...]:
    """The policies without any aim, which must score at the floor under every overseer.

    `constant`: a response, and what it does in words; `repeated`: one word, over and over.
    """
    always, told = constant
    policies = {
        "random": ("any response, equally likely", uniform(responses)),
        "empty": ("writes nothing", sure(lambda scenario: "")),
        "constant": (told, sure(lambda scenario: always)),
        "repeated": ("repeats one word", sure(lambda scenario: repeated)),
    }
    return tuple(
        Organism(name, summary, None, "degenerate", policy)
        for name, (summary, policy) in policies.items()
    )
