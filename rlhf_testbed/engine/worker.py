"""What a job's own process does: the job, with its steps and its failure sent to the parent.

    work(Job("both, seed 3", train_and_evaluate, (arguments,)), connection)

It ends with the program that started it, whatever becomes of that.
"""

from __future__ import annotations

import _thread
import multiprocessing
import os
import signal
import threading
import time
import traceback
from multiprocessing.connection import Connection
from types import FrameType

from rlhf_testbed.engine.job import Failure, Job
from rlhf_testbed.shared.errors import UsageError, places_told
from rlhf_testbed.shared.progress import Step

LAUNCHED = ("LOCAL_RANK", "WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
"""By these a process learns of a launch of several (torchrun, MPI); a job has nothing to do with
it."""
GRACE = 2.0
"""Seconds that a job has to clean up behind it (temporary folders) after its parent is gone."""


def work(job: Job, connection: Connection) -> None:
    """Runs in the job's process: the job, until it ends or the program that started it does.

    Ctrl-C in a terminal reaches every process; that program says which jobs end by it. Nobody is
    there who could read a traceback of the end.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        perform(job, connection)
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGTERM) from None


def perform(job: Job, connection: Connection) -> None:
    """Sends the job's steps, then what went wrong, or None."""

    def watcher(step: Step) -> None:
        _send(connection, step)

    for name in LAUNCHED:
        os.environ.pop(name, None)
    try:
        with places_told():
            job.function(watcher, *job.arguments)
        _send(connection, None)
    except UsageError as error:
        _send(connection, Failure(job.title, str(error), usage=True))
    except Exception:
        _send(connection, Failure(job.title, traceback.format_exc(), usage=False))


def _send(connection: Connection, message: Step | Failure | None) -> None:
    """Tells the parent; ends the job where that is gone."""
    try:
        connection.send(message)
    except OSError:
        raise KeyboardInterrupt from None


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
