"""How a command ends where some of its jobs failed."""

from __future__ import annotations

import sys

import typer

from rlhf_testbed.engine.job import JobsFailed

TOLD = 10
"""Failures that are told whole; of more it is told how many."""


def ended_by(failed: JobsFailed, rest: str, look: str = "") -> typer.Exit:
    """Tells what failed, a line each, and `rest` of all others; how the program is to end.

    `look`: where it is read what of many failures is not told here.
    """
    for title, said, _ in failed.failures[:TOLD]:
        print(f"error: {title}: {said}", file=sys.stderr)
    if (more := len(failed.failures) - TOLD) > 0:
        print(f"error: and {more} more{f' ({look})' if look else ''}", file=sys.stderr)
    print(rest, file=sys.stderr)
    return typer.Exit(2 if all(failure.usage for failure in failed.failures) else 1)
