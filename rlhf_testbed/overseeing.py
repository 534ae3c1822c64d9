"""From an overseer's name and options to the overseer of a run.

    --overseer scripted --overseer_args assumes=0.5    Scripted(task, Sight(κ), assumes=0.5)

An overseer's options are the arguments of its constructor, after task and sight, that are numbers
or texts. Nothing here imports torch until an overseer needs a model.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from overseers.base import (
    Overseer,
    OverseerError,
    Sight,
    TrainingOverseer,
    made,
)
from overseers.language_model import LanguageModel
from overseers.learned import Learned
from rlhf_testbed.errors import UsageError
from rlhf_testbed.plugins import blamed, overseer_class
from rlhf_testbed.run_directory import RunDirectory
from tasks.base import Task

if TYPE_CHECKING:
    from rlhf_testbed.config import RunConfig

Option: TypeAlias = float | int | str
COMMAND_LINE = "command line"

_TYPES: dict[str, type[Option]] = {"float": float, "int": int, "str": str}
_WORDS: dict[type[Option], str] = {float: "a number", int: "a whole number", str: "text"}


def options_of(kind: type[Overseer]) -> dict[str, type[Option]]:
    """The options of a kind of overseer and their types.

    >>> options_of(overseer_class("scripted"))
    {'assumes': <class 'float'>}
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

    >>> parse_options("scripted", overseer_class("scripted"), ["assumes=0.5"], "x.yaml")
    {'assumes': 0.5}
    """
    known = options_of(kind)
    found: dict[str, Option] = {}
    for entry in entries:
        option, equals, value = str(entry).partition("=")
        if not equals or not isinstance(entry, str):
            raise UsageError(f"{where}: overseer_args = {entry} can't be read (right: NAME=VALUE)")
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


def training_overseer(run: RunConfig, *, with_model: bool = True) -> TrainingOverseer:
    """The run's own overseer, with its sight and options, and its model if it needs one.

    Raises `UsageError` where there is no such model.
    """
    settings = run.testbed
    overseer = make_overseer(
        settings.overseer, run.task, Sight(run.dials.knowledge), settings.overseer_args
    )
    if with_model:
        give_model(overseer, RunDirectory(run.output_dir))
    assert isinstance(overseer, TrainingOverseer)  # a held-out one has been refused before
    return overseer


def give_model(overseer: Overseer, run: RunDirectory) -> None:
    """Gives an overseer that reads its model; raises `UsageError` where there is none."""
    if isinstance(overseer, Learned):
        from rlhf_testbed import preference_model

        preference_model.load(overseer, run)
    if isinstance(overseer, LanguageModel):
        from rlhf_testbed import language_judge

        overseer.give_model(language_judge.yes_or_no(overseer.model), threshold=0.5)


def named_overseer(
    name: str,
    run: RunConfig,
    knowledge: float | None = None,
    entries: Sequence[str] | None = None,
) -> Overseer:
    """An overseer that judges a run's generations; raises `UsageError`.

    Its knowledge and options are the run's own by default, as far as it has them: `scripted` then
    judges as the teacher of a learned overseer did.
    """
    if entries is None:
        known = options_of(overseer_class(name, f"{COMMAND_LINE}: overseer"))
        entries = [e for e in run.testbed.overseer_args if e.partition("=")[0] in known]
    sight = Sight(run.dials.knowledge if knowledge is None else knowledge)
    overseer = make_overseer(name, run.task, sight, entries)
    give_model(overseer, RunDirectory(run.output_dir))
    return overseer
