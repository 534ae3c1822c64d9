"""What there is: `rlhf-testbed list`. Needs no torch.

Tasks (--task NAME, or your own as module:Class)

corridor   walk to a coin past pits and flower beds, some of them in the dark (CoinRun in words)
  arms
    neither   κ 1, α 1, δ 1, ρ 0.3   lit for the overseer, coin on either side: no threat
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rlhf_testbed.overseers.base import Overseer
from rlhf_testbed.settings.methods import METHODS, method_class
from rlhf_testbed.settings.options import options_of
from rlhf_testbed.tasks.base import SYMBOLS, Dials, Task


def listing(
    tasks: Mapping[str, type[Task]],
    training: Mapping[str, type[Overseer]],
    held_out: Mapping[str, type[Overseer]],
    methods: Iterable[str] = METHODS,
) -> Iterator[str]:
    """The lines of the list: tasks with arms and goals, overseers by what they may do, methods."""
    yield "Tasks (--task NAME, or your own as module:Class)"
    for name, kind in tasks.items():
        task = kind()
        yield ""
        yield f"{name}   {task.summary}"
        yield "  arms"
        yield from _aligned([(arm.name, _dials(arm.dials), arm.summary) for arm in task.arms])
        yield "  goals"
        yield from _aligned(
            [
                (goal.name, "intended" if goal.intended else "unintended", goal.summary)
                for goal in task.goals
            ]
        )
        if options := _options(kind):
            yield f"  options (--task_args NAME=VALUE): {options}"
    yield ""
    yield "Overseers that train (--overseer NAME, or your own as module:Class)"
    yield from _aligned([(name, _with_options(kind)) for name, kind in training.items()])
    yield ""
    yield "Overseers that are held out (rlhf-testbed evaluate RUN --overseer NAME)"
    yield from _aligned([(name, _with_options(kind)) for name, kind in held_out.items()])
    yield ""
    yield "Selection methods (--method NAME, or your own as module:Class)"
    yield from _aligned([(name, method_class(name).summary) for name in methods])
    yield ""
    dials = ", ".join(f"{symbol} {name}" for name, symbol in SYMBOLS.items())
    yield f"Dials: {dials}; shares in [0, 1]"


def _options(kind: type) -> str:
    """The options of a task or an overseer with their defaults, as they are given.

    >>> from rlhf_testbed.tasks.briefing import Briefing
    >>> _options(Briefing)
    'hard_notes=0.0'
    """
    parameters = inspect.signature(kind).parameters
    return ", ".join(f"{name}={parameters[name].default}" for name in options_of(kind))


def _with_options(kind: type[Overseer]) -> str:
    """What an overseer is, with its options."""
    options = _options(kind)
    return f"{kind.summary} (--overseer_args {options})" if options else kind.summary


def _dials(dials: Dials) -> str:
    return ", ".join(f"{symbol} {getattr(dials, name):g}" for name, symbol in SYMBOLS.items())


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Rows as lines, indented, each column as wide as its widest entry."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield f"    {'   '.join(cells).rstrip()}"
