"""A language model as a policy, which writes token by token and is scored exactly.

policy = LanguagePolicy.of(language, task)
policy.log_probs(scenarios, task.responses)    [scenarios, responses], nats
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rlhf_testbed.policy.language import Language
from rlhf_testbed.policy.policy import Policy
from rlhf_testbed.policy.scoring import response_log_probabilities, sampled_responses
from rlhf_testbed.shared.arrays import Floats
from rlhf_testbed.tasks.base import Scenario, Task


@dataclass(frozen=True)
class LanguagePolicy(Policy):
    """A language model as a policy."""

    language: Language
    longest: int
    """Most tokens of a response, with the end of the text."""

    @classmethod
    def of(cls, language: Language, task: Task) -> LanguagePolicy:
        """A language model that writes no more than the task's longest response."""
        return cls(language, longest_response(language, task))

    def log_probs(self, scenarios: Sequence[Scenario], responses: Sequence[str]) -> Floats:
        """By teacher forcing; each prompt is read once."""
        prompts = [scenario.prompt for scenario in scenarios]
        return response_log_probabilities(self.language, prompts, responses)

    def sample(self, scenarios: Sequence[Scenario], seed: int) -> list[str]:
        """Token by token."""
        prompts = [scenario.prompt for scenario in scenarios]
        return sampled_responses(self.language, prompts, self.longest, seed)


def longest_response(language: Language, task: Task) -> int:
    """Tokens of the task's longest response, with the end of the text."""
    return max(len(language.response_ids(response)) for response in task.responses)
