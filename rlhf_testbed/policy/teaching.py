"""Teaching a model: it learns to write the demonstrated responses, all weights or through LoRA.

    learn(language, demonstrations, Learning(2400, 32, 1.5e-3, seed=0), watcher)
    Language(...), 0.31 nats a token

LoRA's adapters are merged into the model afterwards: selection starts from one model, whatever
taught it.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments, set_seed

from rlhf_testbed.policy.adapters import all_linear
from rlhf_testbed.policy.language import Language, left_padded
from rlhf_testbed.policy.merging import merged, plain
from rlhf_testbed.policy.suitable import refuse_short_context
from rlhf_testbed.policy.teacher_forcing import keeping
from rlhf_testbed.policy.trunk import Memory, frozen_layers, grown
from rlhf_testbed.shared.callbacks import WatchedTraining, learning_note
from rlhf_testbed.shared.progress import Watcher
from rlhf_testbed.tasks.base import Demonstration

LOOKS = 10
"""How often the loss on held-out demonstrations is looked at, where learning may end early."""
HELD_OUT = 64
"""Demonstrations, the last ones, that are learned from never then."""
FALLEN = 0.005
"""Nats a token by which that loss must fall for learning to go on."""


@dataclass(frozen=True)
class Learning:
    """How a base policy learns from its demonstrations."""

    steps: int
    batch_size: int
    learning_rate: float
    seed: int
    lora_r: int = 0
    """LoRA rank; 0: all weights learn."""
    lora_layers: int | None = None
    """Layers, counted from the last, that LoRA adapts; None: all."""
    patience: int = 0
    """Looks at held-out demonstrations that may bring no better loss; 0: none is taken."""
    threads: int = 1
    """A fixed number, since a sum's last bits depend on it. One, since threads that wait for each
    other make a busy machine many times slower, and most learning goes on beside other work."""


def learn(
    language: Language,
    demonstrations: Sequence[Demonstration],
    learning: Learning,
    watcher: Watcher,
) -> tuple[Language, float]:
    """Trains the model to write the demonstrated responses; loss on responses only.

    Returns what has learned, and the mean loss of the last steps, in nats a token; NaN where there
    are no steps. `language` is used up.
    """
    if learning.steps == 0:
        return language, math.nan
    shown = _Demonstrated(language, demonstrations)
    refuse_short_context(language.model, max(len(a) + len(b) for a, b in shown.rows))
    set_seed(learning.seed)
    with tempfile.TemporaryDirectory() as scratch, _threads(learning.threads):
        model = _adapted(language, learning) if learning.lora_r else language.model
        trunk = grown(plain(model), frozen_layers(plain(model)), Memory())
        trainer = _trainer(model, shown, learning, scratch, watcher)
        trainer.train()
    if trunk:
        trunk.remove(plain(model))
    if isinstance(model, PeftModel):
        language = Language(merged(model), language.tokenizer)
    language.model.requires_grad_(True).eval()
    losses = [logged["loss"] for logged in trainer.state.log_history if "loss" in logged]
    return language, float(losses[-1]) if losses else math.nan


def _adapted(language: Language, learning: Learning) -> PeftModel:
    """The model with adapters on all linear modules, or on those of its last layers."""
    layers = learning.lora_layers
    of_last = layers and all_linear(language.model, layers, "base_lora_layers")
    named = of_last or "all-linear"
    found: PeftModel = get_peft_model(
        language.model,
        LoraConfig(
            task_type="CAUSAL_LM",
            r=learning.lora_r,
            lora_alpha=2 * learning.lora_r,
            target_modules=named,
        ),
    )
    return found


def _trainer(
    model: torch.nn.Module, shown: _Demonstrated, learning: Learning, scratch: str, watcher: Watcher
) -> Trainer:
    """Transformers' trainer, which ends early where the settings have it so."""
    steps, few = learning.steps, {}
    callbacks: list[transformers.TrainerCallback] = [WatchedTraining(watcher, learning_note)]
    held_out = shown.split(HELD_OUT) if learning.patience else None
    if held_out:
        few = {
            "eval_strategy": "steps",
            "eval_steps": max(1, steps // LOOKS),
            "metric_for_best_model": "eval_loss",
            "per_device_eval_batch_size": learning.batch_size,
        }
        callbacks.append(EarlyStoppingCallback(learning.patience, FALLEN))
    trainer = (_OfResponses if learning.lora_r else Trainer)(
        model=model,
        args=TrainingArguments(
            output_dir=scratch,
            max_steps=steps,
            per_device_train_batch_size=learning.batch_size,
            prediction_loss_only=True,
            learning_rate=learning.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=steps // 10,
            seed=learning.seed,
            logging_steps=max(1, steps // 50),
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
            dataloader_pin_memory=torch.cuda.is_available(),
            remove_unused_columns=False,
            **few,
        ),
        train_dataset=shown,
        eval_dataset=held_out,
        data_collator=_collated,
        callbacks=callbacks,
    )
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


class _OfResponses(Trainer):
    """Transformers' trainer, which has no logits made of prompts, where nothing is learned: for a
    large vocabulary these take longer than the layers."""

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: object = None,
    ) -> Any:
        """Mean cross-entropy of the responses' tokens, in nats."""
        labels = inputs["labels"]
        longest = int((labels >= 0).any(0).sum())
        asked = {name: each for name, each in inputs.items() if name != "labels"}
        found = model(**asked, use_cache=False, **keeping(plain(model), longest + 1))
        logits = found.logits[:, -longest - 1 : -1].float()
        loss = cross_entropy(logits.flatten(0, 1), labels[:, -longest:].flatten())
        return (loss, found) if return_outputs else loss


class _Demonstrated(Dataset[tuple[list[int], list[int]]]):
    """Prompt ids and response ids of each demonstration."""

    def __init__(self, language: Language, demonstrations: Sequence[Demonstration]) -> None:
        self.rows = [
            (language.prompt_ids(prompt), language.response_ids(response))
            for prompt, response in demonstrations
        ]

    def split(self, count: int) -> _Demonstrated:
        """Takes the last ones away, of which half stay at least, and returns them."""
        other = object.__new__(_Demonstrated)
        at = max(len(self.rows) // 2, len(self.rows) - count)
        self.rows, other.rows = self.rows[:at], self.rows[at:]
        return other

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[list[int], list[int]]:
        return self.rows[index]


def _collated(rows: list[tuple[list[int], list[int]]]) -> dict[str, torch.Tensor]:
    """A batch whose labels leave out prompts and padding."""
    batch = left_padded([prompt + response for prompt, response in rows])
    labels = torch.full_like(batch["input_ids"], -100)
    for row, (_, response) in enumerate(rows):
        labels[row, -len(response) :] = torch.tensor(response)
    return {**batch, "labels": labels}


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
