"""Bad input: one clear line (what, where, what would be right), exit status 2, no traceback.

$ rlhf-testbed inspect runs/nowhere
error: runs/nowhere: no such run (a run is a folder that holds a config.yaml)
"""

from __future__ import annotations

import atexit
import difflib
import gc
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from errno import EACCES, EDQUOT, EEXIST, EFBIG, EIO, EISDIR, ENOSPC, ENOTDIR, EPERM, EROFS
from typing import TypeVar

from rlhf_testbed.shared.interrupts import Received, interruptible, status_of

Entry = TypeVar("Entry")

FULL = (ENOSPC, EDQUOT, EFBIG, EIO)
"""Errors of disks, which strike in the middle of a file."""
OUTSIDE = (*FULL, EACCES, EPERM, EROFS, ENOTDIR, EISDIR, EEXIST)
"""Errors of places: a disk's, not allowed, a file where a folder should be or vice versa."""


class UsageError(Exception):
    """What the user asked for can't be done; the message is the one line that they see."""


@contextmanager
def reported() -> Iterator[Received]:
    """Turns a `UsageError` into its line on standard error and exit status 2.

    Ctrl-C and SIGTERM end the program, too, with a line and exit status 130 or 143. What the
    console can't show (κ in cp1252 or ASCII) is spelled out instead of ending the program.
    """
    atexit.register(gc.freeze)  # else a second goes by on looking for garbage in all of torch
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with interruptible() as received, places_told():
            yield received
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt as error:
        print("\ninterrupted", file=sys.stderr)
        raise SystemExit(status_of(error)) from None


@contextmanager
def places_told() -> Iterator[None]:
    """Turns what is wrong with a place on the user's disk into a `UsageError` that names it."""
    try:
        yield
    except OSError as error:
        if error.errno not in OUTSIDE or (error.filename is None and error.errno not in FULL):
            raise
        raise UsageError(f"{error.filename or 'a file'}: {error.strerror}") from error


def disk_fault(error: Exception) -> str:
    """What a disk said, where that is why a file could not be written; else empty.

    >>> disk_fault(OSError(ENOSPC, "No space left on device"))
    'No space left on device'

    Of safetensors, which is written in Rust, and of copied folders the text alone tells:

    >>> disk_fault(Exception("I/O error: File too large (os error 27)"))
    'File too large'
    """
    told = re.search(r"(?:os error|Errno) (\d+)", str(error))
    number = getattr(error, "errno", None) or (int(told[1]) if told else 0)
    return os.strerror(number) if number in FULL else ""


def unknown(what: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that isn't known, with the nearest one that is.

    >>> str(unknown("configs/x.yaml: setting", "knowlege", ["knowledge", "seed"]))
    "configs/x.yaml: setting 'knowlege' is unknown (did you mean 'knowledge'?)"
    """
    choices = list(known)
    near = difflib.get_close_matches(name, choices, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(choices)}"
    return UsageError(f"{what} '{name}' is unknown ({hint})")


def looked_up(what: str, name: str, table: Mapping[str, Entry]) -> Entry:
    """The entry of that name; raises `UsageError` with the nearest name that there is."""
    if name not in table:
        raise unknown(what, name, table)
    return table[name]
