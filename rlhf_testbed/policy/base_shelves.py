"""Where base policies are: those that ship with the package, and those that were built here.

    rlhf_testbed/policy/shipped/corridor-0.3-seed-0/     shipped
    ~/.cache/rlhf-testbed/base/a07be1c95d21f364/         built here, once for all runs
    ~/.cache/rlhf-testbed/base/keys/3f9c0d6a1b2e4c58     the full digest that a quick key stands for

A shipped one is taken whatever the versions of torch and transformers, so that everybody starts
from the same one; it was looked at, and its about.json says what built it. One built here is taken
for the same versions only: what a run's environment.json says then holds for its base policy, too,
and no fault of an older library lives on unseen. Imports no torch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from platformdirs import user_cache_path

from rlhf_testbed.policy.base_about import About, content_hash
from rlhf_testbed.policy.base_key import digest, libraries
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import write_text
from rlhf_testbed.shared.record import read

SHIPPED = Path(__file__).parent / "shipped"
CACHE = "RLHF_TESTBED_CACHE"
"""The variable of the environment that names another cache folder."""


class Shelved(NamedTuple):
    """A base policy that is there, and what is known of it."""

    folder: Path
    about: About


def shipped() -> list[Shelved]:
    """The base policies that ship with the package; raises `UsageError` where one is damaged."""
    return [Shelved(file.parent, read(file, About)) for file in sorted(_abouts(SHIPPED))]


def cached() -> list[Shelved]:
    """The base policies that were built here; those of older versions are left out."""
    found = []
    for file in sorted(_abouts(cache_folder() / "base")):
        with suppress(UsageError):
            found.append(Shelved(file.parent, read(file, About)))
    return found


def place_in_cache(full: str) -> Path:
    """Where a base policy with that full digest is kept, when it is built with today's versions."""
    return cache_folder() / "base" / digest([full, libraries()])


def taken(shelf: Iterable[Shelved], **wanted: str) -> Path | None:
    """The folder of the base policy with that `quick` key or `full` digest, where it is there.

    Raises `UsageError` where its files are not those that were shipped.
    """
    for one in shelf:
        if all(getattr(one.about, name) == value for name, value in wanted.items()):
            if content_hash(one.folder) != one.about.hash:
                raise UsageError(
                    f"{one.folder}: damaged: not the base policy {one.about.hash} that was shipped "
                    "(install the package again, or --base_policy build)"
                )
            return one.folder
    return None


def remembered(quick: str) -> str | None:
    """The full digest that a quick key stands for, if that has been found out here before."""
    try:
        return key_file(quick).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def remember(quick: str, full: str) -> None:
    """Notes it for the next start; in a cache that can't be written, it is found out again."""
    with suppress(OSError, UsageError):
        write_text(key_file(quick), f"{full}\n")


def cache_folder() -> Path:
    """Where base policies are kept: `RLHF_TESTBED_CACHE`, or the user's cache folder."""
    named = os.environ.get(CACHE)
    return Path(named) if named else user_cache_path("rlhf-testbed")


def key_file(quick: str) -> Path:
    """Where the full digest is noted that a quick key stands for."""
    return cache_folder() / "base" / "keys" / quick


def _abouts(folder: Path) -> Iterable[Path]:
    """The files that say what a folder of it is; one that is just being written is not there."""
    return (file for file in folder.glob(f"*/{About.file}") if file.parent.name[0] != ".")
