"""Files: they appear whole, and one that can't be read is named in one line.

write_json(folder / "measures.json", found)    written aside, then renamed
read_json(folder / "measures.json")            or: measures.json: damaged: not readable as JSON
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from rlhf_testbed.shared.errors import UsageError, disk_fault


def file_name(name: str, keep: str = "") -> str:
    """A name as part of a path: all but letters, digits, `_`, `.` and `keep` becomes a dash.

    >>> file_name("my_pkg.my_task:Ledger")
    'my_pkg.my_task-Ledger'
    """
    return re.sub(rf"[^\w.{re.escape(keep)}]+", "-", name)


def pasted(path: Path | str) -> str:
    """A path as a shell and a program read it in a command line: quoted, and never an option.

    >>> pasted(Path("runs/both randomised=0.5"))
    "'runs/both randomised=0.5'"
    >>> pasted(Path("-dash"))
    './-dash'
    """
    told = str(path)
    return shlex.quote(f"./{told}" if told.startswith("-") else told)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Gives a path beside `path` to write a file or a folder to; renamed when all went well.

    Raises `UsageError` where its folder can't be made, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{path.parent}: can't be made: {error.strerror}") from None
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield aside
        os.replace(aside, path)
    except Exception as error:
        if fault := disk_fault(error):
            raise UsageError(f"{path}: can't be written: {fault}") from error
        raise
    finally:
        if aside.is_dir():
            shutil.rmtree(aside)
        else:
            aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file, whole or not at all."""
    with written_whole(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: Path, content: object) -> None:
    """Writes JSON, indented; what is not a number is written as null, since JSON has no NaN."""
    write_text(path, json.dumps(_finite(content), indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """What a JSON file holds; raises `UsageError` where it is missing or damaged."""
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise UsageError(f"{path}: damaged: not readable as JSON ({error})") from None


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A flat YAML mapping; raises `UsageError` when there is none."""
    try:
        content = yaml.safe_load(read_text(Path(path)))
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not readable as YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: must be a mapping of settings, like 'task: corridor'")
    return content


def read_text(path: Path) -> str:
    """A text file; raises `UsageError` where there is none, or it is no text."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: damaged: no text in UTF-8 ({error.reason})") from None


def _finite(content: object) -> object:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if isinstance(content, float) and not abs(content) < float("inf"):
        return None
    return content
