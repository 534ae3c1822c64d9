"""The judge of an `endpoint` overseer: texts in, verdicts of a chat server out.

    judge = asker(overseer, rubric, Path("runs/both-3"))
    judge(texts)    64 texts, of which 55 are in the cache: 9 are asked, 8 at a time

A request that is refused for a while (429, 5xx), or gets no answer in time, is sent again, ever
later. Where it never gets one, no more are sent, and the run ends with a line; what was answered is
kept. An answer without a verdict is asked for again, and then counts as not approved with score 0.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rlhf_testbed.judging.endpoint import cost, kept
from rlhf_testbed.judging.endpoint.cost import Hopes, Tally
from rlhf_testbed.judging.endpoint.kept import Kept
from rlhf_testbed.judging.endpoint.messages import request
from rlhf_testbed.overseers.base import OverseerError
from rlhf_testbed.overseers.endpoint import RUBRIC, Endpoint
from rlhf_testbed.overseers.reader import Judge
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import read_text
from rlhf_testbed.tasks.base import Verdict

NAME = "overseer endpoint"


def asker(overseer: Endpoint, rubric: str, folder: Path) -> Judge:
    """What judges texts for the overseer; it files in `folder` what that takes.

    Raises `UsageError` where the server can't be asked from here (see `key_of_user`).
    """
    refuse_missing()
    key, hopes = key_of_user(overseer), Hopes()

    def judge(texts: Sequence[str]) -> list[Verdict]:
        bodies = {text: request(overseer, rubric, text) for text in texts}
        keys = {text: kept.key_of(overseer.url, body) for text, body in bodies.items()}
        found = {each: answer for each in keys.values() if (answer := kept.look(each))}
        hopes.read += sum(answer.readable for answer in found.values())
        wanted = {keys[text]: body for text, body in bodies.items() if keys[text] not in found}
        tally = Tally(from_cache=len(found))
        try:
            if wanted:
                found |= _asked(overseer, key, tally, hopes, wanted)
        except UsageError as error:
            raise OverseerError(f"{NAME}: {error}") from None
        finally:
            cost.add(folder, tally.filed(overseer.url, overseer.model, rubric))
        return [found[keys[text]].verdict for text in texts]

    return judge


def _asked(
    overseer: Endpoint, key: str, tally: Tally, hopes: Hopes, wanted: Mapping[str, dict[str, Any]]
) -> dict[str, Kept]:
    from rlhf_testbed.judging.endpoint.client import Client

    return Client(overseer, key, tally, hopes).ask(wanted)


def rubric_of(overseer: Endpoint, kept_in: Path | None = None) -> str:
    """The standard to judge by: what a run has kept, else its file, else `RUBRIC`.

    Raises `UsageError` where the file is missing or empty.
    """
    before = cost.used(kept_in) if kept_in else None
    if before:
        return before.rubric
    if not overseer.rubric:
        return RUBRIC
    text = read_text(Path(overseer.rubric)).strip()
    if not text:
        raise UsageError(
            f"{NAME}: rubric = {overseer.rubric}: is empty (right: a standard, in words)"
        )
    return text


def key_of_user(overseer: Endpoint) -> str:
    """The key, from the environment; empty where the default variable is not set.

    Raises `UsageError`, which never holds the key, where another variable is not set, or holds what
    can't be sent.
    """
    name = overseer.key_variable
    key = os.environ.get(name, "").strip()
    if not key and name != "OPENAI_API_KEY":
        raise UsageError(f"{NAME}: key_variable = {name}: no such variable is set")
    if not (key.isascii() and (key.isprintable() or not key)):
        raise UsageError(f"{NAME}: key_variable = {name}: holds signs that no key has")
    return key


def refuse_missing() -> None:
    """Raises `UsageError` where the client of chat servers is not installed."""
    if find_spec("openai") is None:
        raise UsageError(f"{NAME}: openai is not installed (pip install 'rlhf-testbed[endpoint]')")


def refuse_unready(overseer: Endpoint, folder: Path) -> None:
    """Raises `UsageError` for what would stop a run at its first verdict: client, key or rubric."""
    refuse_missing()
    key_of_user(overseer)
    rubric_of(overseer, folder)
