"""What a base policy is known by: a quick key for every start, a full digest for the first one.

    quick_key(settings, task)              "3f9c0d6a1b2e4c58", in a tenth of a second
    full_digest(settings, task, shown)     "a07be1c95d21f364", from all 80,000 demonstrations

The quick key is made of settings, the task's source, its response space and its first
demonstrations. The full digest is made of what is really learned from: a comment that is edited in
a task gives another quick key and the same full digest. Library versions are in neither: see
`base_shelves.py`. Imports no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from rlhf_testbed.policy.base_about import DIGITS, OF_A_MODEL, BaseSettings
from rlhf_testbed.policy.small_model import GRID, SHAPE
from rlhf_testbed.settings.place import place_of, told_of_hub
from rlhf_testbed.settings.plugins import blamed
from rlhf_testbed.settings.sources import source_hash
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.tasks.base import (
    Demonstration,
    Task,
    TaskError,
    refuse_odd_demonstrations,
)

RULE = 1
"""To be raised when base policies are taught in another way: all of them are then built anew."""
FIRST = 512
"""Demonstrations in the quick key. They tell of what the source does not, like a file of data."""


def quick_key(settings: BaseSettings, task: Task) -> str:
    """The key by which a base policy is found at once; raises `UsageError`.

    Makes `FIRST` demonstrations at most.
    """
    first = demonstrations(settings, task, min(FIRST, settings.demonstrations))
    return digest(
        {
            "rule": RULE,
            "settings": settings.model_dump(exclude=set(OF_A_MODEL)),
            "model": _model(settings, _file_mark),
            "responses": digest(task.responses),
            "source": source_hash(type(task)),
            "first demonstrations": digest(first),
        }
    )


def full_digest(settings: BaseSettings, task: Task, shown: Sequence[Demonstration]) -> str:
    """The digest of all that a base policy learns from; `shown`: all of its demonstrations."""
    learning = {"steps", "batch_size", "learning_rate", "base_seed"}
    return digest(
        {
            "rule": RULE,
            "settings": settings.model_dump(include=learning),
            "model": _model(settings, _file_hash),
            "responses": digest(task.responses),
            "demonstrations": digest(shown),
        }
    )


def demonstrations(settings: BaseSettings, task: Task, count: int) -> Sequence[Demonstration]:
    """The first demonstrations, checked; raises `UsageError` for what are none."""
    with blamed(f"task {type(task).__name__}", "demonstrations"):
        found = task.demonstrations(settings.unintended_share, settings.base_seed, count)
    try:
        refuse_odd_demonstrations(found, count)
    except TaskError as error:
        name = settings.task
        raise UsageError(
            f"task {name} breaks a rule: demonstrations: {error} "
            f"(rlhf-testbed check {name} tries every rule)"
        ) from None
    return found


def digest(content: object) -> str:
    """The hash of what can be written as JSON, in hexadecimal digits."""
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def libraries() -> dict[str, str]:
    """The versions on which the weights of a base policy depend."""
    return {name: version(name) for name in ("torch", "transformers")}


def _model(settings: BaseSettings, mark: Callable[[Path], object]) -> dict[str, object]:
    """Which model is taught; `mark` tells one content of a file from another.

    A model of the Hub is told by its commit, the small one by its shape.
    """
    if settings.model is None:
        return {"shape": dict(SHAPE), "grid": GRID}
    place = place_of(settings.model)
    own: dict[str, object] = settings.model_dump(include=set(OF_A_MODEL) - {"model"})
    if place:
        files = sorted(place.iterdir()) if place.is_dir() else [place]
        return own | {"files": [[file.name, mark(file)] for file in files if file.is_file()]}
    return own | {"name": settings.model, "commit": _commit(settings.model, settings.revision)}


def _file_mark(file: Path) -> object:
    """What tells that a file has changed, without it being read: size and time."""
    found = file.stat()
    return [found.st_size, found.st_mtime_ns]


def _file_hash(file: Path) -> object:
    """The hash of a file's content."""
    with file.open("rb") as content:
        found = hashlib.sha256()
        while block := content.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def _commit(name: str, revision: str | None) -> str:
    """The commit that a revision of a Hub model stands for; without a network, the one that is
    here. Raises `UsageError` where there is neither."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(name, "config.json", revision=revision)).parent.name
    except Exception as error:
        raise told_of_hub(name, error) from error
