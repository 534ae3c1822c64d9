"""A policy: what writes responses to scenarios, and with which chance.

    policy.log_probs(scenarios, task.responses)    [scenarios, responses], nats
    policy.sample(scenarios, seed=0)               a response to each

Measures take any policy: a language model (`language_policy.py`), or one whose completions are
filtered (`selection/best_of_n.py`). Imports no torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from rlhf_testbed.shared.arrays import Floats
from rlhf_testbed.tasks.base import Scenario


class Policy(ABC):
    """Writes responses at temperature 1."""

    @abstractmethod
    def log_probs(self, scenarios: Sequence[Scenario], responses: Sequence[str]) -> Floats:
        """Exact log-probabilities of every response to every scenario, in nats.

        Shape [scenarios, responses].
        """

    @abstractmethod
    def sample(self, scenarios: Sequence[Scenario], seed: int) -> list[str]:
        """One response to each scenario; the same seed, the same responses."""
