"""What an engine shows of its jobs: bars in a terminal, otherwise a line now and then.

[3/25] both, seed 3: ended, 0:07:10 left
[3/25] both, seed 4: 31/60; habit, seed 1: still at 12/60; 0:06:50 left
"""

from __future__ import annotations

import threading
import time

from rich.console import Console
from rich.progress import TaskID

from rlhf_testbed.engine.job import Job
from rlhf_testbed.shared.progress import QUIET, Clock, Pace, Step, bars, duration

NAMED = 4
"""Jobs under way that a line names, at most."""


class Display:
    """One bar for all jobs and one for each that is under way; plain lines without a terminal.

    Jobs begin, step and end in threads of their own. `workers`: how many are under way at a time.
    """

    def __init__(
        self,
        total: int,
        workers: int,
        console: Console | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.progress = bars(console)
        self.live = self.progress.console.is_terminal
        self.progress.disable = not self.live
        self.total, self.workers, self.done = total, workers, 0
        self.all = self.progress.add_task("all jobs", total=total, note="")
        self._clock = clock
        self._said = clock()
        self._running: dict[TaskID, tuple[str, Pace]] = {}
        self._took: list[float] = []
        self._lock = threading.Lock()

    def began(self, job: Job) -> TaskID:
        """Shows a job that is under way; returns what to call it by."""
        row = self.progress.add_task(job.title, total=None, note="")
        with self._lock:
            self._running[row] = job.title, Pace(self._clock)
        return row

    def step(self, row: TaskID, step: Step) -> None:
        """Shows how far a job is."""
        with self._lock:
            self._running[row][1].reached(step)
        self.progress.update(row, completed=step.done, total=step.total, note=step.note)

    def ended(self, row: TaskID, failed: bool, again: bool = False) -> None:
        """Counts a job that has ended, unless it is to be tried `again`."""
        if again:
            self.dropped(row)
            return
        with self._lock:
            title, pace = self._running.pop(row)
            self.done += 1
            if not failed:
                self._took.append(pace.elapsed())
            self._say(f"{title}: {'failed' if failed else 'ended'}", ", ")
        self.progress.remove_task(row)
        self.progress.advance(self.all)

    def dropped(self, row: TaskID) -> None:
        """Shows a job no longer, which has not come to its end."""
        with self._lock:
            self._running.pop(row)
        self.progress.remove_task(row)

    def say(self, what: str) -> None:
        """Prints a line about something else than progress, above the bars where there are any."""
        self.progress.console.print(what, highlight=False, markup=False)

    def tick(self) -> None:
        """Says how far the jobs are, where nothing was said for long."""
        with self._lock:
            if self._running and self._clock() - self._said >= QUIET:
                here = [f"{title}: {_briefly(pace)}" for title, pace in self._running.values()]
                if len(here) > NAMED:
                    here[NAMED:] = [f"and {len(here) - NAMED} more"]
                self._say("; ".join(here), "; ")

    def left(self) -> float | None:
        """Seconds until the last job ends; None where nothing is known yet.

        A job that waits is taken to last as long as others on average: as those that have ended
        did, and as those under way seem to, by their steps. One under way lasts at least as long.
        """
        paces = [pace for _, pace in self._running.values()]
        known = [(pace.elapsed(), pace.left()) for pace in paces]
        lasts = self._took + [elapsed + left for elapsed, left in known if left is not None]
        if not lasts:
            return None
        each = sum(lasts) / len(lasts)
        rest = [max(left or 0.0, each - elapsed) for elapsed, left in known]
        waiting = self.total - self.done - len(paces)
        return max([(sum(rest) + waiting * each) / self.workers, *rest])

    def _say(self, what: str, then: str) -> None:
        """Prints a line, with the time left where that is known and anything is left to do."""
        self._said = self._clock()
        if not self.live:
            left = self.left() if self.done < self.total else None
            rest = "" if left is None else f"{then}{duration(left)} left"
            line = f"[{self.done}/{self.total}] {what}{rest}"
            self.progress.console.print(line, highlight=False, markup=False)


def _briefly(pace: Pace) -> str:
    """How far one of several jobs is."""
    if pace.step is None:
        return f"no step yet after {duration(pace.elapsed())}"
    at = f"{pace.step.done}/{pace.step.total}"
    return f"still at {at}" if pace.silent() >= QUIET else at
