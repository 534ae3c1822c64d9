"""Records: the typed content of a file. One class a file, one reader and one writer for all.

    class Finished(Record):
        file: ClassVar[str] = "finished.json"
        updates: int
        episodes: int

    read(folder / Finished.file, Finished).updates    60
    runs/x/finished.json: damaged, or from another version: updates: Field required

A figure that can't be judged is NaN in memory and null on disk, since JSON has no NaN. A file that
lacks something, or holds something unknown, is refused by name instead of being shown as a wrong
figure; `Record.model_json_schema()` is its JSON Schema.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError

from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import read_text, read_yaml, write_text

Kind = TypeVar("Kind", bound="Record")


def _nan_for_null(value: Any) -> Any:
    return math.nan if value is None else value


def _null_for_nan(value: float) -> float | None:
    return value if math.isfinite(value) else None


Figure = Annotated[
    float,
    BeforeValidator(_nan_for_null),
    PlainSerializer(_null_for_nan, return_type=float | None, when_used="json"),
]
"""A number; NaN where it could not be judged."""


class Record(BaseModel):
    """The content of a file, or a part of it. Can't be changed once it is made."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Interval(Record):
    """A mean over runs, with the ends of its 95 % interval, and what it was taken over."""

    mean: Figure
    low: Figure
    high: Figure
    """NaN where no interval is claimed: with fewer than three units (two, for a difference)."""
    least: Figure = math.nan
    most: Figure = math.nan
    """The smallest and largest unit: a training seed, or a base policy's mean over its seeds."""
    base_policies: int = 0
    runs: int = 0
    """How many of each; 0 in results that are older than these two."""


def read(file: Path, kind: type[Kind]) -> Kind:
    """The record that a JSON file holds; raises `UsageError` where it is missing or damaged."""
    text = read_text(file)
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise _damaged(file, error) from None


def read_settings(file: Path, kind: type[Kind]) -> Kind:
    """The same of a YAML file."""
    content = read_yaml(file)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise _damaged(file, error) from None


def write(file: Path, record: Record) -> None:
    """Writes a record as JSON, whole or not at all."""
    write_text(file, record.model_dump_json(indent=2) + "\n")


def write_over(file: Path, record: Record, instead: str) -> Path:
    """Writes a record to a file that a person named; over one of its kind and over nothing else.

    `instead`: what to say of another file, like `is no comparison`. Raises `UsageError` for one.
    """
    if file.exists():
        try:
            read(file, type(record))
        except UsageError:
            raise UsageError(
                f"{file}: is there, and {instead}: it is not overwritten (name another --json FILE)"
            ) from None
    write(file, record)
    return file


def write_settings(file: Path, record: Record, header: str) -> None:
    """Writes a record as YAML below a header of comments, whole or not at all."""
    content = record.model_dump(mode="json")
    write_text(file, header + yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _damaged(file: Path, error: ValidationError) -> UsageError:
    """The first fault of a file, in one line."""
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"]))
    told = " ".join(f"{place + ': ' if place else ''}{first['msg']}".split())
    return UsageError(f"{file}: damaged, or from another version: {told}")
