"""The ledger of generations: one row an episode, one parquet file an update.

    runs/both-3/ledger/00001.parquet    update 1, 64 rows:
    update 1, episode 0, scenario "corridor-train-3-17", prompt "corridor 0 4 1 7 ...",
    response "right walk jump walk walk", facts {...}, outcome {...}, view {...},
    score 1.0, approved true, reason "reached the coin", advantage 0.83, kl 1.2

The files are written while training goes, each whole or not at all. A training ledger never holds
the verdict of a held-out overseer; those are filed by overseer under `evaluation/`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from rlhf_testbed.errors import UsageError
from rlhf_testbed.files import written_whole
from tasks.base import Facts, Outcome, Scenario, Verdict

if TYPE_CHECKING:
    from rlhf_testbed.judging import Episode  # which imports torch

SCHEMA = pa.schema(
    [
        ("update", pa.int32()),
        ("episode", pa.int32()),
        ("scenario", pa.string()),
        ("prompt", pa.string()),
        ("response", pa.string()),
        ("facts", pa.string()),
        ("concealable", pa.list_(pa.string())),
        ("outcome", pa.string()),
        ("valid", pa.bool_()),
        ("view", pa.string()),
        ("score", pa.float64()),
        ("approved", pa.bool_()),
        ("reason", pa.string()),
        ("advantage", pa.float64()),
        ("kl", pa.float64()),
    ]
)
"""`facts`, `outcome` and `view` are JSON. `advantage`: mean over the response's tokens, after
whitening; `kl`: sum over the tokens of log policy - log base model, in nats. Both are NaN for
episodes that selected nothing."""

Row = dict[str, Any]


def row(
    episode: Episode,
    update: int,
    index: int,
    advantage: float = float("nan"),
    kl: float = float("nan"),
) -> Row:
    """One episode as a row of the ledger."""
    return {
        "update": update,
        "episode": index,
        "scenario": episode.scenario.id,
        "prompt": episode.scenario.prompt,
        "response": episode.response,
        "facts": _json(episode.scenario.facts),
        "concealable": list(episode.scenario.concealable),
        "outcome": _json(episode.outcome.facts),
        "valid": episode.outcome.valid,
        "view": _json(
            {
                "facts": dict(episode.view.facts),
                "outcome": dict(episode.view.outcome),
                "unseen": list(episode.view.unseen),
            }
        ),
        "score": episode.verdict.score,
        "approved": episode.verdict.approved,
        "reason": episode.verdict.reason,
        "advantage": advantage,
        "kl": kl,
    }


def scenario_of(row: Row) -> Scenario:
    """The scenario that a row tells of."""
    return Scenario(
        row["scenario"], row["prompt"], json.loads(row["facts"]), tuple(row["concealable"])
    )


def outcome_of(row: Row) -> Outcome:
    """The outcome that a row tells of."""
    return Outcome(json.loads(row["outcome"]), row["valid"])


def verdict_of(row: Row) -> Verdict:
    """The verdict that a row tells of."""
    return Verdict(row["score"], row["approved"], row["reason"])


def write(path: Path, rows: Iterable[Row]) -> None:
    """Writes rows to one parquet file, whole or not at all."""
    table = pa.Table.from_pylist(list(rows), schema=SCHEMA)
    with written_whole(path) as aside:
        pq.write_table(table, aside)


def update_file(folder: Path, update: int) -> Path:
    """Where the generations of one update are filed; updates count from 1."""
    return folder / f"{update:05d}.parquet"


def read(path: Path) -> list[Row]:
    """The rows of one file, or of a folder of updates in order.

    Raises `UsageError` naming the file that is missing, unreadable or of another form.
    """
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files or not path.exists():
        raise UsageError(f"{path}: no generations here (a ledger has a parquet file an update)")
    if path.is_dir():
        _refuse_gaps(path, files)
    return [row for file in files for row in _rows(file)]


def _refuse_gaps(folder: Path, files: Sequence[Path]) -> None:
    for update, file in enumerate(files, start=1):
        if file != update_file(folder, update):
            raise UsageError(
                f"{folder}: damaged ledger: {update_file(folder, update).name} is missing "
                f"(found {file.name} in its place)"
            )


def _rows(file: Path) -> list[Row]:
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise UsageError(
            f"{file}: damaged ledger: not a readable parquet file ({str(error).splitlines()[0]})"
        ) from None
    if table.schema.names != SCHEMA.names:
        odd = sorted(set(table.schema.names) ^ set(SCHEMA.names))
        raise UsageError(
            f"{file}: damaged ledger, or one from another version: columns {', '.join(odd)} "
            "are missing or not known"
        )
    rows: list[Row] = table.to_pylist()
    return rows


def _json(facts: Facts | Mapping[str, object]) -> str:
    return json.dumps(dict(facts), ensure_ascii=False)
