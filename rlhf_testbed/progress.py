"""Progress on long work: a live line in a terminal, a plain line now and then elsewhere.

both, seed 3   ━━━━━━━━━━━━━━━━━━ 31/60   approved 0.95   KL 4.1   228 episodes/s   0:00:08 left
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.utils import logging as transformers_logging

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


class WatchedTraining(TrainerCallback):
    """Tells a watcher of every step of a transformers trainer, with the figures that it logs."""

    def __init__(self, watcher: Watcher, describe: Callable[[dict[str, Any]], str]) -> None:
        self.watcher = watcher
        self.describe = describe
        self.note = ""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: object,
    ) -> None:
        """Remembers the newest figures."""
        self.note = self.describe(logs or {}) or self.note

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Reports the step."""
        self.watcher(Step(state.global_step, state.max_steps, self.note))


def selection_note(logs: dict[str, Any]) -> str:
    """The figures of one PPO update: approval, KL, speed."""
    if "objective/approval" not in logs:
        return ""
    return (
        f"approved {logs['objective/approval']:.2f}   KL {logs['objective/kl']:4.1f}   "
        f"{logs['eps']:.0f} episodes/s  "
    )


def preference_note(logs: dict[str, Any]) -> str:
    """The figures of one logged step of learning from comparisons."""
    if "accuracy" not in logs:
        return ""
    return f"learning from comparisons, loss {logs['loss']:.3f}, right {logs['accuracy']:.2f}  "


def learning_note(logs: dict[str, Any]) -> str:
    """The figures of one logged step of learning from demonstrations."""
    return f"learning from demonstrations, loss {logs['loss']:.3f}  " if "loss" in logs else ""


def quiet() -> None:
    """Keeps the libraries' own progress bars and notices out of the live line."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
