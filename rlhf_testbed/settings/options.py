"""Options of tasks and overseers: the arguments of a constructor that are numbers or texts.

--overseer scripted --overseer_args prior=0.5      Scripted(task, sight, prior=0.5)
--task inspection --task_args liars_in_sight=0     Inspection(liars_in_sight=0.0)
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from rlhf_testbed.shared.errors import UsageError

Option: TypeAlias = float | int | str
RENAMED_OPTIONS: Mapping[str, str] = {"assumes": "prior"}
"""Options of earlier versions, and what they are called now."""

_TYPES: dict[str, type[Option]] = {"float": float, "int": int, "str": str}
_WORDS: dict[type[Option], str] = {float: "a number", int: "a whole number", str: "text"}


def options_of(kind: type) -> dict[str, type[Option]]:
    """The options of a kind of task or overseer, and their types.

    >>> from rlhf_testbed.overseers.scripted import Scripted
    >>> options_of(Scripted)
    {'prior': <class 'float'>}
    """
    found = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        written = getattr(parameter.annotation, "__name__", parameter.annotation)
        if written in _TYPES:
            found[name] = _TYPES[written]
    return found


def parse_options(
    name: str, kind: type, entries: Sequence[str], where: str, setting: str = "overseer_args"
) -> dict[str, Option]:
    """The options that `NAME=VALUE` entries of a setting give; raises `UsageError`.

    >>> from rlhf_testbed.overseers.scripted import Scripted
    >>> parse_options("scripted", Scripted, ["prior=0.5"], "x.yaml")
    {'prior': 0.5}
    """
    known = options_of(kind)
    found: dict[str, Option] = {}
    for entry in entries:
        option, equals, value = str(entry).partition("=")
        if not equals or not isinstance(entry, str):
            raise UsageError(f"{where}: {setting} = {entry} can't be read (right: NAME=VALUE)")
        if option in RENAMED_OPTIONS:
            now = RENAMED_OPTIONS[option]
            raise UsageError(f"{where}: {setting}: {option} is now called {now}")
        if option not in known:
            there = ", ".join(known) or "none"
            raise UsageError(
                f"{where}: {setting}: {name} has no option '{option}' (options: {there})"
            )
        if option in found:
            raise UsageError(f"{where}: {setting} names {option} twice")
        try:
            found[option] = known[option](value)
        except ValueError:
            raise UsageError(
                f"{where}: {setting}: {option} = {value} is not of the right type "
                f"({_WORDS[known[option]]})"
            ) from None
    return found
