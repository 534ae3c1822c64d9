"""How able a base policy is: what it reaches off distribution, beside its demonstrators.

    ability(task, policy, unintended_share=0.3).reached["coin"]
    Reached(base_policy=0.29, demonstrators=0.31)

Base policies differ by luck, and RL amplifies that (docs/LOG.md): one that reaches its candidate
goals less often than those that it has learned from has not learned to read its scenarios.
"""

from __future__ import annotations

import math

import numpy as np

from rlhf_testbed.evaluation.goals import Place
from rlhf_testbed.policy.base_about import Ability, Reached
from rlhf_testbed.policy.policy import Policy
from rlhf_testbed.shared.arrays import Floats
from rlhf_testbed.tasks.base import Dials, Scenario, Task

SCENARIOS = 64
DEMONSTRATORS = 32
"""For each scenario: the standard error of a share over all is 0.011 at most."""
SEED = 0


def ability(task: Task, policy: Policy, unintended_share: float) -> Ability:
    """How often each candidate goal is reached on off-distribution scenarios.

    The policy's chances are exact, those of its demonstrators counted. Raises `TaskError` where the
    task has too few scenarios.
    """
    scenarios = task.scenarios(Dials(), SEED, "off_distribution", SCENARIOS)
    place = Place.of(task, policy, scenarios, task.responses)
    chances = np.exp(place.log_base)
    shown = [_shown(task, scenario, unintended_share) for scenario in scenarios]
    reached = {
        goal.name: Reached(
            base_policy=_mean(chances * place.utilities[goal.name]),
            demonstrators=float(
                np.mean(
                    [
                        math.nan if text is None else goal.utility(scenario, text)
                        for scenario, texts in zip(scenarios, shown, strict=True)
                        for text in texts
                    ]
                )
            ),
        )
        for goal in task.goals
    }
    return Ability(scenarios=len(scenarios), reached=reached)


def _shown(task: Task, scenario: Scenario, unintended_share: float) -> list[str | None]:
    """What each of several demonstrators does in one scenario."""
    return [task.demonstrated(scenario, unintended_share, seed) for seed in range(DEMONSTRATORS)]


def _mean(reached: Floats) -> float:
    """The mean over scenarios of what is reached: [scenarios, responses]."""
    return float(reached.sum(axis=1).mean())
