"""RLOO: a completion is held against the others to its scenario; TRL's loss and settings.

    --method rloo --num_generations 4 --beta 0.02

    fitness   score less the KL penalty, less the mean of the others'
    select    clipped probability ratios of whole completions times that

Ahmadian et al. 2024 (arXiv 2402.14740). Equal to TRL's own trainer on the same completions: a test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlhf_testbed.selection.grpo import Advantages, refuse_alone
from rlhf_testbed.selection.learning import LearningMethod, LearningSettings, scores_of
from rlhf_testbed.settings.fields import NATURAL, POSITIVE, Where, setting
from rlhf_testbed.tasks.base import Verdict

if TYPE_CHECKING:
    import torch

    from rlhf_testbed.selection.learner import Drawn


@dataclass
class RLOOSettings(LearningSettings):
    """TRL's RLOO settings, with defaults that suit the small model on a CPU."""

    beta: float = setting(0.02, "Weight of the KL penalty, which is taken off the score.", NATURAL)
    epsilon: float = setting(0.2, "Clip range of a completion's probability ratio.", POSITIVE)
    normalize_advantages: bool = setting(
        False, "Scale the advantages of an update to mean 0 and deviation 1."
    )

    def check(self, where: Where, batch: int) -> None:
        """Raises `UsageError` for groups of one, too: nothing is held against anything."""
        refuse_alone(self, where)
        super().check(where, batch)


class RLOO(LearningMethod[Advantages]):
    """TRL's RLOO behind the loop."""

    summary = "RLOO (TRL's): a completion is held against the others to its scenario"
    settings = RLOOSettings
    own: RLOOSettings

    def fitness(self, completions: Drawn, verdicts: Sequence[Verdict]) -> Advantages:
        """Advantages against the others of each group."""
        from rlhf_testbed.selection.group_fitness import left_out

        own, gather = self.own, self.learner.accelerator.gather
        kl = (completions.log_probs - completions.reference).sum(1)
        scores = scores_of(verdicts, completions.log_probs) - own.beta * kl
        found = left_out(scores, own.num_generations, own.normalize_advantages, gather)
        return Advantages(found.tolist(), completions.kl, found)

    def losses(self, drawn: Drawn, fitness: Advantages) -> Iterator[torch.Tensor]:
        """TRL's loss, `num_iterations` times on the same episodes."""
        from rlhf_testbed.selection.group_losses import clipped

        own = self.own
        for _ in range(own.num_iterations):
            log_ratio = self.learner.log_probs(drawn).sum(1) - drawn.log_probs.sum(1)
            yield clipped(log_ratio, fitness.advantages, own.epsilon, own.epsilon).mean()
