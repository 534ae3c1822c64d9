"""Progress of transformers' trainers, told to our watchers instead of their own bars."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transformers import (
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    modeling_gguf_pytorch_utils,
)
from transformers.utils import logging as transformers_logging

from rlhf_testbed.shared.progress import Step, Watcher


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
    # The bar of reading GGUF files is another library's, which heeds none of this.
    modeling_gguf_pytorch_utils.tqdm = transformers_logging.tqdm
