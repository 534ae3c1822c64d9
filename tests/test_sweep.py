"""Every option that `--help` lists, with values that can't be: one line each, and nothing taken.

Each is tried with a wrong type, out of range on either side, an absent file and an empty text. A
text that can be read is trained with, too, and so is the largest of a number without a bound.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from conftest import SMALL
from rlhf_testbed.selection.job import train
from rlhf_testbed.settings.methods import METHODS, method_class
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.settings.run import (
    BasePolicySettings,
    EvaluationSettings,
    ExperimentSettings,
    SelectionSettings,
    StudySettings,
)
from rlhf_testbed.shared.errors import UsageError

OWN = (
    StudySettings,
    BasePolicySettings,
    SelectionSettings,
    EvaluationSettings,
    ExperimentSettings,
)
pytestmark = pytest.mark.slow

NUMBERS = ("-1", "0", "nan", "inf", "1e308", "1e18", "1.5")
ODD = (*NUMBERS, "nonsense", "/nowhere/at/all", "", " ", "κ\x00")
FREE = {"run_name", "project", "model_revision", "output_dir"}
"""Texts that mean what anybody wants; a revision counts where a model is named."""
FEW = ["--total_episodes", "16", "--base_steps", "2", "--demonstrations", "64"]


def options(method: str) -> dict[str, Any]:
    """The options of a run with that method, by name."""
    kinds = (*OWN, method_class(method).settings)
    return {field.name: field for kind in kinds for field in dataclasses.fields(kind)}


def tried() -> list[tuple[str, str]]:
    """Each option once, with the first method that has it; one that another method has under the
    same name with another meaning, again."""
    first = {
        (name, field.metadata.get("help")): (method, name)
        for method in reversed(METHODS)
        for name, field in options(method).items()
    }
    return list(first.values())


TRIED = tried()
TEXTS = {
    *("task", "overseer", "overseer_args", "arm", "model_name_or_path", "model_revision"),
    *("method", "run_name", "project"),
    *("lora_target_modules", "lora_target_parameters", "lora_modules_to_save"),
}
"""Options of which a text may be readable and yet name nothing: they are trained with."""
EXTREME = {
    *("learning_rate", "kl_coef", "vf_coef", "temperature", "weight_decay", "adam_epsilon"),
    *("cliprange", "cliprange_value", "missing_eos_penalty", "base_learning_rate"),
    *("beta", "epsilon", "epsilon_high"),
}
"""Numbers without an upper bound: the largest is trained with."""


def _refusal(words: list[str], trained: bool) -> str:
    """What refuses these words, in one line; empty where they were taken."""
    try:
        run = parse_run(words)
        if trained:
            train(run, lambda step: None)
    except UsageError as error:
        said = str(error)
        assert said
        assert "\n" not in said
        return said
    return ""


@pytest.mark.parametrize(("method", "name"), TRIED)
def test_an_option_with_values_that_cannot_be(method: str, name: str, tmp_path: Path) -> None:
    trains = method_class(method).has_weights
    small = SMALL if trains else SMALL[: SMALL.index("--checkpoint_every")]
    taken = []
    for at, value in enumerate(ODD):
        words = [*small, *FEW, "--method", method, f"--{name}", value]
        if name != "output_dir":
            words += ["--output_dir", str(tmp_path / str(at))]
        if name.startswith("lora"):
            words += ["--use_peft", "true"]
        trained = name in TEXTS or (name in EXTREME and value == "1e18")
        if not _refusal(words, trained):
            taken.append(value)
    assert "" not in taken, "an empty text was taken"
    assert " " not in taken or name in FREE, "a blank was taken"
    assert len(taken) < len(ODD), f"{name} takes anything"
    if name not in {*TEXTS, "output_dir"}:
        assert "nonsense" not in taken
        assert "/nowhere/at/all" not in taken


def test_how_many_options_there_are() -> None:
    """So that the sweep is known to be one over all."""
    assert {method for method, _ in TRIED} >= set(METHODS) - {"raft"}  # it has none of its own
    assert len({name for _, name in TRIED}) > 65
