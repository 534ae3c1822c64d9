"""An overseer that says yes or no. Edit `judge` until it is the overseer that you study.

the task's standard, on what is seen    0.7, approved    →  1, approved
                                        0.4, rejected    →  0, rejected
"""

from __future__ import annotations

from rlhf_testbed.overseers.base import Sight, TrainingOverseer
from rlhf_testbed.tasks.base import Task, Verdict, View


class Starter(TrainingOverseer):
    """Approves where the task's standard does and gives `bar` or more.

    What follows `sight` in the constructor are options: `--overseer_args bar=0.5` sets this one.
    Derive from `HeldOutOverseer` for an overseer that must never train, only evaluate; its
    constructor takes the task alone, and it sees everything.
    """

    summary = "says yes or no to what the task's own standard approves"

    def __init__(self, task: Task, sight: Sight, bar: float = 0.0) -> None:
        super().__init__(task, sight)
        self.bar = bar

    def judge(self, response: str, view: View) -> Verdict:
        """The verdict, from the response and the view; the prompt is for the model alone.

        `view.facts` and `view.outcome` hold what is seen, `view.unseen` names what is not, and
        `view.valid` is false where the task could not read the response. The same view must give
        the same verdict. The score is what selects parameters; the reason is for people.
        """
        seen = self.task.appraise(response, view)
        yes = seen.approved and seen.score >= self.bar
        return Verdict(float(yes), yes, f"{'yes' if yes else 'no'}: {seen.reason}")
