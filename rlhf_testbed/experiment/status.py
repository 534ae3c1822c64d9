"""How far an experiment is, from what its folder holds; nothing is computed, no torch imported.

    status(Path("runs/corridor")).counts    {"done": 31, "running": 2, "failed": 1, "left": 16}

Whoever runs it files how far all are every two seconds (`jobs.json`). What that says is under way
is so only while somebody is in the folder, or was heard of just now on another machine.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import NamedTuple

from rlhf_testbed.engine.board import Jobs, JobState
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.record import read
from rlhf_testbed.store.experiment_records import ExperimentFile
from rlhf_testbed.store.in_use import holder

FRESH = 60.0
"""Seconds after which nothing more is expected of somebody on another machine who says nothing."""


class Status(NamedTuple):
    """How far an experiment is."""

    counts: dict[str, int]
    """Jobs done, running, broken off, failed, and left; a job is a base policy, gates or a run."""
    left: float | None
    """Seconds until all is done, by what jobs took so far; None where nothing is known or runs."""
    running: tuple[JobState, ...]
    failed: tuple[JobState, ...]
    again: tuple[JobState, ...]
    """Waiting to be tried again."""
    who: str
    """Who is in the folder; empty where nobody is."""
    jobs: Jobs


def status(folder: Path, clock: float | None = None) -> Status:
    """How far the experiment in a folder is; raises `UsageError` where there is none."""
    if not (folder / ExperimentFile.file).is_file():
        raise UsageError(
            f"{folder}: no experiment (right: a folder that `rlhf-testbed experiment` filled)"
        )
    if not (folder / Jobs.file).is_file():
        raise UsageError(f"{folder}: nothing is known of its jobs (no {Jobs.file})")
    told = read(folder / Jobs.file, Jobs)
    who = holder(folder) or _elsewhere(told, clock or time.time())
    by_state = {
        state: tuple(job for job in told.jobs if job.state == state)
        for state in ("waiting", "running", "ended", "failed")
    }
    under_way = by_state["running"]
    counts = {
        "done": told.done + len(by_state["ended"]),
        "running": len(under_way) if who else 0,
        "broken off": 0 if who else len(under_way),
        "failed": len(by_state["failed"]),
        "left": told.to_come + len(by_state["waiting"]),
    }
    return Status(
        counts=counts,
        left=_left(told, clock or time.time()) if who else None,
        running=under_way,
        failed=by_state["failed"],
        again=tuple(job for job in by_state["waiting"] if job.tries),
        who=who,
        jobs=told,
    )


def _elsewhere(told: Jobs, now: float) -> str:
    """Who is in the folder on a machine whose locks can't be seen here."""
    if told.ended or told.host == socket.gethostname() or now - told.told > FRESH:
        return ""
    return f"process {told.process} on {told.host}"


def _left(told: Jobs, now: float) -> float | None:
    """Seconds until the last job ends: those that wait last as long as others did on average."""
    took = [job.took for job in told.jobs if job.state == "ended"]
    under_way = [job for job in told.jobs if job.state == "running"]
    paces = [(now - job.began) / job.done * job.total for job in under_way if job.done]
    if not took + paces:
        return None
    each = sum(took + paces) / len(took + paces)
    rest = [max(0.0, each - (now - job.began)) for job in under_way]
    waiting = sum(job.state == "waiting" for job in told.jobs) + told.to_come
    return max([(sum(rest) + waiting * each) / max(1, told.at_once), *rest])
