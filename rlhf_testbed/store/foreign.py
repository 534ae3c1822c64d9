"""Generations that another trainer made, as they are written down: a prompt and a response each.

    read(Path("completions.parquet"))[0]
      prompt "corridor 0 4 1 7 left pit ...", response "right walk jump walk walk"

    a row of our own exports also says which scenario it is of, and what is true of it:
      scenario "corridor-held_out-3-17", facts {"coin": "right", ...}, concealable ("right 1",)

Parquet, CSV or JSON lines. A text may stand as chat messages, of which the last counts: the user's
of a prompt, the assistant's of a response. What stands under `info` counts as columns. The traces
that an evaluation by `verifiers` leaves are read, too, a row each. Needs no torch.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.tasks.base import Facts

PROMPT, RESPONSE, SCENARIO = ("prompt",), ("response", "completion"), ("scenario", "scenario_id")
"""Names of columns, the first of which that is there counts."""
KNOWN = (*PROMPT, *RESPONSE, *SCENARIO, "facts", "concealable", "info")
"""Every column that is read."""
LONGEST_CELL = 1 << 30
"""Characters of a cell in CSV: Python's own limit is below that of a long generation."""
_Row: TypeAlias = Mapping[str, Any]


class Written(NamedTuple):
    """One generation of whoever made it."""

    prompt: str
    """Empty where only the scenario is named."""
    response: str | None
    """None where there is none, which can't be judged; an empty one can."""
    scenario: str = ""
    """The scenario's id; empty where it has to be found by the prompt."""
    facts: Facts | None = None
    """All that is true of the scenario, where the row says it."""
    concealable: tuple[str, ...] = ()


def read(path: Path) -> list[Written]:
    """The generations of a file, in order; raises `UsageError` where it can't be read or has none.

    It needs a column `response` or `completion`, and `prompt` or `scenario`.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file")
    if path.is_dir():
        raise UsageError(f"{path}: is a folder (right: one of its files, {_formats()})")
    if path.suffix not in READERS:
        raise UsageError(f"{path}: of no kind that can be read (right: {_formats()})")
    return written(READERS[path.suffix](path), str(path))


def written(rows: Iterable[_Row], where: str) -> list[Written]:
    """Generations from rows by column; `where` names them in an error. Raises as `read` does."""
    found = [_flat(one) for row in rows for one in _traced(row)]
    if not found:
        raise UsageError(f"{where}: holds no generations")
    refuse_without(dict.fromkeys(name for row in found for name in row), where)
    return [_one(row, f"{where}: row {at}") for at, row in enumerate(found, start=1)]


def refuse_without(columns: Iterable[str], where: str) -> None:
    """Raises `UsageError` where a column is missing that every file needs."""
    there = list(columns)
    for needed in (RESPONSE, (*PROMPT, *SCENARIO)):
        if not set(needed) & set(there):
            raise UsageError(
                f"{where}: has no column {' or '.join(needed)} (there are: {', '.join(there)})"
            )


def _one(row: _Row, where: str) -> Written:
    facts = _content(row.get("facts"), dict, f"{where}: facts")
    concealable = _content(row.get("concealable"), list, f"{where}: concealable")
    told = facts is not None and concealable is not None
    return Written(
        prompt=_text(_first(row, PROMPT), "user") or "",
        response=_text(_first(row, RESPONSE), "assistant"),
        scenario=str(_first(row, SCENARIO) or ""),
        # Where rows share one set of names, what a row lacks is there as null.
        facts={name: fact for name, fact in facts.items() if fact is not None} if told else None,
        concealable=tuple(concealable) if told else (),
    )


def _traced(row: _Row) -> Iterator[_Row]:
    """The rows that an episode of `verifiers` holds, one a trace; another row is itself."""
    traces = row.get("traces")
    if not isinstance(traces, list):
        yield row
        return
    for trace in traces:
        data = trace["task"]["data"]
        said = _text([node["message"] for node in trace["nodes"]], "assistant")
        yield {**data, "scenario": data.get("id"), "response": said and said.strip()}


def _flat(row: _Row) -> dict[str, Any]:
    """A row with what stands under `info` as columns, too, unless they are there."""
    more = _content(row.get("info"), dict, "info") or {}
    return {**more, **{name: value for name, value in row.items() if name != "info"}}


def _first(row: _Row, names: Sequence[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _text(value: Any, role: str) -> str | None:
    """A text as it is, or that of the last chat message of a role; None for neither."""
    if not isinstance(value, list):
        return value if isinstance(value, str) else None
    said = [
        one.get("content") for one in value if isinstance(one, dict) and one.get("role") == role
    ]
    content = said[-1] if said else None
    if isinstance(content, list):  # in parts, of which some may be pictures
        return "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else None


def _content(value: Any, kind: type, where: str) -> Any:
    """A value, or what it holds as JSON; None where there is none. Raises `UsageError`."""
    if value is None or value == "":
        return None
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise UsageError(f"{where}: not readable as JSON ({error})") from None
    if not isinstance(found, kind):
        raise UsageError(f"{where}: {found!r:.60} can't be read (right: as our exports have it)")
    return found


def _parquet(path: Path) -> Iterator[_Row]:
    try:
        with pq.ParquetFile(path) as file:
            refuse_without(file.schema_arrow.names, str(path))
            there = [name for name in file.schema_arrow.names if name in KNOWN]
            for batch in file.iter_batches(columns=there):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        told = str(error).splitlines()[0]
        raise UsageError(f"{path}: damaged: not readable as parquet ({told})") from None


def _csv(path: Path) -> Iterator[_Row]:
    csv.field_size_limit(LONGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            yield from csv.DictReader(lines)
    except (csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: damaged: not readable as CSV ({error})") from None


def _jsonl(path: Path) -> Iterator[_Row]:
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _object(line, f"{path}: line {number}")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: damaged: no text in UTF-8 ({error.reason})") from None


def _object(line: str, where: str) -> _Row:
    row = _content(line, dict, where)
    return row or {}


def _formats() -> str:
    return ", ".join(f"*{suffix}" for suffix in READERS)


READERS: Mapping[str, Callable[[Path], Iterator[_Row]]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".jsonl": _jsonl,
}
"""Readers of rows, by how a file's name ends."""
