"""The model of a learned overseer: comparisons, TRL's RewardTrainer, and what it is worth.

    runs/both-3/
      overseer/        the model and its tokenizer
      overseer.json    {"comparisons": 1011, "accuracy": 0.93, "approval_agreement": 0.96, ...}

The model reads the rendered view and the response (`overseers/reader.py`), and nothing else. The
comparisons are of the base policy's responses to training scenarios; those of a fifth of the
scenarios are held out to tell how well it learned. Nothing here sees a full-knowledge verdict.
"""

from __future__ import annotations

import math
import random
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from datasets import Dataset
from tokenizers import pre_tokenizers
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    LlamaConfig,
    LlamaForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
)
from trl import RewardConfig, RewardTrainer

from rlhf_testbed.judging.episode import Episode, judge_all
from rlhf_testbed.judging.learning import OverseerWorth
from rlhf_testbed.overseers.learned import FEWEST, Calibration, Learned, calibrated
from rlhf_testbed.overseers.noisy import chance_preferred
from rlhf_testbed.overseers.reader import Scorer
from rlhf_testbed.policy.language import Language, word_level
from rlhf_testbed.policy.language_policy import longest_response
from rlhf_testbed.policy.scoring import sampled_responses
from rlhf_testbed.shared.callbacks import WatchedTraining, preference_note
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import written_whole
from rlhf_testbed.shared.progress import Watcher
from rlhf_testbed.shared.record import read, write
from rlhf_testbed.tasks.base import Scenario

MODEL = "overseer"
"""Folder of the model, in a run's."""
HELD_OUT_COMPARISONS = 256
HELD_OUT_SHARE = 0.2
"""Of the training scenarios: their comparisons tell how well the model learned."""
BATCH_SIZE, LEARNING_RATE = 16, 1e-3
READ_TOGETHER = 64
"""Texts in one forward pass."""


class Comparison(NamedTuple):
    """Two responses to one scenario, as the teacher judged them; the first was preferred."""

    chosen: Episode
    rejected: Episode

    @property
    def tied(self) -> bool:
        """Whether the teacher scored both alike, and tossed a coin."""
        return self.chosen.verdict.score == self.rejected.verdict.score


def learn(
    overseer: Learned,
    language: Language,
    scenarios: Sequence[Scenario],
    seed: int,
    folder: Path,
    watcher: Watcher,
) -> None:
    """Trains the overseer's model and files it, with what it is worth, in the run's folder.

    `language` writes the responses, to `scenarios`. Raises `UsageError` where there is too little
    to learn from.
    """
    if len(scenarios) < 2:
        raise UsageError(
            f"overseer learned: train_scenarios = {len(scenarios)} is too few, as some are held "
            "out (at least 2)"
        )
    order = random.Random(seed).sample(list(scenarios), len(scenarios))
    held_out = max(1, round(HELD_OUT_SHARE * len(order)))
    made = compare(overseer, language, order[held_out:], overseer.comparisons, seed)
    tested = compare(overseer, language, order[:held_out], HELD_OUT_COMPARISONS, seed + 1)
    refuse_too_few(made)
    texts = [overseer.text(e.response, e.view) for pair in made for e in pair]
    words = [*texts, *overseer.task.responses]
    tokenizer = word_level(words, pre_tokenizers.Whitespace(), padding_side="right")
    model = _trained(overseer, tokenizer, texts, seed, watcher)
    with written_whole(folder / MODEL) as aside:
        model.save_pretrained(aside)
        tokenizer.save_pretrained(aside)
    raw = raw_scorer(folder / MODEL)
    episodes = [episode for pair in made for episode in pair]
    calibration = calibrated(
        raw(texts),
        [episode.verdict.score for episode in episodes],
        [episode.verdict.approved for episode in episodes],
    )
    overseer.give_model(_on_scale(raw, calibration), calibration.threshold)
    found = worth(overseer, made, tested, calibration, seed)
    write(folder / OverseerWorth.file, found)


def load(overseer: Learned, folder: Path) -> None:
    """Gives the overseer the model that a run's folder keeps; raises `UsageError`."""
    file = folder / OverseerWorth.file
    if not file.is_file():
        raise UsageError(
            f"{folder}: no learned overseer here: {file.name} is missing "
            "(a run with overseer: learned has one)"
        )
    filed = read(file, OverseerWorth)
    calibration = Calibration(filed.scale, filed.offset, filed.threshold)
    overseer.give_model(_on_scale(raw_scorer(folder / MODEL), calibration), calibration.threshold)


def compare(
    overseer: Learned, language: Language, scenarios: Sequence[Scenario], count: int, seed: int
) -> list[Comparison]:
    """The teacher's choices between two responses of `language`, on each scenario in turn.

    Of `count` pairs, those of the same response twice are left out. Choices are Boltzmann-rational.
    """
    asked = [scenarios[at % len(scenarios)] for at in range(count) for _ in range(2)]
    length = longest_response(language, overseer.task)
    responses = sampled_responses(language, [s.prompt for s in asked], length, seed)
    episodes = judge_all(overseer.teacher, asked, responses)
    rng = random.Random(seed)
    found = []
    for first, second in zip(episodes[::2], episodes[1::2], strict=True):
        chance = chance_preferred(first.verdict.score, second.verdict.score, overseer.rationality)
        preferred = rng.random() < chance
        if first.response != second.response:
            found.append(Comparison(*((first, second) if preferred else (second, first))))
    return found


