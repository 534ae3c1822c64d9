"""The ledger of generations: one row an episode, one parquet file an update.

    runs/both-3/ledger/00001.parquet    update 1, 64 rows:
    update 1, episode 0, scenario "corridor-train-3-17", prompt "corridor 0 4 1 7 ...",
    response "right walk jump walk walk", facts {...}, outcome {...}, view {...},
    score 1.0, approved true, reason "reached the coin", advantage 0.83, kl 1.2

The files are written while training goes on, each whole or not at all. A ledger holds the training
overseer's verdicts and no other's: `verdicts.py` files those of later overseers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rlhf_testbed.judging.episode import Episode
from rlhf_testbed.overseers.base import Case
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import written_whole
from rlhf_testbed.tasks.base import Facts, Outcome, Scenario, Verdict, View

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
"""The columns of a file, in the order of `Row`. `facts`, `outcome` and `view` are JSON."""
REMEMBERED = 1 << 14
"""Texts of scenarios and outcomes whose content is kept: the same come again and again."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a ledger, in the columns of `SCHEMA`."""

    update: int
    """From 1; 0 for an episode that no update is of."""
    episode: int
    scenario_id: str
    prompt: str
    response: str
    facts_json: str
    concealable: Sequence[str]
    outcome_json: str
    valid: bool
    view_json: str
    score: float
    approved: bool
    reason: str
    advantage: float
    """Fitness: what decided whether the episode was selected. Under PPO the mean over the
    response's tokens, whitened. NaN for an episode that selected nothing."""
    kl: float
    """Sum over the response's tokens of log policy - log base policy, in nats; NaN as above."""

    @classmethod
    def of(
        cls,
        episode: Episode,
        update: int,
        index: int,
        advantage: float = math.nan,
        kl: float = math.nan,
    ) -> Row:
        """An episode as a row."""
        view = {
            "facts": dict(episode.view.facts),
            "outcome": dict(episode.view.outcome),
            "unseen": list(episode.view.unseen),
        }
        return cls(
            update,
            index,
            episode.scenario.id,
            episode.scenario.prompt,
            episode.response,
            _json(episode.scenario.facts),
            list(episode.scenario.concealable),
            _json(episode.outcome.facts),
            episode.outcome.valid,
            _json(view),
            *episode.verdict,
            advantage,
            kl,
        )

    @property
    def scenario(self) -> Scenario:
        """The scenario that the row tells of."""
        return Scenario(
            self.scenario_id, self.prompt, _facts(self.facts_json), tuple(self.concealable)
        )

    @property
    def outcome(self) -> Outcome:
        """What became true."""
        return Outcome(_facts(self.outcome_json), self.valid)

    @property
    def case(self) -> Case:
        """The episode before it was judged."""
        return Case(self.scenario, self.response, self.outcome)

    @property
    def view(self) -> View:
        """What the training overseer was shown."""
        shown = _loaded(self.view_json)
        return View(shown["facts"], shown["outcome"], tuple(shown["unseen"]), self.valid)

    @property
    def verdict(self) -> Verdict:
        """The training overseer's verdict."""
        return Verdict(self.score, self.approved, self.reason)

    @property
    def key(self) -> tuple[int, int, str, str]:
        """What tells an episode from every other: update, number, scenario, response."""
        return self.update, self.episode, self.scenario_id, self.response

    def values(self) -> list[object]:
        """The row's values in the order of `SCHEMA`."""
        return [getattr(self, name) for name in self.__slots__]


def write(path: Path, rows: Iterable[Row]) -> None:
    """Writes rows to one parquet file, whole or not at all."""
    columns = zip(*(row.values() for row in rows), strict=True)
    found = dict(zip(SCHEMA.names, map(list, columns), strict=False))
    table = pa.Table.from_pydict(found or {name: [] for name in SCHEMA.names}, schema=SCHEMA)
    with written_whole(path) as aside:
        pq.write_table(table, aside)


def update_file(folder: Path, update: int) -> Path:
    """Where the generations of one update are filed; updates count from 1."""
    return folder / f"{update:05d}.parquet"


def read(path: Path) -> list[Row]:
    """The rows of one file, or of a folder of updates in order; see `rows_in`."""
    return list(rows_in(path))


def rows_in(path: Path) -> Iterator[Row]:
    """The rows of one file, or of a folder of updates in order, a file in memory at a time.

    Raises `UsageError` that names the file that is missing, unreadable or of another form.
    """
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files or not path.exists():
        raise UsageError(f"{path}: no generations here (a ledger has a parquet file an update)")
    if path.is_dir():
        _refuse_gaps(path, files)
    return (row for file in files for row in _rows(file))


def read_columns(file: Path, schema: pa.Schema) -> Mapping[str, list[object]]:
    """The columns of a parquet file; raises `UsageError` where it has others, or is damaged."""
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise UsageError(
            f"{file}: damaged ledger: not a readable parquet file ({str(error).splitlines()[0]})"
        ) from None
    if table.schema.names != schema.names:
        odd = sorted(set(table.schema.names) ^ set(schema.names))
        raise UsageError(
            f"{file}: damaged ledger, or one from another version: columns {', '.join(odd)} "
            "are missing or not known"
        )
    found: Mapping[str, list[object]] = table.to_pydict()
    return found


def _refuse_gaps(folder: Path, files: Sequence[Path]) -> None:
    for update, file in enumerate(files, start=1):
        if file != update_file(folder, update):
            raise UsageError(
                f"{folder}: damaged ledger: {update_file(folder, update).name} is missing "
                f"(found {file.name} in its place)"
            )


def _rows(file: Path) -> Iterator[Row]:
    columns = read_columns(file, SCHEMA)
    return (Row(*values) for values in zip(*columns.values(), strict=True))


def _json(facts: Facts | Mapping[str, object]) -> str:
    return json.dumps(dict(facts), ensure_ascii=False)


@lru_cache(maxsize=REMEMBERED)
def _facts(text: str) -> Facts:
    facts: Facts = json.loads(text)
    return facts


@lru_cache(maxsize=REMEMBERED)
def _loaded(text: str) -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(text)
    return content
