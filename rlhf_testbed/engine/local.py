"""Jobs side by side: each in a fresh process, with one progress bar a job and one for all.

    run_side_by_side([Job("both, seed 3", train_and_evaluate, (run, bases)), ...], workers=2)

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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rlhf_testbed.engine.board import Board, log_of
from rlhf_testbed.engine.job import Engine, Failure, Job, JobsFailed, Orders
from rlhf_testbed.engine.server import end_server, start_server
from rlhf_testbed.engine.worker import Ended, death, last_words, work
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.progress import TICK, Step

GRACE = 2.0
"""Seconds that a job has to end after an interrupt, before it is ended."""


class Local(Engine):
    """This machine's cores."""

    summary = "processes on this machine, by default one a core"

    def run(self, jobs: Sequence[Job], orders: Orders = Orders()) -> None:
        """Each job in a process of its own, forked from a server that has imported `preload`."""
        if not jobs:
            return
        at_once = min(orders.workers or available_cores(), len(jobs))
        with Board(jobs, at_once, "local", orders) as board:
            crew = _Crew(board, start_server(orders.preload))
            try:
                crew.finish(at_once)
            except BaseException:
                crew.stop()
                raise
        board.close()


def run_side_by_side(
    jobs: Sequence[Job], workers: int | None = None, preload: Sequence[str] = ()
) -> None:
    """Runs all jobs on this machine, by default one a core; see `Engine.run`."""
    Local().run(jobs, Orders(workers=workers, preload=preload))


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


class Attended:
    """One job in a process of its own, followed until it ends."""

    def __init__(self, job: Job, context: Any, log: Path | None = None) -> None:
        self.job, self.log = job, log
        self._ours, theirs = context.Pipe(duplex=False)
        self.process = context.Process(target=work, args=(job, theirs, log), daemon=True)
        self.process.start()
        theirs.close()

    def followed(self, stepped: Callable[[Step], None]) -> Ended | Failure:
        """Tells of the job's steps until it ends; how it ended.

        What it told counts, not its exit status: Python reads that once, and where another thread
        that starts a process was quicker (it looks at all that have ended), this one reads 255.
        """
        told: Ended | Failure | None = None
        while told is None:
            try:
                message = self._ours.recv()
            except EOFError:
                break
            if isinstance(message, Step):
                stepped(message)
            else:
                told = message
        self.process.join()
        if told is None:
            said = f"{death(self.process.exitcode)}{last_words(self.log)}"
            return Failure(self.job.title, said, usage=False)
        return told


class _Crew:
    """Threads that each attend to one job after the other, until none is left.

    The threads are daemons: one that waits for a process which can't be started yet (a server that
    still imports torch) must not keep an interrupted program alive.
    """

    def __init__(self, board: Board, context: Any) -> None:
        self.board, self.context = board, context
        self.waiting = list(reversed(range(len(board.jobs))))
        self.number = len(board.jobs)
        self.ended: queue.Queue[BaseException | None] = queue.Queue()
        self.processes: list[Any] = []
        self.stopped = False

    def finish(self, at_once: int) -> None:
        """Runs all jobs; raises what kept one from starting."""
        for _ in range(at_once):
            threading.Thread(target=self._attend_all, daemon=True).start()
        while self.number:
            try:
                raised = self.ended.get(timeout=TICK)
            except queue.Empty:
                self.board.tick()
                continue
            self.number -= 1
            if raised is not None:
                raise raised

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
                at = self.waiting.pop()
            except IndexError:  # another thread was quicker
                return
            try:
                if self._attend(at):
                    self.waiting.insert(0, at)  # the last of all, by this thread if by no other
                else:
                    self.ended.put(None)
            except BaseException as error:
                self.ended.put(error)

    def _attend(self, at: int) -> bool:
        """Runs one job; returns whether it is to be run again."""
        job = self.board.jobs[at]
        self.board.began(at)
        attended = Attended(job, self.context, log_of(job, self.board.orders))
        self.processes.append(attended.process)
        if self.stopped:
            attended.process.terminate()
        told = attended.followed(lambda step: None if self.stopped else self.board.step(at, step))
        self.processes.remove(attended.process)
        if self.stopped:
            return False
        return self.board.ended(at, told if isinstance(told, Failure) else None)
