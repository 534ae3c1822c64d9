"""Parquet files a row group at a time: written whole, and read in constant memory.

    with written(path, SCHEMA) as file:
        file.add([(1, 0, "corridor-train-3-17", ...), ...])    64 rows that belong together
        file.add([(2, 0, "corridor-train-3-40", ...), ...])    64 more

    for columns in row_groups(path, SCHEMA): ...               lists of values, a group's at a time

The ledger and the verdicts of later overseers are both such files.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import written_whole

GROUP = 2048
"""Rows of a row group, about: what a reader holds at a time (a few MB). With 64 of them a file
takes five times as long to read, and six times the space; with 4,096 joining a segment took 53 MiB,
which was the peak of a training's memory, and takes 22 now."""


class RowGroups:
    """A parquet file that is being written; rows that were added together share a row group."""

    def __init__(self, file: pq.ParquetWriter, schema: pa.Schema) -> None:
        self._file = file
        self._schema = schema
        self._waiting: list[Sequence[object]] = []

    def add(self, rows: Sequence[Sequence[object]]) -> None:
        """Adds rows, each with its values in the order of the columns."""
        if len(self._waiting) + len(rows) > GROUP:
            self.flush()
        self._waiting += rows

    def flush(self) -> None:
        """Writes what is waiting as one row group."""
        if self._waiting:
            columns = zip(self._schema.types, zip(*self._waiting, strict=True), strict=True)
            arrays = [pa.array(values, type=kind) for kind, values in columns]
            table = pa.Table.from_arrays(arrays, schema=self._schema)
            self._file.write_table(table, row_group_size=len(self._waiting))
            self._waiting = []


@contextmanager
def written(path: Path, schema: pa.Schema) -> Iterator[RowGroups]:
    """Gives a file to add rows to; it appears under `path` when all went well."""
    with written_whole(path) as aside, pq.ParquetWriter(aside, schema) as file:
        groups = RowGroups(file, schema)
        yield groups
        groups.flush()


def row_groups(path: Path, schema: pa.Schema) -> Iterator[list[list[object]]]:
    """The columns of a parquet file, one row group after the other.

    Raises `UsageError` where it has other columns, or is damaged.
    """
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    with _damage_told(path):
        header = pq.read_metadata(path)
        _refuse_other_columns(path, header.schema.to_arrow_schema().names, schema)
        with pq.ParquetFile(path, metadata=header, read_dictionary=texts) as file:
            for at in range(file.num_row_groups):
                group = file.read_row_group(at, use_threads=False)
                yield [_values(column) for column in group.columns]


def size(path: Path) -> int:
    """Rows of a parquet file, by its header; raises `UsageError` where it is damaged."""
    with _damage_told(path):
        found: int = pq.read_metadata(path).num_rows
    return found


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise UsageError(
            f"{path}: damaged ledger: not a readable parquet file ({str(error).splitlines()[0]})"
        ) from None


def _refuse_other_columns(path: Path, names: Sequence[str], schema: pa.Schema) -> None:
    if list(names) != schema.names:
        odd = sorted(set(names) ^ set(schema.names))
        raise UsageError(
            f"{path}: damaged ledger, or one from another version: columns {', '.join(odd)} "
            "are missing or not known"
        )


def _values(column: pa.ChunkedArray) -> list[object]:
    """The values of a column. Texts that are equal are one object, so that they are hashed once."""
    found: list[object] = []
    for chunk in column.chunks:
        found += _of_chunk(chunk)
    return found


def _of_chunk(chunk: pa.Array) -> list[object]:
    if chunk.null_count:
        nulls: list[object] = chunk.to_pylist()
        return nulls
    if pa.types.is_dictionary(chunk.type):
        texts = chunk.dictionary.to_pylist()
        return [texts[at] for at in chunk.indices.to_numpy().tolist()]
    if pa.types.is_list(chunk.type):
        flat, ends = chunk.values.to_pylist(), chunk.offsets.to_numpy().tolist()
        return [flat[start:end] for start, end in itertools.pairwise(ends)]
    numbers: list[object] = chunk.to_numpy(zero_copy_only=False).tolist()
    return numbers
