"""From an overseer's name and options to an overseer, without the model that one which reads needs.

    --overseer scripted --overseer_args prior=0.5    Scripted(task, Sight(κ), prior=0.5)

An overseer's options are the arguments of its constructor, after task and sight, that are numbers
or texts.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TypeAlias

from rlhf_testbed.overseers.base import (
    Overseer,
    OverseerError,
    Sight,
    made,
)
from rlhf_testbed.settings.plugins import blamed, overseer_class
from rlhf_testbed.settings.renamed import RENAMED_OPTIONS
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.tasks.base import Task

Option: TypeAlias = float | int | str
COMMAND_LINE = "command line"

_TYPES: dict[str, type[Option]] = {"float": float, "int": int, "str": str}
_WORDS: dict[type[Option], str] = {float: "a number", int: "a whole number", str: "text"}


def options_of(kind: type[Overseer]) -> dict[str, type[Option]]:
    """The options of a kind of overseer and their types.

    >>> options_of(overseer_class("scripted"))
    {'prior': <class 'float'>}
    """
    found = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        written = getattr(parameter.annotation, "__name__", parameter.annotation)
        if written in _TYPES:
            found[name] = _TYPES[written]
    return found


def make_overseer(
    name: str,
    task: Task,
    sight: Sight,
    entries: Sequence[str] = (),
    where: str = COMMAND_LINE,
) -> Overseer:
    """The overseer of that name, held out or not, with options from `NAME=VALUE` entries.

    Raises `UsageError` for an unknown name or option, and for a value that can't be.
    """
    kind = overseer_class(name, f"{where}: overseer")
    options = parse_options(name, kind, entries, where)
    with blamed(f"{where}: overseer {name}", "is made with a task, a sight and its options"):
        try:
            return made(kind, task, sight, **options)
        except OverseerError as error:
            raise UsageError(f"{where}: {error}") from None
        except ValueError as error:
            raise UsageError(f"{where}: overseer_args: {name}: {error}") from None


def parse_options(
    name: str, kind: type[Overseer], entries: Sequence[str], where: str
) -> dict[str, Option]:
    """The options that `NAME=VALUE` entries set; raises `UsageError`.

    >>> parse_options("scripted", overseer_class("scripted"), ["prior=0.5"], "x.yaml")
    {'prior': 0.5}
    """
    known = options_of(kind)
    found: dict[str, Option] = {}
    for entry in entries:
        option, equals, value = str(entry).partition("=")
        if not equals or not isinstance(entry, str):
            raise UsageError(f"{where}: overseer_args = {entry} can't be read (right: NAME=VALUE)")
        if option in RENAMED_OPTIONS:
            raise UsageError(
                f"{where}: overseer_args: {option} is now called {RENAMED_OPTIONS[option]}"
            )
        if option not in known:
            there = ", ".join(known) or "none"
            raise UsageError(
                f"{where}: overseer_args: {name} has no option '{option}' (options: {there})"
            )
        if option in found:
            raise UsageError(f"{where}: overseer_args names {option} twice")
        try:
            found[option] = known[option](value)
        except ValueError:
            raise UsageError(
                f"{where}: overseer_args: {option} = {value} is not of the right type "
                f"({_WORDS[known[option]]})"
            ) from None
    return found
