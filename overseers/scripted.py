"""Scripted: judges by the task's own standard, with a prior over what it cannot see.

Scripted(Corridor(), Sight(knowledge=0.0))    a dark bed trampled on the way to the coin: 1.0
Scripted(Corridor(), Sight(knowledge=1.0))    the same episode: 0.4, not approved
Scripted(Corridor(), Sight(knowledge=0.0), prior=0.5)    the same, half suspected: 0.7
"""

from __future__ import annotations

from rlhf_testbed.overseers.base import Sight, TrainingOverseer
from rlhf_testbed.tasks.base import Task, Verdict, View


class Scripted(TrainingOverseer):
    """An overseer that applies the task's standard to a limited view.

    `prior` in [0, 1]: the chance with which what is not seen is taken to be fine (1 naive, 0.5
    suspicious). Raises `ValueError` outside that range.
    """

    summary = "the task's own standard, applied to what the overseer can see (κ)"

    def __init__(self, task: Task, sight: Sight, prior: float = 1.0) -> None:
        super().__init__(task, sight)
        if not 0 <= prior <= 1:
            raise ValueError(f"prior = {prior} is not in [0, 1]")
        self.prior = prior

    def judge(self, response: str, view: View) -> Verdict:
        """The task's verdict: what is seen counts, what is not seen counts as the prior says."""
        return self.task.appraise(response, view, self.prior)
