"""The model never sees the score: no model input depends on a score, a verdict or a view.

With a learning rate of nought, nothing that is scored can reach the weights; so whatever the
overseer says, every model must read the same tokens to the last bit. And with a real learning rate,
what a model reads is a scenario's prompt and its own words, and nothing else.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from conftest import SMALL
from overseers import OVERSEERS
from overseers.base import TrainingOverseer
from rlhf_testbed import ledger
from rlhf_testbed.parsing import parse_run
from rlhf_testbed.population import population_folder
from rlhf_testbed.train import build_trainer
from tasks.base import Verdict, View

Inputs = list[tuple[torch.Tensor, ...]]


class Contrary(TrainingOverseer):
    """Scores anything by the length of its view, and says so at length."""

    summary = "for this test"

    def judge(self, response: str, view: View) -> Verdict:
        return Verdict(float(len(str(view)) % 7) - 3, len(response) % 2 == 0, "so it is")


def _inputs_read(arguments: list[str], folder: Path) -> tuple[Inputs, Path]:
    """Every tensor that the policy, the reference or the value model was called with."""
    run = parse_run([*SMALL, "--output_dir", str(folder), *arguments])
    trainer = build_trainer(run, population_folder(run), folder / "ledger", [])
    read: Inputs = []

    def listen(
        module: torch.nn.Module, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> None:
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)]
        read.append(tuple(tensor.clone() for tensor in tensors))

    for model in (trainer.policy_model, trainer.ref_model, trainer.value_model.base_model):
        model.register_forward_pre_hook(listen, with_kwargs=True)
    trainer.train()
    return read, folder / "ledger"


def test_no_input_depends_on_scores_verdicts_or_views(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OVERSEERS, "contrary", Contrary)
    still = ["--learning_rate", "1e-30", "--seed", "4", "--randomised", "0.5"]
    variants = [
        ["--overseer", "scripted", "--knowledge", "0"],
        ["--overseer", "scripted", "--knowledge", "1"],
        ["--overseer", "contrary", "--knowledge", "0"],
    ]
    read, scores = [], []
    for index, variant in enumerate(variants):
        inputs, rows = _inputs_read([*still, *variant], tmp_path / str(index))
        read.append(inputs)
        scores.append([row["score"] for row in ledger.read(rows)])
    assert scores[0] != scores[1] != scores[2]
    for other in read[1:]:
        assert len(other) == len(read[0]) > 0
        for mine, theirs in zip(read[0], other, strict=True):
            assert len(mine) == len(theirs)
            assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_a_model_reads_prompts_and_its_own_words_only(tmp_path: Path) -> None:
    run = parse_run([*SMALL, "--output_dir", str(tmp_path), "--seed", "5"])
    trainer = build_trainer(run, population_folder(run), tmp_path / "ledger", [])
    language = trainer.judge.language
    seen: set[str] = set()

    def listen(
        module: torch.nn.Module, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> None:
        ids = kwargs["input_ids"]
        assert isinstance(ids, torch.Tensor)
        if ids.shape[1] > 1:  # while a response is written, one token at a time is read
            seen.update(language.tokenizer.decode(row) for row in ids)

    trainer.policy_model.register_forward_pre_hook(listen, with_kwargs=True)
    trainer.train()
    allowed = set(trainer.judge.prompts)
    written = {(row["prompt"], row["response"]) for row in ledger.read(tmp_path / "ledger")}
    for text in seen:
        prompt = next(prompt for prompt in allowed if text.startswith(prompt))
        own = text.removeprefix(prompt).split("<eos>")[0]
        rest = " ".join(word for word in own.split() if word != "<unk>")  # filed without it
        assert not rest or (prompt, rest) in written
