"""Progress on long work: a live line in a terminal, a plain line now and then elsewhere.

both, seed 3   ━━━━━━━━━━━━━━━━━━ 31/60   approved 0.95   KL 4.1   228 episodes/s   0:00:08 left

Without a terminal the first and the last step are said, and between them something every twenty
seconds at least:

    both, seed 3: 31/60  approved 0.95   KL 4.1   228 episodes/s   0:00:08 left
    both, seed 3: still at 31/60, 0:00:20 after that step
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple, TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

QUIET = 19.0
"""Seconds after which a plain log says something again; with a tick, less than twenty."""
TICK = 0.5
"""Seconds after which it is looked whether something is to be said."""


class Step(NamedTuple):
    """How far a piece of work is; `note` holds its figures."""

    done: int
    total: int
    note: str


Watcher = Callable[[Step], None]
"""Is told of every step of a piece of work."""
Clock: TypeAlias = Callable[[], float]
"""Gives seconds since some moment."""


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


class Pace:
    """How far a piece of work is, and how long it will still take, judging by its steps so far.

    Work may have phases, each with steps of its own: a base policy learns, then it is selected
    from. A phase begins where steps are counted anew; the time left is that of the phase.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self.began = self.moved = clock()
        self.step: Step | None = None
        self._phase_began, self._phase_from = self.began, 0

    def reached(self, step: Step) -> bool:
        """Notes a step; returns whether it begins a phase."""
        anew = self.step is None or step.total != self.step.total or step.done <= self.step.done
        self.moved, self.step = self.clock(), step
        if anew:
            self._phase_began, self._phase_from = self.moved, step.done
        return anew

    def elapsed(self) -> float:
        """Seconds since the work began."""
        return self.clock() - self.began

    def silent(self) -> float:
        """Seconds since the last step, or since the work began."""
        return self.clock() - self.moved

    def left(self) -> float | None:
        """Seconds until the phase ends; None before it has made a step beyond its first."""
        made = self.step.done - self._phase_from if self.step else 0
        if self.step is None or not made:
            return None
        each = (self.moved - self._phase_began) / made
        return max(0.0, each * (self.step.total - self.step.done) - self.silent())

    def told(self) -> str:
        """The state of the work in words, without its title."""
        if self.step is None:
            return f"no step yet, {duration(self.elapsed())} after it began"
        at = f"{self.step.done}/{self.step.total}"
        if self.silent() >= QUIET:
            return f"still at {at}, {duration(self.silent())} after that step"
        left = self.left()
        ahead = left is not None and self.step.done < self.step.total
        rest = f"{duration(left or 0.0)} left" if ahead else ""
        return f"{at}  {self.step.note} {rest}".rstrip()


class LiveLine:
    """A watcher that shows one piece of work; use as a context."""

    def __init__(
        self, title: str, console: Console | None = None, clock: Clock = time.monotonic
    ) -> None:
        self.title = title
        self.progress = bars(console)
        self.live = self.progress.console.is_terminal
        self.row = self.progress.add_task(title, total=None, note="")
        self.pace = Pace(clock)
        self._said = clock()
        self._ended = threading.Event()

    def __enter__(self) -> Watcher:
        if self.live:
            self.progress.start()
        else:
            threading.Thread(target=self._ticking, daemon=True).start()
        return self._show

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self.live:  # else stopping prints an empty line
            self.progress.stop()

    def tick(self) -> None:
        """Says how far the work is, where nothing was said for long."""
        if not self.live and self.pace.clock() - self._said >= QUIET:
            self._say()

    def _show(self, step: Step) -> None:
        begins = self.pace.reached(step)
        if self.live:
            self.progress.update(self.row, completed=step.done, total=step.total, note=step.note)
        elif begins or step.done == step.total:
            self._say()
        else:
            self.tick()

    def _say(self) -> None:
        self._said = self.pace.clock()
        self.progress.console.print(f"{self.title}: {self.pace.told()}", highlight=False)

    def _ticking(self) -> None:
        while not self._ended.wait(TICK):
            self.tick()


def duration(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> duration(3725.4)
    '1:02:05'
    """
    return str(timedelta(seconds=round(seconds)))
