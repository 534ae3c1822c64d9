"""Training among two processes on one CPU (gloo): each does its share, and none waits for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import SMALL
from rlhf_testbed.judging.episode import judge_cases
from rlhf_testbed.judging.learning import OverseerWorth
from rlhf_testbed.judging.overseers import training_overseer
from rlhf_testbed.store import ledger
from rlhf_testbed.store.run_directory import RunDirectory
from test_words import ROOT

LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


DRIFT = ["--scores", "shuffled", "--target_kl", "1e-7", "--max_grad_norm", "0.1"]


def _trained(tmp_path: Path, *more: str) -> RunDirectory:
    """Two updates of 32 episodes by two processes, as README has it on any machine; in a new cache,
    so that the first process alone makes base policy and learned overseer."""
    few = ["--total_episodes", "64", *more]
    job = ["-m", "rlhf_testbed.train", *SMALL, *few, "--arm", "both"]
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
    return run


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_train_one_policy_by_a_learned_overseer(tmp_path: Path) -> None:
    """Base policy and learned overseer are made by the first process alone: in a new cache."""
    learned = ["--overseer", "learned", "--overseer_args", "comparisons=32", "steps=10"]
    run = _trained(tmp_path, *learned)
    assert len({row.scenario_id for row in ledger.read(run.ledger)[:32]}) == 32
    assert run.read(OverseerWorth).comparisons > 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_deal_one_deal_and_stop_together(tmp_path: Path) -> None:
    """Where one took a further step and the other did not, both would wait for ever."""
    run = _trained(tmp_path, *DRIFT)
    overseer, rows = training_overseer(run.settings()), ledger.read(run.ledger)
    true = judge_cases(overseer, [row.case for row in rows])
    assert [row.verdict for row in rows] == [one.verdict for one in true]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("method", ["grpo", "expert_iteration"])
def test_two_processes_share_the_groups_of_an_update(method: str, tmp_path: Path) -> None:
    """Each has whole groups of its own, and both end with one policy."""
    few = ["--num_generations", "4", "--scale_rewards", "batch"]
    run = _trained(tmp_path, "--method", method, *(few if method == "grpo" else few[:2]))
    rows = ledger.read(run.ledger)
    for first in range(0, 32, 4):
        assert len({row.scenario_id for row in rows[first : first + 4]}) == 1
    assert len({row.scenario_id for row in rows[:32]}) == 8
    assert max(abs(row.kl) for row in rows[:32]) < 1e-3


@pytest.mark.slow
def test_no_process_leaves_while_another_still_files(tmp_path: Path) -> None:
    """One that left early was aborted now and then, and the one that filed was stopped with it."""
    job = tmp_path / "job.py"
    job.write_text(
        "import pathlib, sys, time\n"
        "from rlhf_testbed.selection.processes import launched\n"
        "filed = pathlib.Path(sys.argv[1])\n"
        "with launched(use_cpu=True) as state:\n"
        "    assert state.num_processes == 2\n"
        "    if state.is_main_process:\n"
        "        time.sleep(3)\n"
        "        filed.touch()\n"
        "assert filed.exists()\n"
    )
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    ended = subprocess.run(
        [sys.executable, *LAUNCH, str(job), str(tmp_path / "filed")],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
