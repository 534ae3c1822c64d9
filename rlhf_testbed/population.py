"""The base population: a language model that has learned a task's mixture of behaviours.

Selection can only make more common what is already there, so the population's make-up (ρ) is a dial
of an experiment. It is built once, cached by the hash of all that it depends on (demonstrations,
initial weights, tokenizer, settings, library versions), and built anew when any of that changes:

    ~/.cache/rlhf-testbed/population/3f9c0d6a1b2e4c58/   model.safetensors, about.json, ...
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

import torch
import transformers
from filelock import FileLock
from platformdirs import user_cache_path
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments, set_seed

from rlhf_testbed.config import RunConfig
from rlhf_testbed.errors import UsageError
from rlhf_testbed.files import write_json, written_whole
from rlhf_testbed.language_model import Language, left_padded, load_language, small_language
from rlhf_testbed.plugins import blamed
from rlhf_testbed.progress import LiveLine, WatchedTraining, Watcher, learning_note
from rlhf_testbed.readiness import refuse_odd_demonstrations
from tasks.base import Demonstration

THREADS = 1
"""A fixed number, since a sum's last bits depend on it. One, since threads that wait for each other
make a busy machine many times slower, and a base population is often built beside other work."""


@dataclass(frozen=True)
class Learning:
    """How a population learns from its demonstrations."""

    steps: int
    batch_size: int
    learning_rate: float
    seed: int


def population_folder(run: RunConfig, watcher: Watcher | None = None) -> Path:
    """The folder of the run's base population; built first if need be.

    Progress goes to `watcher`, by default to a live line.
    """
    settings = run.testbed
    with blamed(f"task {type(run.task).__name__}", "demonstrations"):
        demonstrations = run.task.demonstrations(
            run.dials.population, settings.population_seed, settings.demonstrations
        )
    refuse_odd_demonstrations(settings.task, demonstrations, settings.demonstrations)
    learning = Learning(
        run.population_steps,
        settings.population_batch_size,
        settings.population_learning_rate,
        settings.population_seed,
    )
    language = _untrained(run, demonstrations)
    about = _about(language, demonstrations, learning)
    folder = cache_folder() / "population" / _digest(about)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{folder.parent}: can't be made: {error.strerror} (RLHF_TESTBED_CACHE names another)"
        ) from None
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            title = f"base population for {settings.task} (once; cached)"
            with nullcontext(watcher) if watcher else LiveLine(title) as told:
                learn(language, demonstrations, learning, told)
            with written_whole(folder) as aside:
                language.model.save_pretrained(aside)
                language.tokenizer.save_pretrained(aside)
                write_json(aside / "about.json", about)
    return folder


def load_population(folder: Path, **kwargs: object) -> Language:
    """The base population in a folder; raises `UsageError` where that is damaged."""
    try:
        return load_language(str(folder), **{"attn_implementation": "eager", **kwargs})
    except UsageError as error:
        raise UsageError(
            f"base population: {error}: delete {folder}, and it is built anew"
        ) from None


def known_population(name: str) -> Path | None:
    """The folder of a population of that name (a hash), where it is in the cache."""
    folder = cache_folder() / "population" / name
    return folder if folder.is_dir() else None


def cache_folder() -> Path:
    """Where populations are kept: `RLHF_TESTBED_CACHE`, or the user's cache folder."""
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
            train_dataset=_Demonstrated(language, demonstrations),
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


def _untrained(run: RunConfig, demonstrations: Sequence[Demonstration]) -> Language:
    name = run.language.model_name_or_path
    if name is None:
        texts = {word for pair in demonstrations for text in pair for word in text.split()}
        texts.update(word for response in run.task.responses for word in response.split())
        return small_language(texts, run.testbed.population_seed)
    return load_language(name, revision=run.language.model_revision, dtype=run.language.dtype)


def _about(
    language: Language, demonstrations: Sequence[Demonstration], learning: Learning
) -> dict[str, object]:
    """All that a population depends on."""
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
