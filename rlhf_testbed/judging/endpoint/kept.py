"""Answers that are kept on disk: a rerun, a resumed run and another process ask nothing again.

    ~/.cache/rlhf-testbed/endpoint/3f/3f9c0d6a....json    {"score": 0.2, "approved": false, ...}

An answer is found by all that was sent for it: address, model, rubric, view and settings. Of two
processes that ask the same at a time both take the answer that was filed first.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from rlhf_testbed.policy.base_shelves import CACHE, cache_folder
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.record import Record, read
from rlhf_testbed.tasks.base import Verdict


class Kept(Record):
    """One answer."""

    score: float
    approved: bool
    reason: str
    readable: bool
    """False where the server gave no verdict, and the rule for that did."""
    answered_by: str
    """The model, as the server calls it in its answers."""

    @property
    def verdict(self) -> Verdict:
        """The answer as a verdict."""
        return Verdict(self.score, self.approved, self.reason)


def key_of(url: str, body: dict[str, Any]) -> str:
    """What an answer is found by: a hash of the address and of the whole request."""
    return hashlib.sha256(json.dumps([url, body], sort_keys=True).encode()).hexdigest()


def folder() -> Path:
    """Where answers are kept: beside base policies."""
    return cache_folder() / "endpoint"


def look(key: str) -> Kept | None:
    """The answer of that key; None where there is none, or it is damaged."""
    try:
        return read(_file(key), Kept)
    except UsageError:
        return None


def keep(key: str, answer: Kept) -> Kept:
    """Files an answer, and returns the one that stays: that which was there first.

    Raises `UsageError` where the folder can't be written.
    """
    file = _file(key)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as aside:
            path = Path(aside.name)
            try:
                aside.write(answer.model_dump_json(indent=2) + "\n")
                aside.flush()
                return _first(path, key) or answer
            finally:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"{file.parent}: can't be written: {error.strerror} ({CACHE} names another)"
        ) from None


def _first(aside: Path, key: str) -> Kept | None:
    """Gives a file its name, beside the one it has; where there is one of that name, returns it."""
    file = _file(key)
    try:
        os.link(aside, file)
    except OSError:  # there is one, or this disk has no links
        if there := look(key):
            return there
        os.replace(aside, file)
    return None


def _file(key: str) -> Path:
    return folder() / key[:2] / f"{key}.json"
