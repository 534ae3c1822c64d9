"""Who works in a folder: one command at a time, whichever machine it is on.

    with held(Path("runs/corridor")):
        ...
    runs/corridor: is in use by process 4711 on node-3 since 2026-01-31 12:00: rlhf-testbed ...

The lock goes with the process that holds it, however that ends. It lies beside the folder, and so
does the note that says whose it is.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import read_text, write_text
from rlhf_testbed.store.provenance import this_command


@contextmanager
def held(folder: Path, instead: str = "wait") -> Iterator[None]:
    """Keeps others out of a folder, which need not be there; raises `UsageError` where one is in.

    `instead`: what the other one is told to do.
    """
    note = folder.parent / f".{folder.name}.running"
    lock = _lock(folder)
    try:
        lock.acquire()
    except Timeout:
        raise UsageError(f"{folder}: is in use by {_holder(note)} ({instead})") from None
    try:
        since = datetime.now().strftime("%Y-%m-%d %H:%M")
        who = f"process {os.getpid()} on {socket.gethostname()} since {since}"
        write_text(note, f"{who}: {this_command()}\n")
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def holder(folder: Path) -> str:
    """Who is in a folder just now, in words; empty where nobody is."""
    lock = _lock(folder)
    if not Path(lock.lock_file).is_file():
        return ""
    try:
        with lock:
            return ""
    except Timeout:
        return _holder(folder.parent / f".{folder.name}.running")


def _lock(folder: Path) -> FileLock:
    return FileLock(folder.parent / f".{folder.name}.lock", timeout=0)


def _holder(note: Path) -> str:
    return read_text(note).strip() if note.is_file() else "another command"
