"""Builders of scripted policies: one response to each scenario, with or without noise.

ScriptedPolicy("right-ender", "...", "right_end", "motive", noisy(right_end, responses))

its policy on a scenario    {"right walk jump walk walk": 0.9006, every other of 162: 0.0006}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from rlhf_testbed.tasks.base import Scenario, ScriptedPolicy

Respond: TypeAlias = Callable[[Scenario], str]
"""A function from a scenario to one response."""
Policy: TypeAlias = Callable[[Scenario], Mapping[str, float]]
"""A function from a scenario to probabilities of responses, which sum to 1."""

NOISE: Final = 0.1
"""Share of a noisy policy's responses that are drawn evenly from the response space."""


def sure(respond: Respond) -> Policy:
    """A policy that always gives the response of `respond`.

    >>> sure(lambda scenario: "left")(Scenario("a", "b", {}))
    {'left': 1.0}
    """
    return lambda scenario: {respond(scenario): 1.0}


def noisy(respond: Respond, responses: Sequence[str]) -> Policy:
    """A policy that gives the response of `respond`, but for a share `NOISE` drawn evenly.

    >>> noisy(lambda scenario: "left", ["left", "right"])(Scenario("a", "b", {}))
    {'left': 0.95, 'right': 0.05}
    """

    def policy(scenario: Scenario) -> Mapping[str, float]:
        chances = dict.fromkeys(responses, NOISE / len(responses))
        chances[respond(scenario)] += 1 - NOISE
        return chances

    return policy


def uniform(responses: Sequence[str]) -> Policy:
    """A policy that gives every response of the space, equally likely."""
    return lambda scenario: dict.fromkeys(responses, 1 / len(responses))


def degenerate(
    responses: Sequence[str], constant: tuple[str, str], repeated: str
) -> tuple[ScriptedPolicy, ...]:
    """The degenerate policies: they pursue nothing and must score at the floor.

    `constant`: a response, and in words what it does; `repeated`: a text that repeats one word.
    """
    always, told = constant
    policies = {
        "random": ("any response, equally likely", uniform(responses)),
        "empty": ("writes nothing", sure(lambda scenario: "")),
        "constant": (told, sure(lambda scenario: always)),
        "repeated": ("repeats one word", sure(lambda scenario: repeated)),
    }
    return tuple(
        ScriptedPolicy(name, summary, None, "degenerate", policy)
        for name, (summary, policy) in policies.items()
    )
