"""Every setting that `--help` lists has an effect: change each, and see what changes.

A tiny run with one setting changed is held against the same run without it: its generations, its
weights, its files, and what its trainer was told. A new setting has to be added to `CHANGED`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import shutil
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from rlhf_testbed.evaluation.evaluate import evaluate
from rlhf_testbed.experiment.plan import plan
from rlhf_testbed.policy import base_shelves
from rlhf_testbed.policy.base_policy import build, recipe
from rlhf_testbed.selection import job
from rlhf_testbed.selection.method import Method
from rlhf_testbed.settings.methods import METHODS, method_class
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.settings.run import (
    BasePolicySettings,
    EvaluationSettings,
    ExperimentSettings,
    RunConfig,
    SelectionSettings,
    StudySettings,
)
from rlhf_testbed.store.run_directory import RunDirectory
from test_language_models import CHAT
from test_train import saved_model

pytestmark = pytest.mark.slow

TINY = {
    "base_steps": "150",
    "demonstrations": "4800",
    "base_learning_rate": "0.003",
    "total_episodes": "64",
    "per_device_train_batch_size": "32",
    "train_scenarios": "64",
    "held_out_scenarios": "8",
    "off_distribution_scenarios": "8",
    "generations": "48",
}
"""Able enough that scores differ, small enough for a second."""
PEFT = {"use_peft": "true"}
GRPO = {"method": "grpo"}
MODEL = {"model_name_or_path": "MODEL", "base_steps": "5"}
"""A model that chats."""
KEPT = {"lr_scheduler_type": "constant"}
"""With this a run keeps its states when it has finished."""


class Change(NamedTuple):
    """Another value of a setting, and what must be set beside it to matter."""

    value: str
    beside: Mapping[str, str] = {}


TRAINING = {
    "task": Change("inspection"),
    "task_args": Change("faults_in_sight=0.1", {"task": "inspection"}),
    "overseer": Change("noisy"),
    "overseer_args": Change("prior=0.1", {"knowledge": "0"}),
    "arm": Change("neither"),
    "knowledge": Change("0.5", {"randomised": "1"}),
    "randomised": Change("1"),
    "diversity": Change("0.2"),
    "unintended_share": Change("0.9"),
    "base_policy": Change("build", {"base_seed": "77"}),
    "model_name_or_path": Change("MODEL", {"base_steps": "5"}),
    "model_revision": Change("other", MODEL),
    "dtype": Change("bfloat16"),
    "chat_template": Change("false", MODEL),
    "base_lora_r": Change("4", MODEL),
    "base_lora_layers": Change("1", {**MODEL, "base_lora_r": "4"}),
    "base_patience": Change("1", MODEL),
    "attn_implementation": Change("sdpa"),
    "demonstrations": Change("3200"),
    "base_steps": Change("100"),
    "base_batch_size": Change("16"),
    "base_learning_rate": Change("0.001"),
    "base_seed": Change("5"),
    "method": Change("best_of_n"),
    "scores": Change("shuffled"),
    "seed": Change("9"),
    "output_dir": Change("OTHER"),
    "total_episodes": Change("96"),
    "per_device_train_batch_size": Change("16"),
    "train_scenarios": Change("48"),
    "response_length": Change("4"),
    "save_steps": Change("1", KEPT),
    "save_total_limit": Change("1", {**KEPT, "save_steps": "1"}),
    "threads": Change("2"),
    "use_cpu": Change("true"),
    "learning_rate": Change("0.01"),
    "lr_scheduler_type": Change("cosine", {"total_episodes": "128"}),
    "warmup_steps": Change("1"),
    "optim": Change("sgd"),
    "weight_decay": Change("0.5"),
    "adam_beta1": Change("0.1"),
    "adam_beta2": Change("0.5", {"total_episodes": "96"}),
    "adam_epsilon": Change("0.1"),
    "gradient_accumulation_steps": Change("2"),
    "num_mini_batches": Change("2"),
    "num_ppo_epochs": Change("1"),
    "local_rollout_forward_batch_size": Change("8"),
    "kl_coef": Change("0.5"),
    "kl_estimator": Change("k3"),
    "cliprange": Change("0.001", {"target_kl": "0"}),
    "cliprange_value": Change("0.0001", {"target_kl": "0"}),
    "vf_coef": Change("0.9"),
    "max_grad_norm": Change("0.01"),
    "target_kl": Change("0.000001", {"max_grad_norm": "0"}),
    "gamma": Change("0.5"),
    "lam": Change("0.1"),
    "whiten_rewards": Change("true"),
    "temperature": Change("0.5"),
    "stop_token_id": Change("5"),
    "missing_eos_penalty": Change("1.0", {"response_length": "3"}),
    "value_layers": Change("2"),
    "use_peft": Change("true"),
    "lora_r": Change("4", PEFT),
    "lora_alpha": Change("4", PEFT),
    "lora_target_modules": Change("k_proj", PEFT),
    "lora_target_parameters": Change("q_proj.weight", {**PEFT, "lora_target_modules": "v_proj"}),
    "lora_modules_to_save": Change("lm_head", PEFT),
    "lora_layers": Change("1", PEFT),
    "use_rslora": Change("true", PEFT),
    "use_dora": Change("true", PEFT),
    "gradient_checkpointing": Change("true"),
    "checkpoint_every": Change("1"),
    "exact": Change("true"),
    "report_to": Change("tensorboard"),
    "run_name": Change("mine", {"report_to": "tensorboard"}),
    "project": Change("mine", {"report_to": "tensorboard"}),
    "tracked_generations": Change("3", {"report_to": "tensorboard"}),
    "num_generations": Change("4", GRPO),
    "num_iterations": Change("1", GRPO),
    "beta": Change("0.5", GRPO),
    "epsilon": Change("0.0001", GRPO),
    "epsilon_high": Change("0.0001", GRPO),
    "scale_rewards": Change("none", GRPO),
    "loss_type": Change("grpo", {**GRPO, "task": "briefing"}),
    "use_bias_correction_kl": Change("false", {**GRPO, "beta": "0.5"}),
    "normalize_advantages": Change("true", {"method": "rloo"}),
    "start_from": Change("base", {"method": "expert_iteration", "total_episodes": "160"}),
    "completions": Change("4", {"method": "best_of_n"}),
}
EVALUATION = {
    "held_out_scenarios": "4",
    "off_distribution_scenarios": "4",
    "generations": "24",
    "response_samples": "3",
    "onset_floor_threat_1": "0.99",
    "onset_floor_threat_2": "50",
}
PLANNED = {
    "arms": "[both]",
    "vary": "[randomised=0.5]",
    "methods": "[best_of_n completions=4]",
    "seeds": '"7"',
    "base_seeds": '"1-2"',
    "equivalent_threat_1": "0.2",
    "equivalent_threat_2": "0.2",
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("effects")
    saved_model(folder / "model", "llama")
    (folder / "model" / "chat_template.jinja").write_text(CHAT)
    _ship(folder / "shipped" / "one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base_shelves, "SHIPPED", folder / "shipped")
        yield folder


def _ship(folder: Path) -> None:
    """A base policy that ships here, for one base seed; unlike the one that would be built."""
    settings = {**TINY, "base_seed": "77", "base_policy": "build"}
    wanted = recipe(parse_run([word for pair in settings.items() for word in _option(pair)]))
    with torch.no_grad():
        wanted.language.model.model.embed_tokens.weight.mul_(1.5)
    build(wanted, folder, lambda step: None)


def _option(pair: tuple[str, str]) -> tuple[str, str]:
    return f"--{pair[0]}", pair[1]


def _words(settings: Mapping[str, str], scratch: Path) -> list[str]:
    named = {
        name: value.replace("MODEL", str(scratch / "model")) for name, value in settings.items()
    }
    return [word for pair in named.items() for word in _option(pair)]


NUMBERS = itertools.count()
TRACES: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}


def _trace(settings: Mapping[str, str], scratch: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a run with these settings does, as far as it can be told from outside."""
    key = tuple(sorted(settings.items()))
    if key not in TRACES:
        place = scratch / settings.get("output_dir", f"run-{next(NUMBERS)}")
        words = _words({**settings, "output_dir": str(place)}, scratch)
        seen = _watched(patch)
        run = job.train(parse_run(words), lambda step: None)
        files = sorted(str(f.relative_to(place)) for f in place.rglob("*") if f.is_file())
        kept = [f for f in files if f.startswith(("ledger", "policy/model", "adapter/a", "base/m"))]
        TRACES[key] = {
            "place": place.name if "output_dir" in settings else "",
            "files": [name for name in files if "events" not in name],
            "content": {name: _digest(run.path / name) for name in kept},
            **seen,
        }
    return TRACES[key]


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _watched(patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is set while a run goes on: threads, device, passes, trackers."""
    seen: dict[str, Any] = {"passes": 0}
    select_all, state, load = job.select_all, job.processes, _loader()

    def watching(method: Method[Any, Any], *rest: Any) -> float:
        seen["threads"] = torch.get_num_threads()
        tell = method.tell

        def telling(update: int, figures: Mapping[str, Any]) -> None:
            seen.setdefault("tables", []).append(figures.get("generations"))
            tell(update, figures)

        patch.setattr(method, "tell", telling)
        trainer = getattr(method, "trainer", None)
        if trainer is not None:
            seen["again"] = trainer.language.model.is_activation_checkpointing
            seen["attention"] = trainer.language.model.config._attn_implementation
            seen["tracker"] = [trainer.args.report_to, trainer.args.run_name, trainer.args.project]

            def count(*_: object) -> None:
                seen["passes"] += 1

            trainer.ref_model and trainer.ref_model.register_forward_pre_hook(count)
        return select_all(method, *rest)

    def told(use_cpu: bool) -> Any:
        seen["cpu"] = use_cpu
        return state(use_cpu)

    def loading(name: str, **kwargs: Any) -> Any:
        seen.setdefault("revision", kwargs.get("revision"))
        return load(name, **kwargs)

    patch.setattr(job, "select_all", watching)
    patch.setattr(job, "processes", told)
    patch.setattr("rlhf_testbed.policy.base_policy.load_language", loading)
    return seen


@cache
def _loader() -> Any:
    from rlhf_testbed.policy.base_policy import load_language

    return load_language


def _settings_of(method: str) -> set[str]:
    return {field.name for field in dataclasses.fields(method_class(method).settings)}


def test_every_setting_is_changed_below() -> None:
    groups = (StudySettings, BasePolicySettings, SelectionSettings)
    training = {field.name for group in groups for field in dataclasses.fields(group)}
    training |= {name for method in METHODS for name in _settings_of(method)}
    assert training == set(TRAINING)
    assert {field.name for field in dataclasses.fields(EvaluationSettings)} == set(EVALUATION)
    assert {field.name for field in dataclasses.fields(ExperimentSettings)} == set(PLANNED)


@pytest.mark.parametrize("name", TRAINING)
def test_a_setting_of_training_changes_what_a_run_does(
    name: str, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = TRAINING[name]
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(scratch / "events"))
    before = {**TINY, "arm": "both", **change.beside}
    after = {**before, name: change.value}
    with monkeypatch.context() as patch:
        first = _trace(before, scratch, patch)
    with monkeypatch.context() as patch:
        second = _trace(after, scratch, patch)
    assert first != second, f"{name} = {change.value} changed nothing"


def test_the_same_settings_do_the_same(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a difference above is the setting's."""
    before = {**TINY, "arm": "both"}
    with monkeypatch.context() as patch:
        first = _trace(before, scratch, patch)
    TRACES.pop(tuple(sorted(before.items())))
    with monkeypatch.context() as patch:
        assert _trace(before, scratch, patch) == first


@pytest.fixture(scope="module")
def finished(scratch: Path) -> RunDirectory:
    """A run whose policy has learned a little, with checkpoints."""
    settings = {**TINY, "arm": "both", "total_episodes": "640", "checkpoint_every": "5"}
    words = _words({**settings, "output_dir": str(scratch / "finished")}, scratch)
    return job.train(parse_run(words), lambda step: None)


def _measured(finished: RunDirectory, folder: Path, name: str = "", value: str = "") -> str:
    shutil.copytree(finished.path, folder)
    config = folder / "config.yaml"
    lines = config.read_text().splitlines()
    at = [index for index, line in enumerate(lines) if name and line.startswith(f"{name}:")]
    for index in at:
        lines[index] = f"{name}: {value}"
    assert len(at) == bool(name)
    config.write_text("\n".join(lines) + "\n")
    evaluate(RunDirectory.open(folder))
    found = sorted((folder / "evaluation" / "full_knowledge").glob("*.json"))
    assert len(found) == 4
    return "".join(file.read_text() for file in found)


@pytest.mark.parametrize("name", EVALUATION)
def test_a_setting_of_evaluation_changes_what_is_measured(
    name: str, finished: RunDirectory, tmp_path: Path
) -> None:
    before = _measured(finished, tmp_path / "before")
    after = _measured(finished, tmp_path / "after", name, EVALUATION[name])
    assert before != after
    assert before == _measured(finished, tmp_path / "again")


@pytest.mark.parametrize("name", PLANNED)
def test_a_setting_of_an_experiment_changes_its_plan(name: str, tmp_path: Path) -> None:
    config = tmp_path / "x.yaml"

    def planned(more: str) -> tuple[Any, ...]:
        config.write_text(f"task: corridor\nvary: [diversity=1]\n{more}")
        found = plan(str(config))
        run: RunConfig = found.run
        bounds = run.experiment.equivalent_threat_1, run.experiment.equivalent_threat_2
        return [setting.name for setting in found.settings], found.runs, bounds

    before = planned("")
    text = f"{name}: {PLANNED[name]}\n"
    if name == "vary":
        config.write_text(f"task: corridor\n{text}")
        names = [setting.name for setting in plan(str(config)).settings]
        assert names != before[0]
    else:
        assert planned(text) != before
