"""Every option that `--help` lists, with values that can't be: one line each, and nothing taken.

Each is tried with a wrong type, out of range on either side, an absent file and an empty text. What
can be read is then trained with, and must do so, or be refused in one line before any training.
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
ODD = ("nonsense", "-1", "0", "nan", "inf", "1e308", "1.5", "/nowhere/at/all", "", " ", "κ\x00")
FREE = {"run_name", "project", "model_revision"}
"""Texts that mean what anybody wants; a revision counts where a model is named."""
FEW = ["--total_episodes", "16", "--base_steps", "2", "--demonstrations", "64"]


def options(method: str) -> dict[str, Any]:
    """The options of a run with that method, by name."""
    kinds = (*OWN, method_class(method).settings)
    return {field.name: field for kind in kinds for field in dataclasses.fields(kind)}


TRIED = [(method, name) for method in METHODS for name in options(method)]


def _line(error: UsageError) -> str:
    said = str(error)
    assert said
    assert "\n" not in said
    return said


@pytest.mark.slow
@pytest.mark.parametrize(("method", "name"), TRIED)
def test_an_option_with_values_that_cannot_be(method: str, name: str, tmp_path: Path) -> None:
    refused, read = 0, []
    small = SMALL if method == "ppo" else SMALL[: SMALL.index("--checkpoint_every")]
    for at, value in enumerate(ODD):
        words = [*small, *FEW, "--method", method]
        if name != "output_dir":
            words += ["--output_dir", str(tmp_path / str(at))]
        try:
            run = parse_run([*words, f"--{name}", value])
        except UsageError as error:
            _line(error)
            refused += 1
            continue
        read.append(value)
        if name == "output_dir" and not value.startswith("/"):
            continue  # a folder may have any name
        if name in ("total_episodes", "demonstrations", "train_scenarios", "seeds"):
            continue
        try:
            train(run, lambda step: None)
        except UsageError as error:
            _line(error)
            refused += 1
    assert refused + len(read) >= len(ODD)
    assert refused or name in FREE, f"{name} takes {read}"


def test_how_many_options_there_are() -> None:
    """So that the sweep is known to be one over all."""
    assert len({name for _, name in TRIED}) == len(TRIED) - sum(
        len(dataclasses.fields(kind)) for kind in OWN
    ) * (len(METHODS) - 1)
    assert len(TRIED) > 90
