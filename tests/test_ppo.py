"""The trainer: our `train()` in steps is TRL's own `train()`, to the last bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from conftest import SMALL
from rlhf_testbed.parsing import parse_run
from rlhf_testbed.population import population_folder
from rlhf_testbed.ppo import SelectionTrainer
from rlhf_testbed.train import build_trainer


def _trained_weights(arguments: list[str], folder: Path, *, stock: bool) -> dict[str, torch.Tensor]:
    run = parse_run([*SMALL, "--output_dir", str(folder), *arguments])
    trainer = build_trainer(run, population_folder(run), folder / "ledger", [])
    if stock:
        super(SelectionTrainer, trainer).train()
    else:
        trainer.train()
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}


@pytest.mark.parametrize(
    "variation",
    [
        [],
        ["--num_mini_batches", "2", "--gradient_accumulation_steps", "2"],
        ["--whiten_rewards", "true", "--kl_estimator", "k3", "--missing_eos_penalty", "1.0"],
        ["--local_rollout_forward_batch_size", "8", "--lr_scheduler_type", "linear"],
        ["--use_peft", "true"],
    ],
    ids=["default", "minibatches", "whitened", "rollout slices", "lora"],
)
def test_train_in_steps_equals_the_stock_train(variation: list[str], tmp_path: Path) -> None:
    arguments = ["--arm", "both", "--seed", "2", *variation]
    stock = _trained_weights(arguments, tmp_path / "stock", stock=True)
    ours = _trained_weights(arguments, tmp_path / "ours", stock=False)
    assert stock.keys() == ours.keys()
    for name, tensor in stock.items():
        assert torch.equal(tensor, ours[name]), name


def test_another_seed_gives_other_parameters(tmp_path: Path) -> None:
    """The comparison above can fail."""
    one = _trained_weights(["--seed", "2"], tmp_path / "one", stock=False)
    other = _trained_weights(["--seed", "3"], tmp_path / "other", stock=False)
    assert any(not torch.equal(tensor, other[name]) for name, tensor in one.items())
