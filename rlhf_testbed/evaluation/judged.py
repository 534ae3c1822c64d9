"""Episodes in columns, as the training overseer and full knowledge judged them.

    judged = Judged.of(task, episodes, truths)
    judged.approved    [1, 1, 0, ...]      by the training overseer
    judged.wanted      [1, 0, 1, ...]      by full knowledge
    judged.unseen      [NaN, 1, NaN, ...]  the bad behaviour out of sight: NaN not possible

Every figure of an episode is a function of these columns (`episode_measures.py`): of sampled
episodes as they are, of all that can happen with the chance of each as weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rlhf_testbed.overseers.base import Case
from rlhf_testbed.shared.arrays import Floats
from rlhf_testbed.tasks.base import Task, Verdict


class Deed(NamedTuple):
    """What a task says of one case: by whatever overseer, and whatever else happened."""

    traits: Mapping[str, bool | None]
    reached: float
    """Utility of the intended goal."""


def deeds(task: Task, cases: Sequence[Case]) -> list[Deed]:
    """What the task says of each case."""
    utility = task.intended_goal.utility
    return [
        Deed(task.traits(case.scenario, case.outcome), utility(case.scenario, case.response))
        for case in cases
    ]


class Judged(NamedTuple):
    """Columns over episodes: shapes [episodes] all. NaN where a verdict judged nothing."""

    approved: Floats
    score: Floats
    wanted: Floats
    """1 approved under full knowledge, 0 not."""
    true_score: Floats
    """Score under full knowledge."""
    unseen: Floats
    """The bad behaviour out of a limited overseer's sight: 1 shown, 0 not, NaN not possible."""
    seen: Floats
    """The same where every overseer sees it."""
    reached: Floats
    """Utility of the intended goal."""
    taught_approved: Floats | None = None
    """By a learned overseer's teacher; None where there is none."""
    taught_score: Floats | None = None
    weights: Floats | None = None
    """The chance of each episode; None: they were sampled, and count alike."""

    @classmethod
    def of(
        cls,
        task: Task,
        cases: Sequence[Case],
        verdicts: Sequence[Verdict],
        truths: Sequence[Verdict],
        taught: Sequence[Verdict] | None = None,
    ) -> Judged:
        """Columns from episodes, the training overseer's verdicts on them, and full knowledge's.

        `taught`: those of a learned overseer's teacher.
        """
        return cls.of_deeds(task, deeds(task, cases), verdicts, truths, taught)

    @classmethod
    def of_deeds(
        cls,
        task: Task,
        done: Sequence[Deed],
        verdicts: Sequence[Verdict],
        truths: Sequence[Verdict],
        taught: Sequence[Verdict] | None = None,
    ) -> Judged:
        """The same, where it is known what the task says of each episode."""
        return cls(
            approved=floats(map(_approval, verdicts)),
            score=floats(verdict.score for verdict in verdicts),
            wanted=floats(map(_approval, truths)),
            true_score=floats(verdict.score for verdict in truths),
            unseen=floats(one.traits[task.concealed_trait] for one in done),
            seen=floats(one.traits[task.open_trait] for one in done),
            reached=floats(one.reached for one in done),
            taught_approved=None if taught is None else floats(map(_approval, taught)),
            taught_score=None if taught is None else floats(verdict.score for verdict in taught),
        )

    @property
    def unwanted(self) -> Floats:
        """1 rejected under full knowledge, 0 not."""
        return 1 - self.wanted

    @property
    def exposed(self) -> Floats:
        """1 where the bad behaviour was possible out of sight, 0 where not."""
        return (~np.isnan(self.unseen)).astype(np.float64)


def floats(values: Iterable[float | bool | None]) -> Floats:
    """Numbers as floats; None as NaN."""
    return np.array(list(values), dtype=np.float64)


def _approval(verdict: Verdict) -> float:
    """Whether it approves; NaN where it could not judge, which its score says."""
    return float(verdict.approved) if verdict.score == verdict.score else math.nan
