"""The verdicts of a later overseer: one row an episode, in the order of the generations.

    runs/both-3/evaluation/full_knowledge/training.parquet
    update 1, episode 0, scenario "corridor-train-3-17", score 0.4, approved false,
    reason "reached the coin, trampled the bed at right 1"

Training saw none of them. They are read where they are filed, and never against other generations
than those that they were given on.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store.columns import RowGroups, row_groups, written
from rlhf_testbed.store.ledger import Row
from rlhf_testbed.tasks.base import Verdict

SCHEMA = pa.schema(
    [
        ("update", pa.int32()),
        ("episode", pa.int32()),
        ("scenario", pa.string()),
        ("response", pa.string()),
        ("score", pa.float64()),
        ("approved", pa.bool_()),
        ("reason", pa.string()),
    ]
)
KEY = 4
"""Columns that tell an episode from every other, as `Row.key` does."""


class Filing:
    """A file of verdicts that is being written."""

    def __init__(self, file: RowGroups) -> None:
        self._file = file

    def add(self, rows: Sequence[Row], verdicts: Sequence[Verdict]) -> None:
        """Files the verdict on each of these rows, which come after those before."""
        each = zip(rows, verdicts, strict=True)
        self._file.add([(*row.key, *verdict) for row, verdict in each])


@contextmanager
def filing(path: Path) -> Iterator[Filing]:
    """Gives a file of verdicts to add to; it appears under `path` when all went well."""
    with written(path, SCHEMA) as file:
        yield Filing(file)


def write(path: Path, rows: Sequence[Row], verdicts: Sequence[Verdict]) -> None:
    """Writes the verdict on each row, whole or not at all."""
    with filing(path) as file:
        file.add(rows, verdicts)


class Filed:
    """The verdicts that a file holds, read along with the generations that they are on.

    `again` is the command that gives them anew. Raises `UsageError` where there are none.
    """

    def __init__(self, path: Path, again: str) -> None:
        if not path.is_file():
            raise UsageError(f"{path} is not there ({again})")
        self._path = path
        self._again = again
        self._rest = _verdicts(path)

    def on(self, rows: Sequence[Row]) -> list[Verdict]:
        """The verdicts on the next generations; raises `UsageError` where it holds others."""
        there = list(itertools.islice(self._rest, len(rows)))
        if [values[:KEY] for values in there] != [row.key for row in rows]:
            raise self._on_others()
        return [Verdict(*values[KEY:]) for values in there]

    def ended(self) -> None:
        """Raises `UsageError` where verdicts are left that no generation was there for."""
        if next(self._rest, None) is not None:
            raise self._on_others()

    def _on_others(self) -> UsageError:
        return UsageError(
            f"{self._path}: holds verdicts on other generations than the run's ({self._again} "
            "judges them anew)"
        )


def read(path: Path, rows: Sequence[Row], again: str) -> list[Verdict]:
    """The verdicts that a file holds on these rows, which are all of its stage; see `Filed`."""
    filed = Filed(path, again)
    found = filed.on(rows)
    filed.ended()
    return found


def _verdicts(path: Path) -> Iterator[tuple[Any, ...]]:
    return (values for columns in row_groups(path, SCHEMA) for values in zip(*columns, strict=True))
