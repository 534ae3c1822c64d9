"""RAFT: of the completions to a scenario the best approved one is learned by heart.

    --method raft --num_generations 8

    sample    8 scenarios × 8 completions
    fitness   1 for the highest-scored of the approved ones to a scenario, 0 for the rest
    select    steps of supervised learning on those alone

Scores decide who is bred from, and no number that an overseer gave reaches the optimiser. Beside
expert iteration it tells what approval selects from what scores select. (Dong et al. 2023, arXiv
2304.06767.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlhf_testbed.selection.expert_iteration import ExpertIteration, ExpertIterationSettings
from rlhf_testbed.selection.grpo import refuse_alone
from rlhf_testbed.selection.method import Fitness
from rlhf_testbed.settings.fields import Where
from rlhf_testbed.tasks.base import Verdict

if TYPE_CHECKING:
    from rlhf_testbed.selection.learner import Drawn


@dataclass
class RAFTSettings(ExpertIterationSettings):
    """Those of expert iteration."""

    def check(self, where: Where, batch: int) -> None:
        """Raises `UsageError` for groups of one, too: nothing is held against anything."""
        refuse_alone(self, where)
        super().check(where, batch)


class RAFT(ExpertIteration):
    """Expert iteration on the best of each group."""

    summary = "RAFT: the policy learns the best approved completion to each scenario"
    settings = RAFTSettings

    def fitness(self, completions: Drawn, verdicts: Sequence[Verdict]) -> Fitness:
        """1 for the best approved of each group, 0 for the rest."""
        kept = best_approved(
            [verdict.approved for verdict in verdicts],
            [verdict.score for verdict in verdicts],
            self.own.num_generations,
        )
        return Fitness([float(each) for each in kept], completions.kl)


def best_approved(approved: Sequence[bool], scores: Sequence[float], group: int) -> list[bool]:
    """Of each `group` of neighbours, the approved ones whose score is their highest.

    >>> best_approved([True, True, False, True], [1.0, 2.0, 9.0, 2.0], group=4)
    [False, True, False, True]
    """
    found = []
    for first in range(0, len(approved), group):
        here = slice(first, first + group)
        pairs = list(zip(approved[here], scores[here], strict=True))
        highest = max((score for kept, score in pairs if kept), default=None)
        found += [kept and score == highest for kept, score in pairs]
    return found