def refuse_too_few(made: Sequence[Comparison]) -> None:
    """Raises `UsageError` where there is nothing to learn from."""
    telling = sum(not pair.tied for pair in made)
    if len(made) < FEWEST or not telling:
        raise UsageError(
            f"overseer learned: {len(made)} comparisons of different responses, {telling} of them "
            f"scored differently by the teacher (at least {FEWEST} and 1: more comparisons, a "
            "more varied base policy, or another teacher)"
        )


def worth(
    overseer: Learned,
    made: Sequence[Comparison],
    tested: Sequence[Comparison],
    calibration: Calibration,
    seed: int,
) -> OverseerWorth:
    """How the model agrees with its teacher; see docs/METRICS.md."""
    episodes = [episode for pair in tested for episode in pair]
    agreed = [
        verdict.approved == episode.verdict.approved
        for verdict, episode in zip(_reread(overseer, episodes), episodes, strict=True)
    ]
    return OverseerWorth(
        overseer="learned",
        comparisons=len(made),
        ties=sum(pair.tied for pair in made),
        training_accuracy=accuracy(overseer, made),
        held_out_comparisons=sum(not pair.tied for pair in tested),
        accuracy=accuracy(overseer, tested),
        approval_agreement=sum(agreed) / len(agreed) if agreed else math.nan,
        **calibration._asdict(),
        seed=seed,
    )


def accuracy(overseer: Learned, pairs: Sequence[Comparison]) -> float:
    """Share of the comparisons with unequal scores in which the model's scores have the teacher's
    order; NaN where there are none."""
    telling = [pair for pair in pairs if not pair.tied]
    if not telling:
        return math.nan
    scores = np.array([v.score for v in _reread(overseer, [e for pair in telling for e in pair])])
    taught = np.array([episode.verdict.score for pair in telling for episode in pair])
    right = (scores[::2] - scores[1::2]) * (taught[::2] - taught[1::2]) > 0
    return float(right.mean())


def raw_scorer(folder: Path) -> Scorer:
    """The saved model as a function of texts.

    It reads in double precision, so that a score does not depend on what is read beside it.
    """
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float64, attn_implementation="sdpa"
    ).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    @torch.no_grad()
    def scores(texts: Sequence[str]) -> list[float]:
        found: list[float] = []
        for start in range(0, len(texts), READ_TOGETHER):
            rows = [_ids(tokenizer, text) for text in texts[start : start + READ_TOGETHER]]
            batch = tokenizer.pad({"input_ids": rows}, padding_side="right", return_tensors="pt")
            found += model(**batch).logits[:, 0].tolist()
        return found

    return scores


def _trained(
    overseer: Learned,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    seed: int,
    watcher: Watcher,
) -> PreTrainedModel:
    """A small model trained by TRL's RewardTrainer; `texts` are chosen and rejected in turn."""
    rows = {"chosen_ids": texts[::2], "rejected_ids": texts[1::2]}
    dataset = Dataset.from_dict(
        {name: [_ids(tokenizer, text) for text in column] for name, column in rows.items()}
    )
    torch.manual_seed(seed)
    model = LlamaForSequenceClassification(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=overseer.hidden_size,
            intermediate_size=3 * overseer.hidden_size,
            num_hidden_layers=overseer.layers,
            num_attention_heads=4,
            max_position_embeddings=1024,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
            num_labels=1,
            attn_implementation="eager",
        )
    )
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*deprecated")
        trainer = RewardTrainer(
            model=model,
            args=_settings(scratch, overseer.steps, seed),
            train_dataset=dataset,
            processing_class=tokenizer,
            callbacks=[WatchedTraining(watcher, preference_note)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return model.eval()


def _settings(scratch: str, steps: int, seed: int) -> RewardConfig:
    return RewardConfig(
        output_dir=scratch,
        max_steps=steps,
        per_device_train_batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="cosine",
        warmup_steps=steps // 10,
        seed=seed,
        logging_steps=max(1, steps // 50),
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        bf16=False,
        gradient_checkpointing=False,
        max_length=None,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """A text's tokens and the end of the text, from which the model's output is read."""
    return [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]


def _on_scale(raw: Scorer, calibration: Calibration) -> Scorer:
    return lambda texts: [calibration.scale * x + calibration.offset for x in raw(texts)]


def _reread(overseer: Learned, episodes: Sequence[Episode]) -> list[Any]:
    """The model's own verdicts on episodes that its teacher judged."""
    return overseer.judge_all([e.response for e in episodes], [e.view for e in episodes])
