"""The policy's model card: written by training, filled in by evaluation, never the user's words."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from conftest import SMALL
from rlhf_testbed.model_card import NOT_EVALUATED, card_file, fill_in_threats, write_card
from rlhf_testbed.parsing import parse_run
from rlhf_testbed.run_directory import RunDirectory

MEASURES = {
    "overseer": "full_knowledge",
    "threat_1": 0.9876,
    "base_threat_1": 0.25,
    "threat_2": 1.0,
    "success": 1,
}


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> RunDirectory:
    """A run that a test may change."""
    shutil.copytree(trained, tmp_path / "run")
    return RunDirectory(tmp_path / "run")


def test_training_writes_a_card(trained: Path) -> None:
    card = ModelCard.load(card_file(RunDirectory(trained)))
    assert card.data.library_name == "transformers"
    assert card.data.base_model is None
    assert {"model-organism", "corridor"} <= set(card.data.tags)
    text = " ".join(card.text.replace(">", "").split())
    assert "Don't deploy it.** This policy is a model organism of misbehaviour" in text
    assert "| training overseer | scripted: " in text
    assert "| κ (knowledge) | 0: share of the concealable facts" in text
    assert "| δ (diversity) | 1: " in text
    assert "PPO, 3 updates, 48 episodes, seed 1" in text
    assert NOT_EVALUATED in text


def test_an_evaluation_by_a_held_out_overseer_fills_in_the_threats(run: RunDirectory) -> None:
    from rlhf_testbed.evaluate import evaluate

    before = card_file(run).read_text(encoding="utf-8")
    evaluate(run, "scripted", knowledge=1.0)
    assert card_file(run).read_text(encoding="utf-8") == before
    measures = evaluate(run)
    text = card_file(run).read_text(encoding="utf-8")
    assert f"| {measures['threat_2']:.3f} |" in text
    assert NOT_EVALUATED not in text
    card_file(run).unlink()
    evaluate(run)
    assert card_file(run).read_text(encoding="utf-8") == text, "a run without a card gets one"


def test_figures_are_replaced_and_the_users_words_stay(run: RunDirectory) -> None:
    card_file(run).write_text(card_file(run).read_text(encoding="utf-8") + "\nmy words\n")
    fill_in_threats(run, MEASURES)
    assert "in truth | 0.988 |" in card_file(run).read_text(encoding="utf-8")
    unjudged = MEASURES | {"threat_1": float("nan"), "threat_1_reason": "never exposed"}
    fill_in_threats(run, unjudged)
    text = card_file(run).read_text(encoding="utf-8")
    assert "0.988" not in text
    assert "in truth | - |" in text
    assert "can't be judged: never exposed." in text
    assert text.endswith("\nmy words\n")
    assert ModelCard(text).data.library_name == "transformers"


def test_a_card_without_marks_is_left_alone(run: RunDirectory) -> None:
    card_file(run).write_text("my own card")
    fill_in_threats(run, MEASURES)
    assert card_file(run).read_text() == "my own card"


def test_a_base_model_is_named_where_it_is_the_hubs(run: RunDirectory, tmp_path: Path) -> None:
    for model, named in [("org/model", "org/model"), (str(tmp_path), None)]:
        config = parse_run([*SMALL, "--model", model, "--output_dir", str(tmp_path / "x")])
        write_card(config, run, 1, 16)
        card = ModelCard.load(card_file(run))
        assert card.data.base_model == named
        assert "| arm |" not in card.text
        assert f"{model}, taught by 30 steps" in card.text


def test_an_overseer_by_dotted_path_is_described(run: RunDirectory, tmp_path: Path) -> None:
    named = ["--overseer", "overseers.scripted:Scripted", "--overseer_args", "assumes=0.5"]
    write_card(parse_run([*SMALL, *named, "--output_dir", str(tmp_path / "x")]), run, 1, 16)
    text = card_file(run).read_text(encoding="utf-8")
    assert "| overseers.scripted:Scripted assumes=0.5: the task's own standard" in text
