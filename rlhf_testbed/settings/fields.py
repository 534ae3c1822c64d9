"""What a setting is: a default, a help text, and the values that it may have.

    learning_rate: float = setting(8e-4, "Peak learning rate.", POSITIVE)

A group of settings is a dataclass of such fields. `parsing.py` turns groups into options of the
command line and keys of a YAML file, and refuses what is out of range.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

Where: TypeAlias = Callable[[str], str]
"""Says where a setting's value comes from: a file's name, `command line` or `default`."""


class Bound(NamedTuple):
    """A range of numbers."""

    words: str
    """How an error tells it: `in [0, 1]`."""
    holds: Callable[[float], bool]


SHARE = Bound("in [0, 1]", lambda value: 0 <= value <= 1)
LARGEST = 1e18
"""The product of two such numbers is still one in single precision."""
POSITIVE = Bound("above 0 and at most 1e18", lambda value: 0 < value <= LARGEST)
COUNT = Bound("1 or more", lambda value: value >= 1)
NATURAL = Bound("0 or more and at most 1e18", lambda value: 0 <= value <= LARGEST)


def setting(default: Any, help: str, within: Bound | None = None, alias: str = "") -> Any:
    """A dataclass field that is a setting. A list as default is copied for each instance."""
    metadata: dict[str, Any] = {"help": help, "within": within}
    if alias:
        metadata["aliases"] = [alias]
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass
class MethodSettings:
    """The settings of one selection method; each method has a dataclass derived from this one."""

    def batch(self, episodes: int) -> int:
        """Episodes that one process collects before it selects, `episodes` at a time."""
        return episodes

    def scenarios(self, batch: int) -> int:
        """Different scenarios in a batch of so many episodes."""
        return batch

    def fixed_length(self) -> str:
        """Why a finished run can't be made longer; empty where it can."""
        return ""

    def check(self, where: Where, batch: int) -> None:
        """Raises `UsageError` for settings that contradict each other.

        `batch`: the episodes that one process collects before it selects.
        """
