"""Generations as rows of one table: what the Python API and `inspect --format` both show.

    table = rows_of(Path("runs/corridor"), Filter(arm="both", approved=True, unwanted=True))
    table.schema.names    ["arm", "base_seed", "seed", "stage", "update", "episode", ...]
    for batch in table.batches: ...    record batches of pyarrow, read as they are asked for

What a later overseer said stands in columns of its own (`full_knowledge_approved`), since training
saw none of it; what a response did in others (`trait_tramples_unseen`). What was not measured, or
not possible, is null.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from rlhf_testbed.settings.plugins import faults_told
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store import ledger
from rlhf_testbed.store.generations import Filter, Generation, found, in_order, runs_in
from rlhf_testbed.store.run_directory import RunDirectory, Stage
from rlhf_testbed.store.run_records import KNOWING

BATCH = 2048
"""Rows in memory at a time."""
WHOSE = (
    pa.field("arm", pa.string()),
    pa.field("base_seed", pa.int64()),
    pa.field("seed", pa.int64()),
    pa.field("stage", pa.string()),
)
"""What tells runs and stages apart."""
JUDGED = (
    pa.field("exposed", pa.bool_()),
    pa.field("unwanted", pa.bool_()),
    pa.field("unwanted_approved", pa.bool_()),
    pa.field("anew", pa.bool_()),
)
"""What both verdicts say together: `Generation` has the meaning of each."""
VERDICT = {"score": pa.float64(), "approved": pa.bool_(), "reason": pa.string()}
"""A later overseer's columns, each named NAME_score and so on."""


class Rows(NamedTuple):
    """A table that is read as it is asked for, once."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]

    def table(self) -> pa.Table:
        """All of it in memory."""
        return pa.Table.from_batches(self.batches, self.schema)


def rows_of(
    path: Path,
    wanted: Filter,
    stage: Stage = "training",
    sort: str | None = None,
    limit: int | None = None,
) -> Rows:
    """The generations of a run or an experiment that the filter admits, a row each.

    Raises `UsageError` where there is neither, and for a filter or an order that there is not.
    """
    generations = in_order(found(path, wanted, stage), sort)
    schema = _schema(runs_in(path))
    return Rows(schema, _batches(itertools.islice(generations, limit), schema))


def filed_row(generation: Generation) -> dict[str, Any]:
    """What is filed of one generation; what was not measured is empty rather than 0 or NaN."""
    row = dict(zip(ledger.SCHEMA.names, generation.row.values(), strict=True))
    row |= {
        "update": row["update"] or None,
        **{name: None for name in ("advantage", "kl") if row[name] != row[name]},
        "exposed": generation.exposed,
    }
    for name, verdict in generation.later.items():
        row |= {column_of(name, part): said for part, said in verdict._asdict().items()}
    return row


def verdict_fields(overseers: Sequence[str]) -> list[pa.Field]:
    """The columns of later overseers' verdicts, by the names that these are filed under."""
    return [
        pa.field(column_of(name, part), kind)
        for name in overseers
        for part, kind in VERDICT.items()
    ]


def column_of(overseer: str, part: str) -> str:
    """The column of one part of a later overseer's verdict.

    >>> column_of("full_knowledge", "approved")
    'full_knowledge_approved'
    """
    return f"{in_one_word(overseer)}_{part}"


def trait_column(trait: str) -> str:
    """The column of a trait.

    >>> trait_column("tramples unseen")
    'trait_tramples_unseen'
    """
    return f"trait_{in_one_word(trait)}"


def in_one_word(name: str) -> str:
    """The name that a later overseer's verdicts are filed under, as part of a column's name.

    >>> in_one_word("my_pkg.auditor-Auditor")
    'my_pkg_auditor_Auditor'
    >>> in_one_word("scripted-knowledge=0.5-prior=0")
    'scripted_knowledge_0_5_prior_0'
    """
    return re.sub(r"\W+", "_", name.replace("=-", "_minus_"))


def _row(generation: Generation) -> dict[str, Any]:
    truth = {column_of(KNOWING, part): said for part, said in generation.truth._asdict().items()}
    return {
        "arm": generation.arm,
        "base_seed": generation.base_seed,
        "seed": generation.seed,
        "stage": generation.stage,
        **filed_row(generation),
        **truth,
        "unwanted": generation.unwanted,
        "unwanted_approved": generation.unwanted_approved,
        "anew": generation.anew,
        **{trait_column(name): shown for name, shown in generation.traits.items()},
    }


def _schema(runs: Sequence[RunDirectory]) -> pa.Schema:
    """Full knowledge first among the later overseers, those of any run; traits last."""
    others = {one.name for directory in runs for one in directory.evaluations} - {KNOWING}
    later = verdict_fields([KNOWING, *sorted(others)])
    traits = [pa.field(trait_column(name), pa.bool_()) for name in _traits(runs[0])]
    return pa.schema([*WHOSE, *ledger.SCHEMA, *JUDGED, *later, *traits])


def _traits(directory: RunDirectory) -> Mapping[str, bool | None]:
    """Those of a run's first episode; a task has the same ones for every episode."""
    task = directory.settings().task
    row = next(ledger.rows_in(directory.ledger))
    with faults_told(f"{directory.path}", task):
        return task.traits(row.scenario, row.outcome)


def _batches(generations: Iterator[Generation], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    known = set(schema.names)
    while chunk := list(itertools.islice(generations, BATCH)):
        rows = [_row(generation) for generation in chunk]
        if more := {name for row in rows for name in row} - known:
            raise UsageError(
                f"{chunk[0].run}: columns {', '.join(sorted(more))} are not those of the first "
                "episode (a task names the same traits for every episode)"
            )
        yield pa.RecordBatch.from_pylist(rows, schema)
