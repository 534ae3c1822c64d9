"""Whole training runs: repeatable, on any causal LM, and with LoRA."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

from conftest import SMALL
from rlhf_testbed.overseers.base import Sight
from rlhf_testbed.overseers.scripted import Scripted
from rlhf_testbed.policy.language import small_language
from rlhf_testbed.selection.job import train
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.store import ledger
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.tasks.base import Dials
from rlhf_testbed.tasks.corridor import Corridor

FEW = ["--total_episodes", "32", "--base_steps", "10", "--checkpoint_every", "1"]


def _train(folder: Path, *arguments: str) -> RunDirectory:
    run = parse_run([*SMALL, "--output_dir", str(folder), *arguments])
    return train(run, lambda step: None)


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_same_config_and_seed_twice_give_equal_bytes(trained: Path, tmp_path: Path) -> None:
    first = RunDirectory(trained)
    again = train(
        parse_run(["--config", str(first.config), "--output_dir", str(tmp_path / "again")]),
        lambda step: None,
    )
    assert _bytes(first.ledger) == _bytes(again.ledger)
    assert _bytes(first.policy) == _bytes(again.policy)
    assert ledger.last_update(first.ledger) == 3


def test_another_seed_gives_other_bytes(trained: Path, tmp_path: Path) -> None:
    other = _train(tmp_path / "other", "--arm", "both", "--seed", "2")
    assert _bytes(other.ledger) != _bytes(RunDirectory(trained).ledger)


def test_the_ledger_holds_every_generation_with_its_advantage(trained: Path) -> None:
    rows = ledger.read(RunDirectory(trained).ledger)
    assert [row.update for row in rows] == [1] * 16 + [2] * 16 + [3] * 16
    assert [row.episode for row in rows] == [*range(16)] * 3
    for update in (1, 2, 3):
        advantages = [row.advantage for row in rows if row.update == update]
        assert len(set(advantages)) > 1
    task = Corridor()
    for row in rows:
        assert row.outcome.facts == dict(task.outcome(row.scenario, row.response).facts)
        assert row.kl == row.kl


def test_a_finished_run_holds_no_verdict_but_the_training_overseers(trained: Path) -> None:
    """Judged anew from their views alone, the ledger's verdicts are the limited overseer's."""
    assert not (trained / "evaluation").exists()
    limited = Scripted(Corridor(), Sight(0.0))
    rows = ledger.read(RunDirectory(trained).ledger)
    assert rows
    for row in rows:
        assert limited.judge(row.response, row.view) == row.verdict


def saved_model(folder: Path, kind: str) -> Path:
    """A tiny model of that kind on disk, with a tokenizer that knows corridor's words."""
    task = Corridor()
    texts = [s.prompt for s in task.scenarios(Dials(randomised=1), 0, "train", 300)]
    tokenizer = small_language([*texts, *task.responses], 0).tokenizer
    size = len(tokenizer)
    end = tokenizer.eos_token_id
    model: PreTrainedModel
    if kind == "gpt2":
        model = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=size, n_positions=64, n_embd=32, n_layer=2, n_head=2, eos_token_id=end
            )
        )
    else:
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=size,
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                eos_token_id=end,
            )
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("lora", [False, True], ids=["all weights", "lora"])
@pytest.mark.parametrize("kind", ["llama", pytest.param("gpt2", marks=pytest.mark.slow)])
def test_any_causal_lm_trains(kind: str, lora: bool, tmp_path: Path) -> None:
    from rlhf_testbed.evaluation.evaluate import evaluate

    model = saved_model(tmp_path / "model", kind)
    peft = ["--use_peft", "true", "--lora_r", "4"] if lora else []
    run = _train(tmp_path / "run", "--model", str(model), "--learning_rate", "1e-2", *FEW, *peft)
    assert AutoModelForCausalLM.from_pretrained(run.policy).config.model_type == kind
    assert run.adapter.exists() == lora
    settings = run.settings().flat()
    assert settings["model_name_or_path"] == str(model)
    assert settings["use_peft"] == lora
    assert list(run.checkpoints) == [1, 2]
    assert (run.checkpoint(1) / "adapter_config.json").exists() == lora
    measures = evaluate(run)
    assert 0 <= measures.figure("threat_2") < 10


def test_a_run_directory_that_exists_is_refused_and_kept(tmp_path: Path) -> None:
    from rlhf_testbed.shared.errors import UsageError

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="exists already, and nothing is overwritten"):
        _train(tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine.txt"]


def test_accelerate_launch_trains(tmp_path: Path) -> None:
    """The documented command, as a user types it."""
    config = tmp_path / "config.yaml"
    words = " ".join(SMALL).replace("--", "").split()
    config.write_text(
        yaml.safe_dump(dict(zip(words[::2], map(yaml.safe_load, words[1::2]), strict=True)))
    )
    launch = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch"]
    job = ["-m", "rlhf_testbed.train", "--config", str(config), "--knowledge", "0", "--seed", "3"]
    subprocess.run(
        [*launch, *job, "--output_dir", str(tmp_path / "x")], check=True, capture_output=True
    )
    run = RunDirectory.open(tmp_path / "x")
    assert run.summary().updates == 3
    assert run.settings().seed == 3
    assert ledger.last_update(run.ledger) == 3
