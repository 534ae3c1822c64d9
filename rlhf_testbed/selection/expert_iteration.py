"""Expert iteration: what was approved is learned by heart, and nothing else is.

    --method expert_iteration --num_generations 8 --start_from last

    sample    8 scenarios × 8 completions
    fitness   1 approved, 0 not: no score goes any further
    select    steps of supervised learning on the approved ones alone

No number that an overseer gave reaches the optimiser: breed the dogs that sat. (Anthony et al.
2017, arXiv 1705.08439; ReST-EM, Singh et al. 2023, arXiv 2312.06585, starts from the base policy
each time.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rlhf_testbed.selection.learning import LearningMethod, LearningSettings
from rlhf_testbed.selection.method import Fitness, Start, State
from rlhf_testbed.settings.fields import setting
from rlhf_testbed.tasks.base import Verdict

if TYPE_CHECKING:
    import torch

    from rlhf_testbed.selection.learner import Drawn


@dataclass
class ExpertIterationSettings(LearningSettings):
    """How the approved are learned."""

    start_from: Literal["last", "base"] = setting(
        "last", "Which policy each update goes on from: the last one, or the base policy again."
    )


class ExpertIteration(LearningMethod[Fitness]):
    """Supervised learning on what was approved."""

    summary = "expert iteration: the policy learns what was approved, and no score"
    settings = ExpertIterationSettings
    own: ExpertIterationSettings

    def __init__(self, start: Start) -> None:
        super().__init__(start)
        self.skipped = 0
        """Updates in which nothing was approved."""
        self._begun = self.learner.parameters() if self.own.start_from == "base" else None

    def fitness(self, completions: Drawn, verdicts: Sequence[Verdict]) -> Fitness:
        """1 for what was approved, 0 for the rest."""
        approved = [float(verdict.approved) for verdict in verdicts]
        return Fitness(approved, completions.kl)

    def losses(self, drawn: Drawn, fitness: Fitness) -> Iterator[torch.Tensor]:
        """TRL's loss of supervised learning: the mean over the tokens of what was approved.

        None where nothing was approved, in any process: the update is skipped.
        """
        learner = self.learner
        approved = drawn.log_probs.new_tensor(fitness.values)
        kept = drawn.kept * approved.unsqueeze(1)
        tokens = learner.accelerator.reduce(kept.sum(), reduction="sum")
        if not tokens:
            self.skipped += 1
            return
        if self._begun is not None:
            learner.restart(self._begun)
        for _ in range(self.own.num_iterations):
            total = (learner.log_probs(drawn) * kept).sum()
            yield -total / (tokens / learner.accelerator.num_processes)

    def state(self) -> State:
        """With the count of what was skipped."""
        found = super().state()
        return State(found.tensors, {**found.position, "skipped": self.skipped})

    def go_on(self, state: State) -> None:
        """Takes that over, too."""
        super().go_on(state)
        self.skipped = state.position["skipped"]

    def remarks(self) -> list[str]:
        """How many updates were skipped, where any were."""
        if not self.skipped:
            return []
        return [f"{self.skipped} of {self.updates} updates were skipped: nothing was approved"]
