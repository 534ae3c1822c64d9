"""The files that a ledger is made of: which updates each holds, and which of them count.

    00001-00064.parquet    a segment: updates 1 to 64
    00065.parquet          one update, as training files it
    00064.parquet          does not count: the segment holds its update, too

Whoever joins or parts files writes the new ones whole before the old ones go, so that a kill at any
moment leaves each update in a file that counts, and no file that counts twice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rlhf_testbed.shared.errors import UsageError

NAME = re.compile(r"(\d{5,})(?:-(\d{5,}))?\.parquet")


class Piece(NamedTuple):
    """A file of a ledger: the updates from `first` to `last`, which count from 1."""

    first: int
    last: int
    path: Path


def piece(folder: Path, first: int, last: int) -> Piece:
    """The file of a range of updates.

    >>> piece(Path("ledger"), 1, 64).path.name, piece(Path("ledger"), 7, 7).path.name
    ('00001-00064.parquet', '00007.parquet')
    """
    name = f"{first:05d}" if first == last else f"{first:05d}-{last:05d}"
    return Piece(first, last, folder / f"{name}.parquet")


def counting(folder: Path) -> list[Piece]:
    """The files that count, in order: together updates 1 to the last, each once.

    Raises `UsageError` where an update is missing, or a file has a name of another kind.
    """
    return _each_once(folder, _all(folder))


def tidied(folder: Path) -> list[Piece]:
    """The files that count, after the others were removed, with what a killed writer left."""
    there = _all(folder)
    kept = _each_once(folder, there)
    for half in folder.glob(".*.part"):
        half.unlink()
    for old in set(there) - set(kept):
        old.path.unlink()
    return kept


def _all(folder: Path) -> list[Piece]:
    return [_read(path) for path in folder.glob("*.parquet")]


def _read(path: Path) -> Piece:
    match = NAME.fullmatch(path.name)
    if not match:
        raise UsageError(
            f"{path.parent}: damaged ledger: {path.name} names no updates "
            "(right: 00001.parquet, or 00001-00064.parquet)"
        )
    return Piece(int(match[1]), int(match[2] or match[1]), path)


def _each_once(folder: Path, there: Sequence[Piece]) -> list[Piece]:
    """Of files that begin alike the longest counts; what lies within it does not."""
    found: list[Piece] = []
    update = 1
    for one in sorted(there, key=lambda each: (each.first, -each.last)):
        if one.last < update:
            continue
        if one.first != update:
            raise UsageError(
                f"{folder}: damaged ledger: update {update} is missing "
                f"(found {one.path.name} in its place)"
            )
        found.append(one)
        update = one.last + 1
    return found
