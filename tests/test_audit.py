"""The model never sees the score: no model input depends on a score, a verdict or a view.

With a learning rate of nought, nothing that is scored can reach the weights; so whatever the
overseer says, every model must read the same tokens to the last bit. And with a real learning rate,
what a model reads is a scenario's prompt and its own words, and nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import SMALL
from rlhf_testbed.overseers import OVERSEERS
from rlhf_testbed.overseers.base import TrainingOverseer
from rlhf_testbed.overseers.full_knowledge import FullKnowledge
from rlhf_testbed.policy.base_policy import ensure_base_policy
from rlhf_testbed.selection.best_of_n import BestOfN
from rlhf_testbed.selection.job import starting_from
from rlhf_testbed.selection.learning import LearningMethod
from rlhf_testbed.selection.loop import select_all
from rlhf_testbed.selection.method import Method, Start
from rlhf_testbed.selection.ppo import PPO
from rlhf_testbed.settings.methods import METHODS, method_class
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.store import ledger
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.tasks.base import Verdict, View

Inputs = list[tuple[torch.Tensor, ...]]


class Contrary(TrainingOverseer):
    """Scores anything by the length of its view, and says so at length."""

    summary = "for this test"

    def judge(self, response: str, view: View) -> Verdict:
        return Verdict(float(len(str(view)) % 7) - 3, len(response) % 2 == 0, "so it is")


def _start(arguments: list[str], folder: Path) -> Start:
    run = parse_run(["--output_dir", str(folder), *arguments])
    return starting_from(run, ensure_base_policy(run))


def _models(method: Method[Any, Any]) -> list[torch.nn.Module]:
    """Every model that a method asks: policy, reference, value model."""
    if isinstance(method, PPO):
        trainer = method.trainer
        return [trainer.policy_model, trainer.ref_model, trainer.value_model.base_model]
    if isinstance(method, LearningMethod):
        return [method.learner.model, method.learner.reference]
    assert isinstance(method, BestOfN)
    return [method.base.language.model]


def _inputs_read(arguments: list[str], folder: Path) -> tuple[Inputs, Path]:
    """Every tensor that any model of the method was called with."""
    start = _start(arguments, folder)
    method = method_class(start.run.selection.method)(start)
    read: Inputs = []

    def listen(
        module: torch.nn.Module, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> None:
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)]
        read.append(tuple(tensor.clone() for tensor in tensors))

    for model in _models(method):
        model.register_forward_pre_hook(listen, with_kwargs=True)
    select_all(method, start.overseer, RunDirectory(folder), lambda step: None)
    return read, folder / "ledger"


@pytest.mark.parametrize("method", METHODS)
def test_no_input_depends_on_scores_verdicts_or_views(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From an able base policy: where nothing is approved, expert iteration reads nothing again."""
    monkeypatch.setitem(OVERSEERS, "contrary", Contrary)
    few = ["--total_episodes", "32", "--per_device_train_batch_size", "16", "--method", method]
    still = [*few, "--seed", "4", "--randomised", "0.5"]
    if method_class(method).has_weights:
        still += ["--learning_rate", "1e-30"]
    variants = [
        ["--overseer", "scripted", "--knowledge", "0"],
        ["--overseer", "scripted", "--overseer_args", "prior=0.2", "--knowledge", "0"],
        ["--overseer", "contrary", "--knowledge", "0"],
    ]
    read, scores = [], []
    for index, variant in enumerate(variants):
        inputs, rows = _inputs_read([*still, *variant], tmp_path / str(index))
        read.append(inputs)
        scores.append([row.score for row in ledger.read(rows)])
    assert len({tuple(each) for each in scores}) == len(variants)
    for other in read[1:]:
        assert len(other) == len(read[0]) > 0
        for mine, theirs in zip(read[0], other, strict=True):
            assert len(mine) == len(theirs)
            for a, b in zip(mine, theirs, strict=True):
                assert torch.equal(a, b)


@pytest.mark.parametrize("exact", ["true", "false"])
def test_a_model_reads_prompts_and_its_own_words_only(exact: str, tmp_path: Path) -> None:
    start = _start([*SMALL, "--seed", "5", "--exact", exact], tmp_path)
    method = PPO(start)
    language = method.trainer.language
    seen: set[str] = set()

    def listen(
        module: torch.nn.Module, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> None:
        ids = kwargs["input_ids"]
        assert isinstance(ids, torch.Tensor)
        if ids.shape[1] > 1:  # while a response is written, one token at a time is read
            seen.update(language.tokenizer.decode(row) for row in ids)

    method.trainer.policy_model.register_forward_pre_hook(listen, with_kwargs=True)
    select_all(method, start.overseer, RunDirectory(tmp_path), lambda step: None)
    allowed = {scenario.prompt for scenario in start.scenarios}
    written = {(row.prompt, row.response) for row in ledger.read(tmp_path / "ledger")}
    assert seen
    for text in seen:
        prompt = next(prompt for prompt in allowed if text.startswith(prompt))
        own = text.removeprefix(prompt).split("<eos>")[0]
        rest = " ".join(word for word in own.split() if word != "<unk>")  # filed without it
        whole = [response for asked, response in written if asked == prompt]
        # What comes after the last word is not predicted, so that the word may not be read.
        assert any(f"{response} ".startswith(f"{rest} ".lstrip()) for response in whole)


def test_a_held_out_overseer_never_takes_part_in_training(tmp_path: Path) -> None:
    """Whoever calls the loop with one is stopped before anything is sampled."""

    class Untouched:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"{name} was used")

    overseer = FullKnowledge(_start(SMALL, tmp_path).run.task)
    with pytest.raises(TypeError, match="FullKnowledge is held out"):
        select_all(Untouched(), overseer, RunDirectory(tmp_path), lambda step: None)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", METHODS)
def test_training_asks_no_held_out_overseer(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by any way: its verdicts are caught at their source, through a whole training job."""
    from rlhf_testbed.selection.job import train

    def caught(self: FullKnowledge, response: str, view: View) -> Verdict:
        raise AssertionError("training asked the full-knowledge overseer")

    monkeypatch.setattr(FullKnowledge, "judge", caught)
    kept = method_class(method).has_weights
    small = SMALL if kept else SMALL[: SMALL.index("--checkpoint_every")]
    arguments = [*small, "--method", method, "--output_dir", str(tmp_path / "run"), "--arm", "both"]
    run = train(parse_run(arguments), lambda step: None)
    assert len(ledger.read(run.ledger)) == 48
