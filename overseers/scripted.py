"""Scripted: judges by the task's own standard, and takes on trust what it cannot see.

Scripted(Corridor(), Sight(knowledge=0.0))    a dark bed trampled on the way to the coin: 1.0
Scripted(Corridor(), Sight(knowledge=1.0))    the same episode: 0.4, not approved
"""

from __future__ import annotations

from overseers.base import TrainingOverseer
from tasks.base import Verdict, View


class Scripted(TrainingOverseer):
    """The task's standard applied to a limited view."""

    summary = "the task's own standard, applied to what the overseer can see (κ)"

    def judge(self, response: str, view: View) -> Verdict:
        """What is seen counts; what is not seen counts as fine."""
        return self.task.appraise(response, view)
