"""GRPO: completions to one scenario are held against each other; TRL's loss and settings.

    --method grpo --num_generations 8 --beta 0.02 --scale_rewards group

    sample    8 scenarios × 8 completions
    fitness   score less the mean of its 8, by their deviation: the same for each token
    select    clipped probability ratios times that, and a penalty for KL (k3) in the loss

Shao et al. 2024 (arXiv 2402.03300). Equal to TRL's own trainer on the same completions: a test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rlhf_testbed.selection.learning import LearningMethod, LearningSettings, scores_of
from rlhf_testbed.selection.method import Fitness
from rlhf_testbed.settings.fields import NATURAL, POSITIVE, Where, setting
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.tasks.base import Verdict

if TYPE_CHECKING:
    import torch

    from rlhf_testbed.selection.learner import Drawn


@dataclass
class GRPOSettings(LearningSettings):
    """TRL's GRPO settings, with defaults that suit the small model on a CPU."""

    beta: float = setting(0.02, "Weight of the KL penalty, which is a part of the loss.", NATURAL)
    use_bias_correction_kl: bool = setting(
        True, "Weigh the KL penalty by the probability ratio: its gradient is then unbiased."
    )
    epsilon: float = setting(0.2, "Clip range of the probability ratio, downwards.", POSITIVE)
    epsilon_high: float | None = setting(
        None, "Clip range of the probability ratio, upwards. Default: as downwards.", POSITIVE
    )
    scale_rewards: Literal["group", "batch", "none"] = setting(
        "group", "By whose standard deviation advantages are divided."
    )
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo"] = setting(
        "dapo", "How tokens are averaged: TRL's names."
    )

    def check(self, where: Where, batch: int) -> None:
        """Raises `UsageError` for groups of one, too: nothing is held against anything."""
        refuse_alone(self, where)
        super().check(where, batch)


def refuse_alone(settings: LearningSettings, where: Where) -> None:
    """Raises `UsageError` for groups of one completion."""
    if settings.num_generations < 2:
        raise UsageError(
            f"{where('num_generations')}: num_generations = {settings.num_generations} leaves "
            "nothing to hold a completion against (right: 2 or more)"
        )


@dataclass(frozen=True)
class Advantages(Fitness):
    """What the scores say of each episode."""

    advantages: torch.Tensor
    """[episodes]"""


class GRPO(LearningMethod[Advantages]):
    """TRL's GRPO behind the loop."""

    summary = "GRPO (TRL's): completions to one scenario are held against each other"
    settings = GRPOSettings
    own: GRPOSettings

    def fitness(self, completions: Drawn, verdicts: Sequence[Verdict]) -> Advantages:
        """Advantages within each group of completions."""
        from rlhf_testbed.selection.group_fitness import grouped

        own, gather = self.own, self.learner.accelerator.gather
        scores = scores_of(verdicts, completions.log_probs)
        found = grouped(scores, own.num_generations, own.scale_rewards, gather)
        return Advantages(found.tolist(), completions.kl, found)

    def losses(self, drawn: Drawn, fitness: Advantages) -> Iterator[torch.Tensor]:
        """TRL's loss, `num_iterations` times on the same episodes."""
        from rlhf_testbed.selection.group_losses import averaged, clipped, k3

        own = self.own
        high = own.epsilon if own.epsilon_high is None else own.epsilon_high
        advantages = fitness.advantages.unsqueeze(1)
        for _ in range(own.num_iterations):
            now = self.learner.log_probs(drawn)
            each = clipped(now - drawn.log_probs, advantages, own.epsilon, high)
            if own.beta:
                ratio = (now - drawn.log_probs).exp() if own.use_bias_correction_kl else 1.0
                each = each + own.beta * k3(now, drawn.reference) * ratio
            yield averaged(
                each, drawn.kept, own.loss_type, self.learner.length, self.learner.accelerator
            )
