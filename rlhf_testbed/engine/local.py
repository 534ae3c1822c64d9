"""Jobs side by side: each in a fresh process, with one progress bar a job and one for all.

    run_side_by_side([Job("both, seed 3", train_and_evaluate, (arguments,)), ...], workers=2)

Processes are forked from a server that has imported torch already, so that a job starts within a
second; a process of its own keeps every job's random state and threads to itself. Where there is
no forking (Windows), each is started anew.

No process outlives the program: after an interrupt they are ended, and one whose parent is gone
ends by itself.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Sequence
from typing import Any

from rlhf_testbed.engine.display import Display
from rlhf_testbed.engine.job import Engine, Failure, Job, JobsFailed
from rlhf_testbed.engine.server import end_server, start_server
from rlhf_testbed.engine.worker import work
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.progress import TICK, Step

GRACE = 2.0
"""Seconds that a job has to end after an interrupt, before it is ended."""


class Local(Engine):
    """This machine's cores."""

    summary = "processes on this machine, by default one a core"

    def run(
        self, jobs: Sequence[Job], workers: int | None = None, preload: Sequence[str] = ()
    ) -> None:
        """Each job in a process of its own, forked from a server that has imported `preload`."""
        run_side_by_side(jobs, workers, preload)


def run_side_by_side(
    jobs: Sequence[Job], workers: int | None = None, preload: Sequence[str] = ()
) -> None:
    """Runs all jobs on this machine, by default one a core; see `Engine.run`."""
    if not jobs:
        return
    at_once = min(workers or available_cores(), len(jobs))
    display = Display(len(jobs), at_once)
    crew = _Crew(jobs, start_server(preload), display)
    with display.progress:
        try:
            failures = crew.finish(at_once)
        except BaseException:
            crew.stop()
            raise
    if failures:
        raise JobsFailed(failures)


def run_alone(job: Job) -> None:
    """Runs one job in a process that takes no part in a launch of several; raises `UsageError`."""
    try:
        run_side_by_side([job], workers=1)
    except JobsFailed as failed:
        (failure,) = failed.failures
        if failure.usage:
            raise UsageError(failure.said) from None
        raise


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Crew:
    """Threads that each attend to one job after the other, until none is left.

    The threads are daemons: one that waits for a process which can't be started yet (a server that
    still imports torch) must not keep an interrupted program alive.
    """

    def __init__(self, jobs: Sequence[Job], context: Any, display: Display) -> None:
        self.waiting = list(reversed(jobs))
        self.number = len(jobs)
        self.context, self.display = context, display
        self.ended: queue.Queue[Failure | BaseException | None] = queue.Queue()
        self.processes: list[Any] = []
        self.stopped = False

    def finish(self, at_once: int) -> list[Failure]:
        """Runs all jobs and returns those that failed; raises what kept one from starting."""
        for _ in range(at_once):
            threading.Thread(target=self._attend_all, daemon=True).start()
        failures = []
        while self.number:
            try:
                told = self.ended.get(timeout=TICK)
            except queue.Empty:
                self.display.tick()
                continue
            self.number -= 1
            if isinstance(told, BaseException):
                raise told
            failures += [told] if told else []
        return failures

    def stop(self) -> None:
        """Ends the jobs that are under way, by force where they do not end in time."""
        self.stopped = True
        self.waiting.clear()
        processes = list(self.processes)
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + GRACE
        for process in processes:
            process.join(max(0.0, deadline - time.monotonic()))
        for process in processes:
            if process.is_alive():
                process.kill()
        end_server()

    def _attend_all(self) -> None:
        while self.waiting:
            try:
                job = self.waiting.pop()
            except IndexError:  # another thread was quicker
                return
            try:
                self.ended.put(self._attend(job))
            except BaseException as error:
                self.ended.put(error)

    def _attend(self, job: Job) -> Failure | None:
        ours, theirs = self.context.Pipe(duplex=False)
        process = self.context.Process(target=work, args=(job, theirs), daemon=True)
        row = self.display.began(job)
        process.start()
        self.processes.append(process)
        if self.stopped:
            process.terminate()
        theirs.close()
        told, failure = self._followed(ours, row)
        process.join()
        self.processes.remove(process)
        if not told:
            said = f"the process ended with status {process.exitcode}"
            failure = Failure(job.title, said, usage=False)
        if not self.stopped:
            self.display.ended(row, failed=failure is not None)
        return failure

    def _followed(self, connection: Any, row: Any) -> tuple[bool, Failure | None]:
        """Shows a job's steps until it ends: whether it told of its end, and what went wrong.

        What it told counts, not its exit status: Python reads that once, and where another thread
        that starts a process was quicker (it looks at all that have ended), this one reads 255.
        """
        while True:
            try:
                message = connection.recv()
            except EOFError:
                return False, None
            if not isinstance(message, Step):
                return True, message
            if not self.stopped:
                self.display.step(row, message)
