"""How far an experiment is, in a terminal.

corridor: 31 done, 2 running, 1 failed, 16 left; 0:12:40 left, by process 4711 on node-3
"""

from __future__ import annotations

from rich.console import Console

from rlhf_testbed.engine.board import JobState
from rlhf_testbed.experiment.status import Status
from rlhf_testbed.shared.progress import duration

SHOWN = 20
"""Jobs of a kind that are named; of more it is told how many."""


def print_status(found: Status, console: Console) -> None:
    """Prints the counts and the time left, then what runs and what failed."""
    counts = [f"{count} {what}" for what, count in found.counts.items() if count]
    rest = f", {duration(found.left)} to go" if found.left is not None else ""
    _say(console, f"{', '.join(counts) or 'nothing to do'}{rest}")
    _say(console, f"engine {found.jobs.engine}, {found.jobs.at_once} at a time")
    left = any(count for what, count in found.counts.items() if what != "done")
    nobody = f"nobody{'; the same command goes on' if left else ''}"
    _say(console, f"in the folder: {found.who or nobody}")
    for what, jobs in (
        ("running" if found.who else "broken off", found.running),
        ("to be tried again", found.again),
        ("failed", found.failed),
    ):
        for job in jobs[:SHOWN]:
            _say(console, f"{what}: {_told(job)}")
        if len(jobs) > SHOWN:
            _say(console, f"{what}: and {len(jobs) - SHOWN} more")


def _told(job: JobState) -> str:
    """One job, what it was doing and what went wrong."""
    at = f" at {job.done}/{job.total}" if job.total else ""
    where = f" on {job.where}" if job.where else ""
    said = f": {job.said.strip()}" if job.said else ""
    tries = f", try {job.tries}" if job.tries > 1 else ""
    return f"{job.title}{at}{where}{tries}{said}"


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
