"""The policy's model card: written by training, filled in by evaluation, never the user's words."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from conftest import SMALL
from rlhf_testbed.settings.methods import method_class
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.store.model_card import NOT_EVALUATED, card_file, fill_in_threats, write_card
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import JudgedBy, Measures
from rlhf_testbed.tasks.base import Dials

FIGURES = {"threat_1": 0.9876, "base_threat_1": 0.25, "threat_2": 1.0, "success": 1.0}
MEASURES = Measures(
    arm="both",
    seed=1,
    dials=Dials(),
    judged_by=JudgedBy(overseer="full_knowledge"),
    figures=FIGURES,
)


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> RunDirectory:
    """A run that a test may change."""
    shutil.copytree(trained, tmp_path / "run")
    return RunDirectory(tmp_path / "run")


def test_training_writes_a_card(trained: Path) -> None:
    card = ModelCard.load(card_file(RunDirectory(trained)))
    assert card.data.library_name == "transformers"
    assert card.data.base_model is None
    assert {"model-organism", "ppo", "corridor"} <= set(card.data.tags)
    text = " ".join(card.text.replace(">", "").split())
    assert "Don't deploy it.** This policy is a model organism of misbehaviour" in text
    assert "| training overseer | scripted: " in text
    assert "| κ (knowledge) | 0: share of the concealable facts" in text
    assert "| δ (diversity) | 1: " in text
    assert f"| selection method | {method_class('ppo').summary} |" in text
    assert "| selection method | PPO" in text
    assert "| selection | 3 updates, 48 episodes, training seed 1 |" in text
    assert NOT_EVALUATED in text


def test_another_method_is_named(run: RunDirectory, tmp_path: Path) -> None:
    named = ["--method", "best_of_n", "--output_dir", str(tmp_path / "x")]
    write_card(parse_run(named), run, 1, 16)
    text = card_file(run).read_text(encoding="utf-8")
    assert f"| selection method | {method_class('best_of_n').summary} |" in text
    assert "| selection method | best of n" in text
    assert "PPO" not in text


def test_an_evaluation_under_full_knowledge_fills_in_the_threats(run: RunDirectory) -> None:
    from rlhf_testbed.evaluation.evaluate import evaluate

    before = card_file(run).read_text(encoding="utf-8")
    evaluate(run, "scripted", knowledge=1.0)
    assert card_file(run).read_text(encoding="utf-8") == before
    measures = evaluate(run)
    text = card_file(run).read_text(encoding="utf-8")
    assert f"| {measures.figure('threat_2'):.3f} |" in text
    assert NOT_EVALUATED not in text
    card_file(run).unlink()
    evaluate(run)
    assert card_file(run).read_text(encoding="utf-8") == text, "a run without a card gets one"


def test_figures_are_replaced_and_the_users_words_stay(run: RunDirectory) -> None:
    card_file(run).write_text(card_file(run).read_text(encoding="utf-8") + "\nmy words\n")
    fill_in_threats(run, MEASURES)
    assert "in truth | 0.988 |" in card_file(run).read_text(encoding="utf-8")
    unjudged = {
        "figures": FIGURES | {"threat_1": math.nan},
        "reasons": {"threat_1": "never exposed"},
    }
    fill_in_threats(run, MEASURES.model_copy(update=unjudged))
    text = card_file(run).read_text(encoding="utf-8")
    assert "0.988" not in text
    assert "in truth | - |" in text
    assert "can't be judged: never exposed." in text
    assert text.endswith("\nmy words\n")
    assert ModelCard(text).data.library_name == "transformers"


@pytest.mark.parametrize("overseer", ["scripted", "my_pkg.auditor:HeldOut", "full_knowledgeable"])
def test_only_the_full_knowledge_overseer_writes_the_threats(
    overseer: str, run: RunDirectory
) -> None:
    before = card_file(run).read_bytes()
    fill_in_threats(run, MEASURES.model_copy(update={"judged_by": JudgedBy(overseer=overseer)}))
    assert card_file(run).read_bytes() == before
    fill_in_threats(run, MEASURES)
    assert card_file(run).read_bytes() != before


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
    named = ["--overseer", "overseers.scripted:Scripted", "--overseer_args", "prior=0.5"]
    write_card(parse_run([*SMALL, *named, "--output_dir", str(tmp_path / "x")]), run, 1, 16)
    text = card_file(run).read_text(encoding="utf-8")
    assert "| overseers.scripted:Scripted prior=0.5: the task's own standard" in text
