"""The base policy: a language model that has learned a task's mixture of behaviours.

Selection can only make more common what is already there, so what the base policy's demonstrators
pursue (ρ) is a dial of an experiment. It is learned once, cached by the digest of all that it
depends on (demonstrations, initial weights, tokenizer, settings, library versions), and learned
anew when any of that changes:

    ~/.cache/rlhf-testbed/base/3f9c0d6a1b2e4c58/   model.safetensors, about.json, ...

What a run started from is told by another hash, that of the files themselves
(`store/base_kept.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import transformers
from filelock import FileLock
from platformdirs import user_cache_path
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments, set_seed

from rlhf_testbed.policy.language import Language, left_padded, load_language, small_language
from rlhf_testbed.policy.suitable import refuse_alike, refuse_short_context
from rlhf_testbed.settings.plugins import blamed
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.callbacks import WatchedTraining, learning_note
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import write_json, written_whole
from rlhf_testbed.shared.progress import LiveLine, Watcher
from rlhf_testbed.tasks.base import Demonstration, TaskError, refuse_odd_demonstrations

THREADS = 1
"""A fixed number, since a sum's last bits depend on it. One, since threads that wait for each other
make a busy machine many times slower, and a base policy is often learned beside other work."""
ABOUT = "about.json"


@dataclass(frozen=True)
class Learning:
    """How a base policy learns from its demonstrations."""

    steps: int
    batch_size: int
    learning_rate: float
    seed: int


class Recipe(NamedTuple):
    """All that a base policy is made from."""

    title: str
    language: Language
    """Not taught yet."""
    demonstrations: Sequence[Demonstration]
    learning: Learning
    folder: Path
    """Where it is cached once it has been taught."""


def ensure_base_policy(run: RunConfig, watcher: Watcher | None = None) -> Path:
    """The folder of the run's base policy; taught first where it is not cached yet.

    Progress goes to `watcher`, by default to a live line.
    """
    wanted = recipe(run)
    with FileLock(wanted.folder.with_suffix(".lock")):
        if not wanted.folder.exists():
            with nullcontext(watcher) if watcher else LiveLine(wanted.title) as told:
                build(wanted, told)
    return wanted.folder


def recipe(run: RunConfig) -> Recipe:
    """What the run's base policy is made from, and where it is cached. Nothing is taught.

    Raises `UsageError` for demonstrations that are none, and for a cache that can't be made.
    """
    settings = run.base
    with blamed(f"task {type(run.task).__name__}", "demonstrations"):
        demonstrations = run.task.demonstrations(
            run.dials.unintended_share, settings.base_seed, settings.demonstrations
        )
    try:
        refuse_odd_demonstrations(demonstrations, settings.demonstrations)
    except TaskError as error:
        name = run.study.task
        raise UsageError(
            f"task {name} breaks a rule: demonstrations: {error} "
            f"(rlhf-testbed check {name} tries every rule)"
        ) from None
    learning = Learning(
        run.base_steps,
        settings.base_batch_size,
        settings.base_learning_rate,
        settings.base_seed,
    )
    language = _untaught(run, demonstrations)
    refuse_alike(language, run.task.responses, "responses")
    folder = cache_folder() / "base" / _digest(_about(language, demonstrations, learning))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{folder.parent}: can't be made: {error.strerror} (RLHF_TESTBED_CACHE names another)"
        ) from None
    title = f"base policy for {run.study.task} (once; cached)"
    return Recipe(title, language, demonstrations, learning, folder)


def build(wanted: Recipe, watcher: Watcher) -> None:
    """Teaches a base policy and caches it."""
    language, demonstrations, learning = wanted.language, wanted.demonstrations, wanted.learning
    about = _about(language, demonstrations, learning)
    learn(language, demonstrations, learning, watcher)
    with written_whole(wanted.folder) as aside:
        language.model.save_pretrained(aside)
        language.tokenizer.save_pretrained(aside)
        write_json(aside / ABOUT, about)


def load_base_policy(folder: Path, **kwargs: object) -> Language:
    """The base policy in a folder; raises `UsageError` where that is damaged."""
    try:
        return load_language(str(folder), **{"attn_implementation": "eager", **kwargs})
    except UsageError as error:
        raise UsageError(f"base policy: {error}: delete {folder}, and it is built anew") from None


def cache_folder() -> Path:
    """Where base policies are kept: `RLHF_TESTBED_CACHE`, or the user's cache folder."""
    named = os.environ.get("RLHF_TESTBED_CACHE")
    return Path(named) if named else user_cache_path("rlhf-testbed")


def learn(
    language: Language,
    demonstrations: Sequence[Demonstration],
    learning: Learning,
    watcher: Watcher,
) -> None:
    """Trains the model, in place, to write the demonstrated responses; loss on responses only."""
    if learning.steps == 0:
        return
    shown = _Demonstrated(language, demonstrations)
    refuse_short_context(language.model, max(len(a) + len(b) for a, b in shown.rows))
    set_seed(learning.seed)
    with tempfile.TemporaryDirectory() as scratch, _threads(THREADS):
        trainer = Trainer(
            model=language.model,
            args=TrainingArguments(
                output_dir=scratch,
                max_steps=learning.steps,
                per_device_train_batch_size=learning.batch_size,
                learning_rate=learning.learning_rate,
                lr_scheduler_type="cosine",
                warmup_steps=learning.steps // 10,
                seed=learning.seed,
                logging_steps=max(1, learning.steps // 50),
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                use_cpu=not torch.cuda.is_available(),
                dataloader_pin_memory=torch.cuda.is_available(),
                remove_unused_columns=False,
            ),
            train_dataset=shown,
            data_collator=_collated,
            callbacks=[WatchedTraining(watcher, learning_note)],
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
    language.model.eval()


class _Demonstrated(Dataset[tuple[list[int], list[int]]]):
    """Prompt ids and response ids of each demonstration."""

    def __init__(self, language: Language, demonstrations: Sequence[Demonstration]) -> None:
        self.rows = [
            (language.prompt_ids(prompt), language.response_ids(response))
            for prompt, response in demonstrations
        ]

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


def _untaught(run: RunConfig, demonstrations: Sequence[Demonstration]) -> Language:
    name = run.base.model_name_or_path
    if name is None:
        texts = {word for pair in demonstrations for text in pair for word in text.split()}
        texts.update(word for response in run.task.responses for word in response.split())
        return small_language(texts, run.base.base_seed)
    return load_language(name, revision=run.base.model_revision, dtype=run.base.dtype)


def _about(
    language: Language, demonstrations: Sequence[Demonstration], learning: Learning
) -> dict[str, object]:
    """All that a base policy depends on."""
    weights = hashlib.sha256()
    for name, tensor in sorted(language.model.state_dict().items()):
        weights.update(name.encode())
        weights.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return {
        "learning": asdict(learning),
        "demonstrations": hashlib.sha256(json.dumps(demonstrations).encode()).hexdigest(),
        "initial weights": weights.hexdigest(),
        "architecture": language.model.config.to_dict(),
        "vocabulary": hashlib.sha256(
            json.dumps(sorted(language.tokenizer.get_vocab().items())).encode()
        ).hexdigest(),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }


def _digest(about: dict[str, object]) -> str:
    text = json.dumps(about, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
