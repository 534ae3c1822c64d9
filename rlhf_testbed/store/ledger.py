"""The ledger of generations: one row an episode, in parquet files of one update or of many.

    runs/both-3/ledger/00001-00064.parquet    updates 1 to 64, 64 rows each
    runs/both-3/ledger/00065.parquet          update 65, while training goes on:
    update 65, episode 0, scenario "corridor-train-3-17", prompt "corridor 0 4 1 7 ...",
    response "right walk jump walk walk", facts {...}, outcome {...}, view {...},
    score 1.0, approved true, reason "reached the coin", advantage 0.83, kl 1.2

Training files each update for itself, whole or not at all; every `SEGMENT` updates, and at the end,
such files become one. The bytes of a finished ledger depend on its rows alone, however often
training was interrupted. A ledger holds the training overseer's verdicts and no other's:
`verdicts.py` files those of later overseers.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any

import pyarrow as pa

from rlhf_testbed.judging.episode import Episode
from rlhf_testbed.overseers.base import Case
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store.columns import row_groups, written
from rlhf_testbed.store.columns import size as rows_of
from rlhf_testbed.store.pieces import Piece, counting, piece, tidied
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
SEGMENT = 64
"""Updates of a segment. A million episodes of 64 an update are 245 files instead of 15,625; never
more than 64 small ones lie about, and joining them takes a tenth of a second and a few MiB: the
most memory of a long run is then about that of a short one."""
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
    def case_key(self) -> Hashable:
        """Rows with the same key tell of the same case."""
        return (
            self.scenario_id,
            self.prompt,
            self.facts_json,
            tuple(self.concealable),
            self.response,
            self.outcome_json,
            self.valid,
        )

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
    with written(path, SCHEMA) as file:
        file.add([row.values() for row in rows])


def write_update(folder: Path, update: int, rows: Iterable[Row]) -> None:
    """Files the rows of one update; where it is a segment's last, the segment becomes one file."""
    write(piece(folder, update, update).path, rows)
    if update % SEGMENT == 0:
        _join(folder, [one for one in tidied(folder) if one.last <= update])


def compact(folder: Path) -> None:
    """Joins what is left of single updates: for a ledger whose training is done.

    Segments end where they would have if training had never been interrupted.
    """
    _join(folder, tidied(folder))


def keep_up_to(folder: Path, update: int) -> None:
    """Drops every update after this one, so that training can go on from there.

    What is left of a segment is filed update by update again, as training does. Raises `UsageError`
    where the ledger ends before that update.
    """
    there = tidied(folder)
    if last_update(folder) < update:
        raise UsageError(
            f"{folder}: damaged ledger: it ends with update {last_update(folder)}, and should hold "
            f"{update}"
        )
    for one in reversed(there):  # the last first: whatever stops this, no gap is left
        if one.last > update:
            _part(folder, one, update)


def last_update(folder: Path) -> int:
    """The last update of a ledger; 0 for none. Raises `UsageError` where one is missing."""
    there = counting(folder)
    return there[-1].last if there else 0


def size(path: Path) -> int:
    """The number of rows in a file or a folder, by the files' headers; see `rows_in`."""
    return sum(rows_of(file) for file in _files(path))


def read(path: Path) -> list[Row]:
    """All rows of one file, or of a folder in order; see `rows_in`."""
    return list(rows_in(path))


def rows_in(path: Path) -> Iterator[Row]:
    """The rows of one file, or of a folder of updates in order, a row group in memory at a time.

    Raises `UsageError` that names the file that is missing, unreadable or of another form.
    """
    return (row for file in _files(path) for row in _rows(file))


def updates_in(path: Path) -> Iterator[list[Row]]:
    """The rows of each update in order, an update and a row group in memory; see `rows_in`."""
    return (
        list(rows)
        for file in _files(path)  # each holds whole updates
        for _, rows in itertools.groupby(_rows(file), attrgetter("update"))
    )


def _files(path: Path) -> list[Path]:
    found = [one.path for one in counting(path)] if path.is_dir() else [path]
    if not found or not path.exists():
        raise UsageError(f"{path}: no generations here (a ledger has parquet files of updates)")
    return found


def _rows(file: Path) -> Iterator[Row]:
    return (row for columns in row_groups(file, SCHEMA) for row in map(Row, *columns))


def _join(folder: Path, there: Sequence[Piece]) -> None:
    """Makes one file of all that lie in the same segment."""
    for _, those in itertools.groupby(there, lambda one: (one.first - 1) // SEGMENT):
        several = list(those)
        if len(several) > 1:
            with written(piece(folder, several[0].first, several[-1].last).path, SCHEMA) as file:
                for one in several:
                    for rows in updates_in(one.path):
                        file.add([row.values() for row in rows])
            for one in several:
                one.path.unlink()


def _part(folder: Path, one: Piece, update: int) -> None:
    """Drops a file, after its updates up to one were filed singly; they count once it is gone."""
    if one.first <= update:
        kept = itertools.takewhile(lambda rows: rows[0].update <= update, updates_in(one.path))
        for rows in kept:
            write(piece(folder, rows[0].update, rows[0].update).path, rows)
    one.path.unlink()


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
