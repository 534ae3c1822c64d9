"""Training among two processes on one CPU (gloo): each does its share, and none waits for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import SMALL
from rlhf_testbed.judging.learning import OverseerWorth
from rlhf_testbed.store import ledger
from rlhf_testbed.store.run_directory import RunDirectory
from test_words import ROOT

LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_train_one_policy_by_a_learned_overseer(tmp_path: Path) -> None:
    """As README has it, on any machine; in a new cache, so that the first process alone makes base
    policy and learned overseer."""
    learned = ["--overseer", "learned", "--overseer_args", "comparisons=32", "steps=10"]
    few = ["--total_episodes", "64"]
    job = ["-m", "rlhf_testbed.train", *SMALL, *few, *learned, "--arm", "both"]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    cache = {"RLHF_TESTBED_CACHE": str(tmp_path / "cache"), "PYTHONPATH": path}
    ended = subprocess.run(
        [sys.executable, *LAUNCH, *job, "--output_dir", str(tmp_path / "run")],
        env=os.environ | cache | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("done. Next: rlhf-testbed evaluate") == 1
    run = RunDirectory.open(tmp_path / "run")
    assert run.summary().updates == 2
    rows = ledger.read(run.ledger)
    assert [row.episode for row in rows] == [*range(32)] * 2
    assert len({row.scenario_id for row in rows[:32]}) == 32
    assert run.read(OverseerWorth).comparisons > 0
