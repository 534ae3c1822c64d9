"""Generations for other programs, a row each: CSV, JSON lines or parquet, written as they are read.

    rlhf-testbed inspect runs/corridor --approved --unwanted --format jsonl > bad.jsonl

    {"arm": "both", "seed": 3, "update": 60, ..., "response": "right walk jump walk walk",
     "approved": true, "reason": "reached the coin", "full_knowledge_approved": false, ...}

The columns are those of the Python API (`store/generation_rows.py`). In JSON lines facts, outcome
and view are objects; in CSV and parquet they are JSON as text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from rlhf_testbed.store.generation_rows import Rows

NESTED = ("facts", "outcome", "view")
"""Columns that hold JSON."""


def _csv(rows: Rows, out: BinaryIO) -> Iterator[int]:
    lists = [field.name for field in rows.schema if pa.types.is_list(field.type)]
    schema = pa.schema([(f.name, pa.string() if f.name in lists else f.type) for f in rows.schema])
    with pyarrow.csv.CSVWriter(out, schema) as writer:
        for batch in rows.batches:
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            for name in lists:  # a cell can hold none
                columns[name] = pa.array([_json(value) for value in columns[name].to_pylist()])
            writer.write_batch(pa.RecordBatch.from_pydict(columns, schema=schema))
            yield len(batch)


def _jsonl(rows: Rows, out: BinaryIO) -> Iterator[int]:
    for batch in rows.batches:
        for row in batch.to_pylist():
            row |= {name: json.loads(row[name]) for name in NESTED}
            known = {n: None if value != value else value for n, value in row.items()}  # no NaN
            out.write(f"{_json(known)}\n".encode())
        yield len(batch)


def _parquet(rows: Rows, out: BinaryIO) -> Iterator[int]:
    with pq.ParquetWriter(out, rows.schema) as writer:
        for batch in rows.batches:
            writer.write_batch(batch)
            yield len(batch)


FORMATS: dict[str, Callable[[Rows, BinaryIO], Iterator[int]]] = {
    "csv": _csv,
    "jsonl": _jsonl,
    "parquet": _parquet,
}
"""How rows are written, by the format's name; each yields how many it has written at a time."""


def write_rows(rows: Rows, to: str, out: BinaryIO) -> int:
    """Writes the rows in one of `FORMATS`; returns how many there were."""
    return sum(FORMATS[to](rows, out))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
