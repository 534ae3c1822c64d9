"""Tasks and overseers by name: those of the tables, and anybody's own by dotted path.

    --task corridor --overseer scripted
    --task my_pkg.my_task:Ledger --overseer my_pkg.auditor:Auditor

A dotted path is a module and a class in it. The current folder can be imported from, as with
`python -m`. What is wrong with a path, or what somebody's code raises later, is told in one line
that names it. Imports no torch.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from rlhf_testbed.overseers import HELD_OUT, OVERSEERS
from rlhf_testbed.overseers.base import HeldOutOverseer, Overseer, OverseerError, TrainingOverseer
from rlhf_testbed.settings.options import parse_options
from rlhf_testbed.shared.errors import UsageError, looked_up
from rlhf_testbed.tasks import TASKS
from rlhf_testbed.tasks.base import Task, TaskError
from rlhf_testbed.tasks.faults import author, told

Kind = TypeVar("Kind", Task, Overseer)

DOTTED = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*)")
EXAMPLES: Mapping[type, str] = {Task: "my_pkg.my_task:Ledger", Overseer: "my_pkg.auditor:Auditor"}
ATTRIBUTES: Mapping[type, tuple[str, ...]] = {
    Task: ("name", "summary", "concealed_trait", "open_trait", "arms"),
    Overseer: ("summary",),
}
"""Class attributes that the base class declares without a value."""
_PASSING = (__file__, importlib.__file__)
"""Files that only pass on what a plug-in raises."""


def task_class(name: str, what: str = "task") -> type[Task]:
    """The task of that name or dotted path; raises `UsageError`, whose line begins with `what`."""
    return _class(name, what, Task, TASKS)  # type: ignore[type-abstract]


def overseer_class(name: str, what: str = "overseer") -> type[Overseer]:
    """The overseer of that name or dotted path, held out or not; raises `UsageError`."""
    return _class(name, what, Overseer, {**OVERSEERS, **HELD_OUT})  # type: ignore[type-abstract]


def training_class(name: str, what: str = "overseer") -> type[TrainingOverseer]:
    """As `overseer_class`, and refuses overseers that are held out: they only evaluate."""
    found = overseer_class(name, what)
    if issubclass(found, HeldOutOverseer):
        raise UsageError(
            f"{what} = {name} is held out: it only evaluates "
            f"(training takes {', '.join(OVERSEERS)}; a control is scripted with knowledge: 1)"
        )
    if not issubclass(found, TrainingOverseer):
        raise UsageError(
            f"{what} {name}: is no subclass of rlhf_testbed.overseers.base.TrainingOverseer"
        )
    return found


def plugin_class(name: str, what: str = "plug-in") -> type[Task] | type[Overseer]:
    """The task or overseer of that name or dotted path, whichever it is; raises `UsageError`."""
    match = DOTTED.fullmatch(name)
    if not match:
        looked_up(what, name, {**TASKS, **OVERSEERS, **HELD_OUT})
    found = _attribute(match[1], match[2], f"{what} {name}", object) if match else None
    kinds = found.__mro__ if isinstance(found, type) else ()
    if name in TASKS or Task in kinds:
        return task_class(name, what)
    if match and Overseer not in kinds:
        raise UsageError(
            f"{what} {name}: is no subclass of rlhf_testbed.tasks.base.Task or "
            "rlhf_testbed.overseers.base.Overseer"
        )
    return overseer_class(name, what)


def task_named(
    name: str, what: str = "task", entries: Sequence[str] = (), where: str = "command line"
) -> Task:
    """An instance of `task_class(name)`, with options from `NAME=VALUE` entries.

    Raises `UsageError`, also for an unknown option and for a value that can't be.
    """
    found = task_class(name, what)
    options = parse_options(name, found, entries, where, "task_args")
    with blamed(f"{what} {name}", "is made with its options alone"):
        try:
            return found(**options)
        except ValueError as error:
            if not options:
                raise
            raise UsageError(f"{where}: task_args: {name}: {error}") from None


def dotted(kind: type) -> str:
    """The dotted path of a task or an overseer.

    >>> dotted(TASKS["corridor"])
    'rlhf_testbed.tasks.corridor:Corridor'
    """
    return f"{kind.__module__}:{kind.__qualname__}"


@contextmanager
def blamed(whose: str, rule: str) -> Iterator[None]:
    """Turns what a task's or overseer's code raises into a `UsageError` naming it and the rule.

    A `TaskError` or `OverseerError` is such a line already, and passes.
    """
    try:
        yield
    except (UsageError, TaskError, OverseerError):
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"{whose}: {rule}: {told(error, _PASSING)}") from error


@contextmanager
def faults_told(where: str, task: Task) -> Iterator[None]:
    """Turns what a run's task or overseer breaks or raises, wherever, into a `UsageError`.

    What comes from elsewhere passes as it is: a fault of the testbed's own shows its traceback.
    """
    try:
        yield
    except UsageError:
        raise
    except (TaskError, OverseerError) as error:
        raise UsageError(f"{where}: {error}") from error
    except (Exception, SystemExit) as error:
        whose = author(
            error,
            {Task: "task", Overseer: "overseer"},
            {type(task).__module__: f"task {type(task).__name__}"},
        )
        if whose is None:
            raise
        raise UsageError(f"{where}: {whose}: {told(error, _PASSING)}") from error


def _class(name: str, what: str, base: type[Kind], table: Mapping[str, type[Kind]]) -> type[Kind]:
    if name in table or not re.search(r"[.:/]", name):
        return looked_up(what, name, table)
    found = class_at(name, f"{what} {name}", base)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise UsageError(f"{what} {name}: is no subclass of {base.__module__}.{base.__name__}")
    lacking = [each for each in ATTRIBUTES[base] if not hasattr(found, each)]
    lacking += sorted(getattr(found, "__abstractmethods__", ()))
    if lacking:
        raise UsageError(f"{what} {name}: lacks {', '.join(lacking)}")
    return found


def class_at(path: str, what: str, base: type = object) -> Any:
    """What a dotted path names; raises `UsageError`, whose line begins with `what`."""
    match = DOTTED.fullmatch(path)
    if not match:
        example = EXAMPLES.get(base, "my_pkg.my_module:Mine")
        raise UsageError(f"{what}: can't be read (right: module:Class, like {example})")
    return _attribute(match[1], match[2], what, base)


def _attribute(module: str, attribute: str, what: str, base: type) -> object:
    """What the module has under that name; imports it, from the current folder too."""
    here = os.getcwd()
    if not {"", here} & set(sys.path):
        sys.path.insert(0, here)
    try:
        loaded = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        missing = isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(
            f"{error.name}."
        )
        hint = "; looked in the current folder and on PYTHONPATH" if missing else ""
        raise UsageError(
            f"{what}: module {module} can't be imported ({told(error, _PASSING)}{hint})"
        ) from None
    if not hasattr(loaded, attribute):
        there = [
            name
            for name, value in vars(loaded).items()
            if isinstance(value, type) and issubclass(value, base) and value.__module__ == module
        ]
        hint = f" (there are: {', '.join(there)})" if there else ""
        raise UsageError(f"{what}: module {module} has no {attribute}{hint}")
    return getattr(loaded, attribute)
