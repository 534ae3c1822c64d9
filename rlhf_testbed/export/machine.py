"""What must not leave the machine with files that are pushed: its paths, its name, its servers.

    --config /lustre/alice/runs/both-3/config.yaml     --config config.yaml
    url=http://gpu-17:8000/v1                        url=http://HOST/v1

What is written for readers, such as cards and settings, is told without them. Whatever else is
pushed goes as it is, or not at all where it holds one of this machine's folders.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

PART = r"[^\s/\\'\"`=,;:|<>()\[\]{}&*?]+"
PATH = re.compile(rf"(?<![\w./:~+,<-])(?:(?:/{PART}){{2,}}/?|[A-Za-z]:(?:[/\\]{{1,2}}{PART})+)")
"""A full path of a folder or a file; no part of an address, and none of a relative path."""
SERVER = re.compile(r"(?<==)(https?://)[^/\s'\"|<]+")
"""Where an option's value is an address, as `url=` of an overseer by endpoint: its server."""
SCRIPT = re.compile(r"(<(?:script|style)\b.*?</(?:script|style)>)", re.DOTALL)
LOOKED_AT = 2**20
"""Bytes of a file that are looked at: of weights more than the part that holds words."""


def without_machine(text: str) -> str:
    """A text for readers whose full paths are cut to their last part; servers become `HOST`.

    >>> without_machine("inspect /lustre/alice/runs/both-3 --arm both, see https://arxiv.org/abs/1")
    'inspect both-3 --arm both, see https://arxiv.org/abs/1'
    >>> without_machine("endpoint url=http://gpu-17:8000/v1 rubric=/lustre/alice/strict.txt")
    'endpoint url=http://HOST/v1 rubric=strict.txt'

    Scripts and styles of a page stay as they are: they are the package's own.
    """
    parts = SCRIPT.split(text)
    parts[::2] = [_without(part) for part in parts[::2]]
    return "".join(parts)


def _without(text: str) -> str:
    told = SERVER.sub(r"\1HOST", PATH.sub(_last_part, text))
    name = socket.gethostname()
    if re.search(r"[\d.-]", name):  # another may be any word
        told = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", "HOST", told)
    return told


def _last_part(match: re.Match[str]) -> str:
    return re.split(r"[/\\]", match[0].rstrip("/\\"))[-1]


def places(path: Path) -> list[str]:
    """The folders of this machine by which a file could tell of it, `path` among them."""
    found = {Path.home(), Path.cwd(), path.resolve(), path.resolve().parent}
    return sorted(str(folder) for folder in found if len(folder.parts) > 2)


def place_in(file: Path, words: Sequence[str]) -> str:
    """The first of the words that a file holds; empty where it holds none."""
    if file.suffix == ".parquet":
        return _in_columns(pq.ParquetFile(file), words)
    with file.open("rb") as opened:
        head = opened.read(LOOKED_AT)
    return next((word for word in words if os.fsencode(word) in head), "")


def _in_columns(file: pq.ParquetFile, words: Sequence[str]) -> str:
    """The same of the texts in a table, which are compressed there."""
    names = [field.name for field in file.schema_arrow if pa.types.is_string(field.type)]
    for batch in file.iter_batches(columns=names):
        for column in batch.columns:
            for word in words:
                if pc.any(pc.match_substring(column, word)).as_py():
                    return word
    return ""
