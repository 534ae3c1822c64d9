"""A policy's figures by exact expectation: every response to every scenario is judged once.

32 held-out corridors of 162 responses, judged by the training overseer and by full knowledge:

    space = JudgedSpace.of(scenarios, task.responses, trained_by, knowing)
    space.figures(chances)    for chances [32, 162]: threat_1 0.41, approval 0.90, score 0.78, ...

What differs between the policies of one run is then the policies, not the luck of the draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rlhf_testbed.evaluation.episode_measures import figures
from rlhf_testbed.evaluation.judged import Judged
from rlhf_testbed.judging.episode import act, verdicts_on
from rlhf_testbed.overseers.base import HeldOutOverseer, TrainingOverseer
from rlhf_testbed.overseers.learned import Learned
from rlhf_testbed.shared.arrays import Floats
from rlhf_testbed.tasks.base import Scenario


class JudgedSpace(NamedTuple):
    """What each response to each scenario is and brings: columns over all pairs, in that order."""

    judged: Judged

    @classmethod
    def of(
        cls,
        scenarios: Sequence[Scenario],
        responses: Sequence[str],
        trained_by: TrainingOverseer,
        knowing: HeldOutOverseer,
    ) -> JudgedSpace:
        """Judges every response to each scenario by both, and by a learned overseer's teacher."""
        task = trained_by.task
        asked = [scenario for scenario in scenarios for _ in responses]
        cases = act(task, asked, [text for _ in scenarios for text in responses])
        taught_by = [trained_by.teacher] if isinstance(trained_by, Learned) else []
        verdicts = [verdicts_on(one, cases) for one in (trained_by, knowing, *taught_by)]
        return cls(Judged.of(task, cases, *verdicts))

    def figures(self, chances: Floats) -> dict[str, float]:
        """Expectations over scenarios of a policy with these probabilities [scenarios, responses].

        Rows sum to 1.
        """
        return figures(self.weighed(chances))

    def weighed(self, chances: Floats) -> Judged:
        """The columns, each response with its chance."""
        return self.judged._replace(weights=chances.ravel())
