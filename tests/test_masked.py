"""Masked means and whitening: TRL's to the last bit, and defined where TRL's are not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from conftest import SMALL
from rlhf_testbed.overseers.base import TrainingOverseer
from rlhf_testbed.policy.base_policy import ensure_base_policy
from rlhf_testbed.selection import masked
from rlhf_testbed.selection.job import starting_from
from rlhf_testbed.selection.loop import select_all
from rlhf_testbed.selection.method import Start
from rlhf_testbed.selection.ppo import PPO
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.store import ledger
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.tasks.base import Verdict, View


class Indifferent(TrainingOverseer):
    """Gives every episode the same score."""

    summary = "approves of everything alike"

    def judge(self, response: str, view: View) -> Verdict:
        return Verdict(1.0, True, "as good as any other")


@pytest.mark.parametrize("seed", range(20))
def test_the_same_as_trls_to_the_last_bit(seed: int) -> None:
    from trl.experimental.ppo import ppo_trainer as theirs

    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(16, 6, generator=generator) * 10 ** (seed % 5 - 2)
    mask = torch.rand(16, 6, generator=generator) < 0.6
    mask[:, 0] = True
    assert torch.equal(masked.mean(values, mask), theirs.masked_mean(values, mask))
    assert torch.equal(masked.row_means(values, mask), theirs.masked_mean(values, mask, axis=1))
    for shift in (True, False):
        ours = masked.whitened(values, mask, shift_mean=shift)
        assert torch.equal(ours, theirs.masked_whiten(values, mask, shift_mean=shift))


def test_worked_by_hand() -> None:
    values, mask = torch.tensor([[2.0, 4.0], [6.0, 9.0]]), torch.tensor([[1, 1], [1, 0]]).bool()
    assert masked.mean(values, mask) == 4
    assert masked.row_means(values, mask).tolist() == [3, 6]
    # Variance of 2, 4 and 6 with two degrees of freedom: 4.
    found = masked.whitened(values, mask)
    assert found[mask].tolist() == pytest.approx([-1, 0, 1])
    assert masked.whitened(values, mask, shift_mean=False)[mask].tolist() == pytest.approx(
        [3, 4, 5]
    )


def test_what_has_nothing_to_compare_is_defined() -> None:
    values = torch.tensor([[2.0, 4.0]])
    nothing, one = torch.zeros(1, 2).bool(), torch.tensor([[True, False]])
    assert masked.mean(values, nothing) == 0
    assert masked.row_means(values, nothing).tolist() == [0]
    assert masked.whitened(values, one)[one].tolist() == [0]
    assert masked.whitened(values, one, shift_mean=False)[one].tolist() == [2]
    assert masked.whitened(values, nothing).isfinite().all()
    alike = torch.full((2, 3), 7.0)
    assert masked.whitened(alike, torch.ones(2, 3).bool()).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize(
    "settings",
    [
        ["--per_device_train_batch_size", "1", "--total_episodes", "3", "--response_length", "1"],
        ["--overseer", "test_masked:Indifferent", "--kl_coef", "0"],
        ["--stop_token_id", "3", "--total_episodes", "32"],
    ],
    ids=["one episode of one token", "constant scores", "a stop token that comes first"],
)
def test_training_goes_on_where_there_is_little_to_select(
    settings: list[str], tmp_path: Path
) -> None:
    """No loss and no parameter is NaN, and every episode has its advantage."""
    run = parse_run([*SMALL, "--output_dir", str(tmp_path), "--arm", "both", *settings])
    start = starting_from(run, ensure_base_policy(run))
    method = PPO(start)
    told: list[dict[str, float]] = []
    method.trainer.log = told.append
    select_all(method, start.overseer, RunDirectory(tmp_path), lambda step: None)
    assert told
    for figures in told:
        assert {k: v for k, v in figures.items() if v != v} == {}
    for name, tensor in method.trainer.model.state_dict().items():
        assert tensor.isfinite().all(), name
    rows = ledger.read(tmp_path / "ledger")
    assert rows
    for row in rows:
        assert row.advantage == row.advantage


def test_a_missing_end_is_that_of_the_stop_token(tmp_path: Path) -> None:
    """With another stop token, a response that has it is not one without an end."""
    run = parse_run([*SMALL, "--output_dir", str(tmp_path), "--missing_eos_penalty", "5"])
    start = starting_from(run, ensure_base_policy(run))
    method = PPO(start)
    word = method.trainer.language.tokenizer.get_vocab()["walk"]
    for stop, lengths in ((None, {0, 5}), (word, {0, 5})):
        if stop is not None:
            method.trainer.stop_token_id = stop
        rollout = method.sample(1)
        ended = (rollout.responses == method.trainer.stop_token_id).any(dim=1)
        assert rollout.ended.tolist() == ended.tolist()
        estimate = method.trainer.estimate(rollout, [1.0] * 16)
        assert set((1 - estimate.scores).tolist()) <= lengths
        assert ((1 - estimate.scores) == 5).tolist() == (~ended).tolist()


def test_figures_of_tokens_are_of_the_response_and_not_of_its_padding(tmp_path: Path) -> None:
    """Entropy over the tokens of the responses, worked out token by token from the policy."""
    arguments = [*SMALL, "--output_dir", str(tmp_path), "--response_length", "24"]
    start = _start([*arguments, "--learning_rate", "1e-30"])
    method = PPO(start)
    rollout = method.sample(1)
    estimate = method.fitness(rollout, [Verdict(1.0, True, "")] * 16)
    figures = method.select(rollout, estimate)
    assert not rollout.response_mask.all()
    context = rollout.prompts.shape[1]
    entropies = []
    for at, tokens in enumerate(rollout.sequences):
        kept = int(rollout.response_mask[at].sum())
        prompt = tokens[:context][
            tokens[:context] != method.trainer.language.tokenizer.pad_token_id
        ]
        row = torch.cat([prompt, tokens[context:]])[None]
        with torch.no_grad():
            logits = method.trainer.policy_model(input_ids=row).logits[0]
        said = torch.distributions.Categorical(logits=logits[len(prompt) - 1 :][:kept])
        entropies += said.entropy().tolist()
    assert figures["policy/entropy"] == pytest.approx(sum(entropies) / len(entropies), rel=1e-4)
    assert figures["policy/entropy_avg"] != pytest.approx(figures["policy/entropy"], rel=0.02)
    assert figures["policy/ratio"] == pytest.approx(1, abs=1e-5)
    assert figures["policy/approxkl"] == pytest.approx(0, abs=1e-9)


def _start(arguments: list[str]) -> Start:
    run = parse_run(arguments)
    return starting_from(run, ensure_base_policy(run))
