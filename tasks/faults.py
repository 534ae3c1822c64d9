"""Whose code raised, and where: faults of tasks and overseers told in one line.

told(error)                       "KeyError: 'coin' (my_task.py, line 31)"
author(error, {Task: "task"})     "task Ledger: outcome"
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Collection, Mapping


def told(error: BaseException, passing: Collection[str] = ()) -> str:
    """An exception in one line, with the place it comes from.

    The place is the innermost one that is neither Python's own machinery nor in `passing`, which
    names files and functions that only pass a fault on.

    >>> told(ValueError("no coin"))
    'ValueError: no coin'
    """
    places = [
        f"{os.path.basename(frame.filename)}, line {frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<") and not {frame.filename, frame.name} & set(passing)
    ]
    said = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    return f"{said} ({places[-1]})" if places else said


def author(
    error: BaseException, kinds: Mapping[type, str], modules: Mapping[str, str] | None = None
) -> str | None:
    """The innermost method of somebody's class, or function of their module, that raised.

    `kinds` says what an object of each class is called, `modules` whose a module is, by its name: a
    task's goals and scripted policies are functions of its module. None where no frame is either.
    """
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        owner, function = frame.f_locals.get("self"), frame.f_code.co_name.strip("<>")
        for kind, what in kinds.items():
            if isinstance(owner, kind):
                return f"{what} {type(owner).__name__}: {function}"
        whose = (modules or {}).get(frame.f_globals.get("__name__", ""))
        if whose is not None:
            return f"{whose}: {function}"
    return None
