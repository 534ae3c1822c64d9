"""The verdicts of a later overseer: one row an episode, in the order of the generations.

    runs/both-3/evaluation/full_knowledge/training.parquet
    update 1, episode 0, scenario "corridor-train-3-17", score 0.4, approved false,
    reason "reached the coin, trampled the bed at right 1"

Training saw none of them. They are read where they are filed, and never against other generations
than those that they were given on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import written_whole
from rlhf_testbed.store.ledger import Row, read_columns
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


def write(path: Path, rows: Sequence[Row], verdicts: Sequence[Verdict]) -> None:
    """Writes the verdict on each row, whole or not at all."""
    filed = [(*row.key, *verdict) for row, verdict in zip(rows, verdicts, strict=True)]
    columns = zip(SCHEMA.names, zip(*filed, strict=True), strict=False)
    found = {name: list(values) for name, values in columns}
    table = pa.Table.from_pydict(found or {name: [] for name in SCHEMA.names}, schema=SCHEMA)
    with written_whole(path) as aside:
        pq.write_table(table, aside)


def read(path: Path, rows: Sequence[Row], again: str) -> list[Verdict]:
    """The verdicts that a file holds on these rows; `again` is the command that gives them anew.

    Raises `UsageError` where there are none, or where they are on other generations.
    """
    if not path.is_file():
        raise UsageError(f"{path} is not there ({again})")
    columns = read_columns(path, SCHEMA)
    keys = list(zip(*(columns[name] for name in SCHEMA.names[:4]), strict=True))
    if keys != [row.key for row in rows]:
        raise UsageError(
            f"{path}: holds verdicts on other generations than the run's ({again} judges them anew)"
        )
    told = zip(*(columns[name] for name in SCHEMA.names[4:]), strict=True)
    return [Verdict(*one) for one in told]
