"""How far all jobs of an engine are: shown, filed in `jobs.json`, and which are to be tried again.

    board = Board(jobs, at_once=2, engine="local", orders=orders)
    with board:
        board.began(0, "node-3")
        board.step(0, Step(31, 60, "approved 0.95"))
        again = board.ended(0, Failure("both, seed 3", "killed by SIGKILL", usage=False))

An engine tells it of a job by its place in `jobs`. `rlhf-testbed experiment status` reads the file.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Literal

from rich.console import Console
from rich.progress import TaskID

from rlhf_testbed.engine.display import Display
from rlhf_testbed.engine.job import Failure, Job, JobsFailed, Orders
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import file_name
from rlhf_testbed.shared.progress import Clock, Step
from rlhf_testbed.shared.record import Record, write

EVERY = 2.0
"""Seconds from one writing of the file to the next, at least."""


class JobState(Record):
    """How far one job is."""

    title: str
    state: Literal["waiting", "running", "ended", "failed"] = "waiting"
    tries: int = 0
    where: str = ""
    """The machine, where there are several."""
    done: int = 0
    total: int = 0
    note: str = ""
    began: float = 0.0
    """Seconds since 1970, of the newest try; 0 before the first."""
    took: float = 0.0
    """Seconds of the newest try, once it has ended."""
    said: str = ""
    """What went wrong in the newest try that failed; empty where none did."""


class Jobs(Record):
    """How far the jobs of an undertaking are."""

    file: ClassVar[str] = "jobs.json"

    engine: str
    host: str
    process: int
    at_once: int
    began: float
    told: float
    """Seconds since 1970 when the first job began, and when this was written."""
    ended: bool
    """Whether the engine has done all it could with these jobs."""
    done: int
    to_come: int
    """Jobs of the same undertaking that were done before, and that come after these."""
    jobs: list[JobState]


class Board:
    """What became of jobs, told by threads or by messages; use as a context."""

    def __init__(
        self,
        jobs: Sequence[Job],
        at_once: int,
        engine: str,
        orders: Orders,
        console: Console | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.jobs, self.orders = jobs, orders
        self.display = Display(len(jobs), at_once, console, clock)
        self.failures: dict[int, Failure] = {}
        self._engine, self._began = engine, time.time()
        self._states = [JobState(title=job.title) for job in jobs]
        self._rows: dict[int, TaskID] = {}
        self._failed = [0] * len(jobs)
        self._lock = threading.Lock()
        self._written, self._clock = -EVERY, clock
        self._quiet = False

    def __enter__(self) -> Board:
        self.display.progress.__enter__()
        self._write()
        return self

    def __exit__(self, *raised: object) -> None:
        self._quiet = True
        self.display.progress.__exit__(None, None, None)
        self._write(ended=raised[0] is None)

    def began(self, at: int, where: str = "") -> None:
        """A job is under way."""
        if self._quiet:
            return
        with self._lock:
            if (row := self._rows.pop(at, None)) is not None:
                self.display.dropped(row)
            self._rows[at] = self.display.began(self.jobs[at])
            tries = self._states[at].tries + 1
            self._set(at, state="running", where=where, tries=tries, began=time.time(), done=0)

    def step(self, at: int, step: Step) -> None:
        """A job has made a step."""
        if self._quiet:
            return
        with self._lock:
            if at in self._rows:
                self.display.step(self._rows[at], step)
                self._set(at, done=step.done, total=step.total, note=step.note)

    def ended(self, at: int, failure: Failure | None) -> bool:
        """A job has ended; returns whether it is to be tried again."""
        with self._lock:
            now = self._states[at]
            began = now.began or time.time()
            self._failed[at] += failure is not None
            again = self._again(at, failure)
            row = self._rows.pop(at, None)
            if not self._quiet and row is not None:
                self.display.ended(row, failed=failure is not None, again=again)
                if again and failure:
                    self.display.say(f"{failure.title}: {_in_short(failure.said)}; tried again")
            state = "waiting" if again else "failed" if failure else "ended"
            self._set(
                at, state=state, took=time.time() - began, said=failure.said if failure else ""
            )
            if failure and not again:
                self.failures[at] = failure
            return again

    def say(self, what: str) -> None:
        """Says something that concerns all jobs."""
        self.display.say(what)

    def tick(self) -> None:
        """Says how far the jobs are and files it, where neither was done for a while."""
        self.display.tick()
        if self._clock() - self._written >= EVERY:
            self._write()

    def close(self) -> None:
        """Raises `JobsFailed` where some failed for good."""
        if self.failures:
            raise JobsFailed([self.failures[at] for at in sorted(self.failures)])

    def _again(self, at: int, failure: Failure | None) -> bool:
        """Whether a job is to be tried again; what is wrong with its input stays wrong."""
        if failure is None or failure.usage:
            return False
        return self._failed[at] <= self.orders.retries

    def _set(self, at: int, **values: object) -> None:
        self._states[at] = self._states[at].model_copy(update=values)

    def _write(self, ended: bool = False) -> None:
        """Files the state of all jobs. On a full disk the jobs themselves say what is wrong."""
        self._written = self._clock()
        if self.orders.folder is None:
            return
        with self._lock:
            told = Jobs(
                engine=self._engine,
                host=socket.gethostname(),
                process=os.getpid(),
                at_once=self.display.workers,
                began=self._began,
                told=time.time(),
                ended=ended,
                done=self.orders.done,
                to_come=self.orders.to_come,
                jobs=list(self._states),
            )
        with suppress(UsageError, OSError):
            write(self.orders.folder / Jobs.file, told)


def log_of(job: Job, orders: Orders) -> Path | None:
    """The file of what a job prints; None where nothing is filed."""
    return orders.folder / "logs" / f"{file_name(job.title)}.log" if orders.folder else None


def _in_short(said: str) -> str:
    """What went wrong in a line: a traceback tells it last, everything else first."""
    lines = said.strip().splitlines() or ["it ended without a word"]
    return lines[-1 if lines[0].startswith("Traceback") else 0]
