"""Going on with a run that was stopped, or making a finished one longer, from the command line.

    rlhf-testbed train --resume runs/corridor-both-3
    rlhf-testbed train --resume runs/corridor-both-3 --updates 200

All settings are those of the run, so no other can be given.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rlhf_testbed.shared.errors import UsageError

HELP = (
    "To go on with a run that was stopped: --resume RUN. To make a finished run longer: --resume "
    "RUN --updates N, where its learning rate is constant."
)
OPTIONS = ("--resume", "--updates")


class Resuming(NamedTuple):
    """What is to go on."""

    run: Path
    updates: int | None
    """How many there are to be in all; None: as many as the run's settings say."""


def parse_resuming(arguments: Sequence[str]) -> Resuming | None:
    """Reads `--resume RUN [--updates N]`; None where no run is to go on. Raises `UsageError`.

    >>> parse_resuming(["--resume", "runs/x", "--updates=200"]).updates
    200
    """
    words = [part for word in arguments for part in _parted(word)]
    if "--resume" not in words:
        if "--updates" in words:
            raise UsageError(
                "command line: --updates goes with --resume RUN (total_episodes says how long a "
                "new run is)"
            )
        return None
    given: dict[str, str] = {}
    for at in range(0, len(words), 2):
        name, value = words[at], words[at + 1 : at + 2]
        if name not in OPTIONS:
            raise UsageError(
                f"command line: {name} can't be given with --resume: a run goes on with its own "
                "settings (--updates N makes it longer)"
            )
        if not value or name in given:
            raise UsageError(f"command line: {name} needs one value")
        given[name] = value[0]
    updates = given.get("--updates")
    if updates is not None and not (updates.isdecimal() and int(updates) > 0):
        raise UsageError(f"command line: updates = {updates} is not 1 or more")
    return Resuming(Path(given["--resume"]), None if updates is None else int(updates))


def _parted(word: str) -> list[str]:
    """`--resume=RUN` as two words."""
    name, equals, value = word.partition("=")
    return [name, value] if equals and name in OPTIONS else [word]
