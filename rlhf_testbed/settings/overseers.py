"""From an overseer's name and options to an overseer, without the model that one which reads needs.

--overseer scripted --overseer_args prior=0.5    Scripted(task, Sight(κ), prior=0.5)
"""

from __future__ import annotations

from collections.abc import Sequence

from rlhf_testbed.overseers.base import Overseer, OverseerError, Sight, made
from rlhf_testbed.settings.options import parse_options
from rlhf_testbed.settings.plugins import blamed, overseer_class
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.tasks.base import Task

COMMAND_LINE = "command line"


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
    for option in kind.needed:
        if not options.get(option):
            raise UsageError(f"{where}: overseer_args: {name} needs {option} (right: {option}=...)")
    with blamed(f"{where}: overseer {name}", "is made with a task, a sight and its options"):
        try:
            return made(kind, task, sight, **options)
        except OverseerError as error:
            raise UsageError(f"{where}: {error}") from None
        except ValueError as error:
            raise UsageError(f"{where}: overseer_args: {name}: {error}") from None
