"""The checks of every run: what breaks a run's numbers is told in a line, and not measured."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import SMALL
from rlhf_testbed.measures.goodness_of_fit import fit
from rlhf_testbed.policy.base_policy import ensure_base_policy
from rlhf_testbed.policy.drawn import fitting, fresh
from rlhf_testbed.policy.language import load_language
from rlhf_testbed.selection import ppo_fast, ppo_rollout, ppo_trainer
from rlhf_testbed.selection.generators import generators
from rlhf_testbed.selection.job import starting_from, train
from rlhf_testbed.selection.ppo import PPO
from rlhf_testbed.selection.soundness import Checks, Kept
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.tasks.base import Dials
from rlhf_testbed.tasks.corridor import Corridor
from test_models import saved

FEW = [
    *SMALL,
    *("--arm", "both", "--total_episodes", "128", "--per_device_train_batch_size", "64"),
    *("--learning_rate", "1e-2"),
]
TIED = {"tie_word_embeddings": True}
ADAPTED = ["--base_steps", "5", "--use_peft", "true", "--lora_r", "4"]
ENDS = ["--lora_target_modules", "embed_tokens", "lm_head"]


def _refused(folder: Path, *more: str) -> str:
    with pytest.raises(UsageError) as told:
        train(parse_run([*FEW, "--output_dir", str(folder), *more]), lambda step: None)
    assert "\n" not in str(told.value)
    assert str(told.value).startswith(f"{folder}: ")
    return str(told.value)


def test_places_of_samples_tell_what_they_were_drawn_from() -> None:
    rng = np.random.default_rng(0)
    chances = rng.dirichlet(np.full(50, 0.3), size=256)
    sharper = chances**2 / (chances**2).sum(axis=1, keepdims=True)
    flatter = chances**0.3 / (chances**0.3).sum(axis=1, keepdims=True)

    def drawn(source: Any) -> list[int]:
        return [int(rng.choice(50, p=row)) for row in source]

    assert fit(chances, drawn(sharper)) < 1e-6
    assert fit(chances, drawn(flatter)) < 1e-6
    assert math.isnan(fit(chances[:7], [0] * 7))


def test_samples_that_fit_are_hardly_ever_refused() -> None:
    """p is even: of 400 tests about one in a hundred is below 0.01, and none below a millionth."""
    rng = np.random.default_rng(1)
    found = []
    for count in (16, 32, 64):
        for _ in range(400):
            chances = rng.dirichlet(np.full(20, 0.3), size=count)
            found.append(fit(chances, [int(rng.choice(20, p=row)) for row in chances]))
    assert min(found) > 1e-5
    assert 0.002 < np.mean(np.array(found) < 0.01) < 0.025


def test_sampling_that_is_not_the_policys_own_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a `generation_config.json` with a temperature of 0.7 once did."""
    own = ppo_fast.sampled

    def sharper(*given: Any, **named: Any) -> Any:
        return own(*given[:-1], 0.7 * given[-1], **named)

    monkeypatch.setattr(ppo_fast, "sampled", sharper)
    told = _refused(tmp_path / "run")
    assert "before any selection the KL from the base policy is" in told
    assert "(model family llama: " in told
    assert not (tmp_path / "run").exists()


def test_samples_that_dont_fit_their_probabilities_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Likelier tokens are drawn than the logits say, of which KL shows nothing."""
    own = ppo_fast.sampled

    def greedy(model: Any, ids: Any, mask: Any, length: int, temperature: float) -> Any:
        tokens, logits = own(model, ids, mask, length, 0.1)
        return tokens, logits * 0.1 / temperature

    monkeypatch.setattr(ppo_fast, "sampled", greedy)
    told = _refused(tmp_path / "run")
    assert "before any selection the policy's samples don't fit its exact probabilities" in told


def test_dropout_that_stays_on_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ppo_rollout, "switch_dropout_off", lambda model: None)
    model = saved(tmp_path / "model", "llama", attention_dropout=0.3)
    told = _refused(tmp_path / "run", "--model", str(model), "--base_steps", "5")
    assert "before any selection" in told
    assert "dropout that stays on" in told


def test_a_saved_policy_that_is_not_the_trained_one_is_refused_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As peft merges adapters of tied embeddings."""
    monkeypatch.setattr(ppo_trainer, "merged", lambda policy: policy.merge_and_unload())
    model = saved(tmp_path / "model", "llama", **TIED)
    told = _refused(tmp_path / "run", "--model", str(model), *ADAPTED, *ENDS)
    assert "the saved policy is not the one that was trained: log-probabilities differ by" in told
    assert told.endswith("; the adapter alone is exact)")
    run = RunDirectory(tmp_path / "run")
    assert run.adapter.is_dir()
    assert run.policy.is_dir()
    assert not run.finished


@pytest.mark.parametrize("ends", [ENDS, [*ENDS[:1], "lm_head", "q_proj"]], ids=" ".join)
def test_lora_on_tied_embeddings_is_saved_as_it_was_trained(
    ends: list[str], tmp_path: Path
) -> None:
    """And its checkpoints are read on the run's own base policy, wherever it was trained."""
    model = saved(tmp_path / "model", "llama", **TIED)
    words = [*FEW, "--model", str(model), *ADAPTED, *ends, "--checkpoint_every", "1"]
    run = train(parse_run([*words, "--output_dir", str(tmp_path / "run")]), lambda step: None)
    policy = load_language(str(run.policy))
    assert policy.model.config.tie_word_embeddings is False
    task = Corridor()
    scenarios = task.scenarios(Dials(), 1, "train", 4)
    kept = Kept.of(policy, task, scenarios)
    file = run.checkpoint(1) / "adapter_config.json"
    told = json.loads(file.read_text()) | {"base_model_name_or_path": str(tmp_path / "gone")}
    file.write_text(json.dumps(told))
    from rlhf_testbed.policy.language_policy import LanguagePolicy

    base = LanguagePolicy.of(load_language(str(run.base)), task)
    updates = dict(PPO.checkpoints(run.settings(), run, base))
    assert list(updates) == [1, 2]
    first = updates[1]
    assert isinstance(first, LanguagePolicy)
    assert kept.difference(first.language) > 0.01


@pytest.mark.parametrize("more", [[], ["--exact", "true"], ["--temperature", "0.7"]], ids=" ".join)
def test_the_checks_pass_and_disturb_nothing(more: list[str], tmp_path: Path) -> None:
    run = parse_run([*FEW, "--output_dir", str(tmp_path / "run"), *more])
    start = starting_from(run, ensure_base_policy(run))
    method = PPO(start)
    checks = Checks(method, start, RunDirectory(tmp_path / "run"))
    with method.under_way():
        rollout = method.sample(1)
        before = generators()
        weights = [each.detach().clone() for each in method.trainer.model.parameters()]
        checks.start(rollout, [0.0] * 64)
        assert generators() == before
        after = list(method.trainer.model.parameters())
        assert all(torch.equal(one, other) for one, other in zip(weights, after, strict=True))
        assert all(each.grad is None for each in after)
        begun = method.begun(rollout)
    assert begun is not None
    assert begun.ratio < 1e-4
    assert (begun.drawn is None) == ("--temperature" in more)


def test_what_a_policy_draws_fits_what_it_is_scored_by(trained: Path) -> None:
    task = Corridor()
    language = load_language(str(trained / "policy"))
    drawn = fresh(language, task.scenarios(Dials(), 1, "train", 64), 6)
    assert fitting(drawn, task) > 1e-4
    other = drawn._replace(ids=[list(language.response_ids(task.responses[0]))] * 64)
    assert fitting(other, task) < 1e-6
