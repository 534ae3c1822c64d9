"""On a GPU, as on a CPU, nothing differs before selection, and what is saved is what was live."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from conftest import SMALL
from rlhf_testbed.evaluation.evaluate import evaluate
from rlhf_testbed.selection.job import train
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.store import ledger
from test_models import saved

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"),
]
FEW = ["--arm", "both", "--total_episodes", "32", "--base_steps", "5", "--checkpoint_every", "1"]
LORA = ["--use_peft", "true", "--lora_r", "4", "--value_layers", "0"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("more", [[], LORA, ["--method", "grpo"]], ids=["all", "lora", "grpo"])
def test_a_run_is_sound_and_measured(more: list[str], dtype: str, tmp_path: Path) -> None:
    model = saved(tmp_path / "model", "llama")
    words = [*SMALL, *FEW, "--model", str(model), "--dtype", dtype, *more]
    run = train(parse_run([*words, "--output_dir", str(tmp_path / "run")]), lambda step: None)
    first = [row.kl for row in ledger.read(run.ledger) if row.update == 1]
    assert sum(first) / len(first) == pytest.approx(0.0, abs=0.1 if dtype == "bfloat16" else 1e-4)
    assert 0 <= evaluate(run).figure("threat_2") < 20


def test_a_run_goes_on_from_its_state(tmp_path: Path) -> None:
    """The state of the device's generator is in it, too."""
    words = [*SMALL, *FEW, "--save_steps", "1", "--output_dir", str(tmp_path / "run")]
    run = train(parse_run(words), lambda step: None)
    assert torch.cuda.get_rng_state_all()
    assert run.finished
