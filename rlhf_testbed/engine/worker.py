"""What a job's own process does: the job, with its steps and its failure sent to the parent.

    work(Job("both, seed 3", train_and_evaluate, (run, bases)), connection, log)

It ends with the program that started it, whatever becomes of that. What it prints, native code's
last words included, goes to its log.
"""

from __future__ import annotations

import _thread
import faulthandler
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import NamedTuple, TypeAlias

from rlhf_testbed.engine.job import Failure, Job
from rlhf_testbed.shared.errors import UsageError, places_told
from rlhf_testbed.shared.progress import Step

LAUNCHED = ("LOCAL_RANK", "WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
"""By these a process learns of a launch of several (torchrun, MPI); a job has nothing to do with
it."""
GRACE = 2.0
"""Seconds that a job has to clean up behind it (temporary folders) after its parent is gone."""
LAST_LINES = 5
"""Of its log, what is told of a job that died."""


class Ended(NamedTuple):
    """A job that did not fail, and what it made that other jobs need."""

    made: tuple[Path, ...] = ()


Message: TypeAlias = Step | Ended | Failure
"""What a job tells: its steps, then how it ended."""


def work(job: Job, connection: Connection, log: Path | None = None) -> None:
    """Runs in the job's process: the job, until it ends or the program that started it does.

    Ctrl-C in a terminal reaches every process; that program says which jobs end by it. Nobody is
    there who could read a traceback of the end.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    if hasattr(signal, "SIGUSR2"):  # by which Slurm tells the program that the time is over
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with printed_to(log):
            perform(job, sending(connection))
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGTERM) from None


def sending(connection: Connection) -> Callable[[Message], None]:
    """Tells the parent; ends the job where that is gone."""

    def send(message: Message) -> None:
        try:
            connection.send(message)
        except OSError:
            raise KeyboardInterrupt from None

    return send


def perform(job: Job, tell: Callable[[Message], None]) -> None:
    """Does a job, tells its steps, and then how it ended."""
    for name in LAUNCHED:
        os.environ.pop(name, None)
    try:
        with places_told():
            made: Sequence[Path] = job.function(tell, *job.arguments) or ()
        tell(Ended(tuple(made)))
    except UsageError as error:
        tell(Failure(job.title, str(error), usage=True))
    except Exception:
        tell(Failure(job.title, traceback.format_exc(), usage=False))


@contextmanager
def printed_to(log: Path | None) -> Iterator[None]:
    """Sends what this process prints to a file, also from native code and as it dies.

    A file that stays empty is removed. Where none can be made (a full disk), all is as it was.
    """
    if log is None:
        yield
        return
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        file = log.open("a", encoding="utf-8")
    except OSError:
        yield
        return
    with file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        faulthandler.enable()
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            if log.stat().st_size == 0:
                log.unlink()


def last_words(log: Path | None) -> str:
    """The last lines of a job's log, each on a line of its own; empty where it printed nothing."""
    if log is None or not log.is_file():
        return ""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return "".join(f"\n  {line}" for line in lines[-LAST_LINES:])


def death(status: int | None) -> str:
    """How a process ended that told of no end, in words.

    >>> death(-9)
    'the process was killed by SIGKILL (out of memory, or somebody else)'
    >>> death(255)
    'the process ended with status 255'
    """
    if status is None or status >= 0:
        return f"the process ended with status {status}"
    name = signal.Signals(-status).name
    why = " (out of memory, or somebody else)" if -status == signal.SIGKILL else ""
    return f"the process was killed by {name}{why}"


def _end(number: int, frame: FrameType | None) -> None:
    """Ends the job, and is caught by no `except Exception` on the way."""
    raise KeyboardInterrupt


def _end_with_parent() -> None:
    """Waits for the end of the program that started this process, then ends it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        _thread.interrupt_main(signal.SIGTERM)
        time.sleep(GRACE)
        os._exit(128 + signal.SIGTERM)
