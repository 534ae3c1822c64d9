"""Progress on long work: a live line in a terminal, a plain line now and then elsewhere.

both, seed 3   ━━━━━━━━━━━━━━━━━━ 31/60   approved 0.95   KL 4.1   228 episodes/s   0:00:08 left
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_LINES = 10
"""Lines that a piece of work prints where there is no terminal."""


class Step(NamedTuple):
    """How far a piece of work is; `note` holds its figures."""

    done: int
    total: int
    note: str


Watcher = Callable[[Step], None]
"""Is told of every step of a piece of work."""


def bars(console: Console | None = None) -> Progress:
    """Rich's progress display with a column for figures and one for the time left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console or Console(stderr=True),
    )


class LiveLine:
    """A watcher that shows one piece of work; use as a context."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.progress = bars()
        self.row = self.progress.add_task(title, total=None, note="")

    def __enter__(self) -> Watcher:
        if self.progress.console.is_terminal:
            self.progress.start()
        return self._show

    def __exit__(self, *_: object) -> None:
        if self.progress.console.is_terminal:  # else stopping prints an empty line
            self.progress.stop()

    def _show(self, step: Step) -> None:
        if self.progress.console.is_terminal:
            self.progress.update(self.row, completed=step.done, total=step.total, note=step.note)
        elif step.done % max(1, step.total // PLAIN_LINES) == 0 or step.done == step.total:
            self.progress.console.print(
                f"{self.title}: {step.done}/{step.total}  {step.note}", highlight=False
            )
