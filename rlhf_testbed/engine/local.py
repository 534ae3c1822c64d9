"""Jobs side by side: each in a fresh process, with one progress bar a job and one for all.

    run_side_by_side([Job("both, seed 3", train_and_evaluate, (arguments,)), ...], workers=2)

Processes are forked from a server that has imported torch already, so that a job starts within a
second; a process of its own keeps every job's random state and threads to itself.
"""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from multiprocessing.connection import Connection
from typing import Any

from rich.progress import Progress, TaskID

from rlhf_testbed.engine.job import Engine, Failure, Job, JobsFailed
from rlhf_testbed.shared.errors import UsageError, places_told
from rlhf_testbed.shared.progress import PLAIN_LINES, Step, bars

LAUNCHED = ("LOCAL_RANK", "WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
"""By these a process learns of a launch of several (torchrun, MPI); a job has nothing to do with
it."""


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
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    display = _Display(len(jobs))
    processes: list[Any] = []

    def attend(job: Job) -> Failure | None:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(job, theirs), daemon=True)
        processes.append(process)
        process.start()
        theirs.close()
        failure = display.follow(job, ours)
        process.join()
        if failure is None and process.exitcode:
            said = f"the process ended with status {process.exitcode}"
            failure = Failure(job.title, said, usage=False)
        display.ended(job, failed=failure is not None)
        return failure

    failures = []
    with display.progress, ThreadPoolExecutor(workers or available_cores()) as pool:
        waiting: set[Future[Failure | None]] = {pool.submit(attend, job) for job in jobs}
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                failures += [failure for future in done if (failure := future.result())]
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()
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


class _Display:
    """One bar for all jobs and one for each that is under way; plain lines without a terminal."""

    def __init__(self, total: int) -> None:
        self.progress: Progress = bars()
        self.live = self.progress.console.is_terminal
        self.progress.disable = not self.live
        self.total, self.done = total, 0
        self.all = self.progress.add_task("all jobs", total=total, note="")

    def follow(self, job: Job, connection: Connection) -> Failure | None:
        """Shows a job's steps until it ends; returns what it sent if it failed."""
        row = self.progress.add_task(job.title, total=None, note="")
        try:
            while True:
                message = connection.recv()
                if isinstance(message, Step):
                    self._show(job, row, message)
                else:
                    failure: Failure | None = message
                    return failure
        except EOFError:
            return None
        finally:
            self.progress.remove_task(row)

    def ended(self, job: Job, failed: bool) -> None:
        """Counts a job that has ended."""
        self.done += 1
        self.progress.advance(self.all)
        self._print(f"[{self.done}/{self.total}] {job.title}: {'failed' if failed else 'ended'}")

    def _show(self, job: Job, row: TaskID, step: Step) -> None:
        if self.live:
            self.progress.update(row, completed=step.done, total=step.total, note=step.note)
        elif step.done % max(1, step.total * 5 // PLAIN_LINES) == 0:
            self._print(f"  {job.title}: {step.done}/{step.total}  {step.note}")

    def _print(self, line: str) -> None:
        if not self.live:
            self.progress.console.print(line, highlight=False)


def _work(job: Job, connection: Connection) -> None:
    """Runs in the job's process: sends steps, then what went wrong, or None."""

    def watcher(step: Step) -> None:
        connection.send(step)

    for name in LAUNCHED:
        os.environ.pop(name, None)
    try:
        with places_told():
            job.function(watcher, *job.arguments)
        connection.send(None)
    except UsageError as error:
        connection.send(Failure(job.title, str(error), usage=True))
    except Exception:
        connection.send(Failure(job.title, traceback.format_exc(), usage=False))
