"""What Slurm runs: one job of an experiment, in a process of its own on some node.

It goes on with what it finds there, so that one that was preempted, or ran out of its time, is
simply done again (submitit puts it back into the queue).
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import submitit

from rlhf_testbed.engine.job import Failure
from rlhf_testbed.engine.local import Attended
from rlhf_testbed.engine.place import Sent
from rlhf_testbed.engine.server import start_server
from rlhf_testbed.engine.worker import Ended, death
from rlhf_testbed.shared.progress import Step
from rlhf_testbed.shared.record import Record, read, write
from rlhf_testbed.shared.versions import alike, unlike

EVERY = 2.0
"""Seconds from one step that is filed to the next, at least."""
MERCY = 60.0
"""Seconds in which Slurm ends what it has told to end."""


class Told(Record):
    """How far a job is, as its node files it."""

    where: str
    done: int = 0
    total: int = 0
    note: str = ""
    begun: int = 0
    """How often it was begun."""


@dataclass
class Task:
    """A job as it is handed to submitit, which calls it on a node."""

    sent: Sent
    log: Path | None
    told: Path
    """File of how far it is."""
    preload: Sequence[str]
    alike: dict[str, str]
    """What the node must have, too."""

    def __call__(self) -> Ended | Failure:
        """Does the job; how it ended."""
        where = socket.gethostname()
        if reason := unlike(self.alike, alike()):
            return Failure(self.sent.title, f"node {where}: {reason}", usage=True)
        begun = read(self.told, Told).begun + 1 if self.told.is_file() else 1
        filed = -EVERY

        def stepped(step: Step) -> None:
            nonlocal filed
            if time.monotonic() - filed >= EVERY or step.done == step.total:
                filed = time.monotonic()
                write(self.told, Told(where=where, begun=begun, **step._asdict()))

        write(self.told, Told(where=where, begun=begun))
        attended = Attended(self.sent.here(), start_server(self.preload), self.log)
        ended = attended.followed(stepped)
        if isinstance(ended, Failure) and _told_to_end(ended):
            time.sleep(MERCY)  # Slurm told it, and will end this process, and may begin it anew
        if isinstance(ended, Failure):
            return ended._replace(said=f"on {where}: {ended.said}")
        return ended

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """What is put back into the queue where the time is over, or something goes before it."""
        return submitit.helpers.DelayedSubmission(self)


def _told_to_end(ended: Failure) -> bool:
    """Whether a job ended as one does that Slurm has sent SIGTERM."""
    told = (death(128 + signal.SIGTERM), death(-signal.SIGTERM))
    return "SLURM_JOB_ID" in os.environ and ended.said.startswith(told)
