"""Which of a launch's processes this is, and how they begin, wait and end together.

torchrun --nproc_per_node 2 -m rlhf_testbed.train ...    two processes, with or without a GPU

error: rank 1 of 2 on gpu-17: runs/x: training stopped: overseer Auditor failed to judge: ...

The first process that fails says why, and all end.
"""

from __future__ import annotations

import signal
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache

import torch
from accelerate import PartialState
from torch import distributed

from rlhf_testbed.selection.launch import MEANWHILE, AnotherFailed, Launch
from rlhf_testbed.shared.errors import UsageError

LONGEST = timedelta(minutes=30)
"""For which a process waits in a collective: transformers' own, where torch's is 10 with NCCL. What
takes longer in one process alone is waited for in other ways (`main_first`, `together`)."""


def processes(use_cpu: bool) -> PartialState:
    """This process among those of its launch.

    Without being told, accelerate takes each process on a machine without a GPU to be alone.
    """
    return PartialState(cpu=use_cpu or not torch.accelerator.is_available(), timeout=LONGEST)


@contextmanager
def main_first(state: PartialState, place: str) -> Iterator[None]:
    """The first process does what is within, then the others; however long it takes it.

    `place`: names it; each once in a launch. Raises `AnotherFailed`.
    """
    launch = _launch()
    if launch is None:
        with state.main_process_first():
            yield
        return
    if not state.is_main_process:
        launch.wait(place, 1)
    yield
    if state.is_main_process:
        launch.reach(place)


@contextmanager
def together() -> Iterator[None]:
    """The processes of a launch end together.

    Where all went well, they wait for the last, which may still file something. Where one fails it
    says so, with its rank and host, and the others end without a word.
    """
    launch = _launch()
    if launch is None:
        yield
        PartialState().wait_for_everyone()
        return
    try:
        yield
        launch.reach("the end")
        launch.wait("the end", launch.size)
        launch.reach("the way out")
        if launch.rank == 0:  # which may keep the store that the others look at
            launch.wait("the way out", launch.size)
        launch.end()
    except BaseException as error:
        if isinstance(error, SystemExit) and not error.code:  # of --help
            launch.end()
            raise
        _ended_by(error, launch)


@contextmanager
def no_group_left() -> Iterator[None]:
    """Ends torch's process group, last of all: where that hangs, everything has been said.

    Left to Python's exit, the group's threads abort the process now and then, and its launcher then
    stops another that still files.
    """
    try:
        yield
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def another_failed() -> bool:
    """Whether another process of this launch has told of a failure, or has ended without a word;
    the latter is told here, in up to four seconds."""
    launch = _launch()
    return launch is not None and (launch.failed() or launch.tell_of_gone())


@cache
def _launch() -> Launch | None:
    """The launch of this process; None where it is alone, or launched otherwise than by torch."""
    return Launch() if Launch.there() else None


def _ended_by(error: BaseException, launch: Launch) -> None:
    """Raises what ends this process, which tells of an error where no other does."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):  # the launcher's own haste
            signal.signal(number, signal.SIG_IGN)
    try:
        _silenced(error, launch)
    except distributed.DistError:
        launch.tell_of_launcher()
        raise SystemExit(1) from None


def _silenced(error: BaseException, launch: Launch) -> None:
    launch.leave()
    if launch.failed() or isinstance(error, AnotherFailed):
        raise SystemExit(1) from None
    if isinstance(error, UsageError):
        _first(launch)
        raise UsageError(f"{launch.own_name}: {error}") from error
    if launch.tell_of_gone():
        raise SystemExit(1) from None
    if isinstance(error, KeyboardInterrupt) or launch.interrupted():
        launch.interrupt()
        if launch.rank:
            raise SystemExit(1) from None
        raise error if isinstance(error, KeyboardInterrupt) else KeyboardInterrupt
    _first(launch)
    error.add_note(f"in {launch.own_name}")
    traceback.print_exception(error)
    raise SystemExit(1) from None


def _first(launch: Launch) -> None:
    """Ends this process unless it is the first that tells of a failure. Of what all fail by, the
    first process tells."""
    if launch.rank:
        time.sleep(MEANWHILE)
    if not launch.speaks():
        raise SystemExit(1)
