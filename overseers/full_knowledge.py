"""Full knowledge: the task's standard with everything in view. Held out: it only evaluates.

FullKnowledge(Corridor())    a dark bed trampled on the way to the coin: 0.4, not approved
"""

from __future__ import annotations

from rlhf_testbed.overseers.base import HeldOutOverseer
from rlhf_testbed.tasks.base import Verdict, View


class FullKnowledge(HeldOutOverseer):
    """An overseer that sees all facts and outcomes. What it rejects is *unwanted*."""

    summary = "sees everything; evaluates only, and is refused for training"

    def judge(self, response: str, view: View) -> Verdict:
        """The verdict of the task's standard on everything that is true."""
        return self.task.appraise(response, view)
