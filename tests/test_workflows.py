"""docs/WORKFLOWS.md, followed to the letter on a small experiment: ten workflows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

import rlhf_testbed as rt
from pages import Reader, sections
from rlhf_testbed.cli import main
from rlhf_testbed.policy.base_policy import load_base_policy
from rlhf_testbed.policy.base_shelves import SHIPPED
from test_words import ROOT

PAGE = ROOT / "docs/WORKFLOWS.md"
DEMO = """
task: corridor
arms: [neither, both]
seeds: 0-2
total_episodes: 128
per_device_train_batch_size: 32
num_ppo_epochs: 1
learning_rate: 8.0e-4
train_scenarios: 64
held_out_scenarios: 8
off_distribution_scenarios: 8
generations: 32
checkpoint_every: 2
"""
"""Stands for the demo's file: so small that the page takes minutes."""


@pytest.fixture
def begun(here: Path) -> Path:
    """A folder with all that the page starts from: the demo's file, and a language model."""
    (here / "configs").mkdir()
    (here / "configs/corridor-demo.yaml").write_text(DEMO)
    language = load_base_policy(next(SHIPPED.glob("briefing-*")))
    language.model.save_pretrained(here / "my-model")
    language.tokenizer.save_pretrained(here / "my-model")
    return here


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ten_workflows_work_as_they_are_written(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reader = Reader(capsys)
    for parts in sections(PAGE).values():
        reader.read(parts)
    swept = rt.load("runs/kl-by-rate").table().arm
    assert sum(arm.startswith("both kl_coef=") for arm in swept) == 4
    counted = rt.load("runs/corridor-demo").runs().groupby("arm").size()
    assert counted.to_dict() == {"neither": 3, "both": 5}
    assert json.loads((begun / "runs/long/finished.json").read_text())["updates"] == 70
    for folder in (begun / "runs/corridor-demo").glob("*/seed-?"):
        assert (folder / "evaluation/my_pkg.marker-Marker-knowledge=1").is_dir()
    assert yaml.safe_load((begun / "runs/mine/config.yaml").read_text())["task"] == "briefing"
    first, again = (
        json.loads((begun / folder / "results.json").read_text())["arms"]
        for folder in ("results/corridor-demo", "runs/again")
    )
    assert first.keys() == again.keys()
    assert first["neither"]["figures"] == again["neither"]["figures"]
    (bad,) = {json.loads(line)["unwanted"] for line in (begun / "bad.jsonl").open()}
    assert bad is True
    assert r"\toprule" in (begun / "paper/arms.tex").read_text()
    assert (begun / "paper/threat_plane.pdf").read_bytes().startswith(b"%PDF")
    assert "vega" in (begun / "plane.html").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--overseer", "scriptd"], "overseer 'scriptd' is unknown (did you mean 'scripted'?"),
        (["--knowledge", "1"], "full_knowledge sees everything"),
    ],
)
def test_whom_no_run_can_be_judged_by_is_told_once(
    evaluated: Path,
    tmp_path: Path,
    words: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for seed in range(2):
        shutil.copytree(evaluated, tmp_path / f"both/seed-{seed}")
    monkeypatch.setattr("sys.argv", ["rlhf-testbed", "evaluate", str(tmp_path), *words])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert told.count("error") == 1
    assert said in told


def test_there_are_ten() -> None:
    _, *ten = sections(PAGE)
    assert len(ten) == 10
    assert all(any(block.language == "sh" for block in sections(PAGE)[one]) for one in ten)
