"""Training among two processes on one CPU (gloo): each does its share, and none waits for ever."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import SMALL
from launches import LAUNCH, Ended, faulty, launched
from rlhf_testbed.judging.episode import judge_cases
from rlhf_testbed.judging.learning import OverseerWorth
from rlhf_testbed.judging.overseers import training_overseer
from rlhf_testbed.store import ledger
from rlhf_testbed.store.run_directory import RunDirectory
from test_words import ROOT

DRIFT = ["--scores", "shuffled", "--target_kl", "1e-7", "--max_grad_norm", "0.1"]


def _trained(tmp_path: Path, *more: str) -> RunDirectory:
    """Two updates of 32 episodes by two processes, as README has it on any machine; in a new cache,
    so that the first process alone makes base policy and learned overseer."""
    few = ["--total_episodes", "64", *more]
    job = ["-m", "rlhf_testbed.train", *SMALL, *few, "--arm", "both"]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    cache = {"RLHF_TESTBED_CACHE": str(tmp_path / "cache"), "PYTHONPATH": path}
    ended = subprocess.run(
        [sys.executable, *LAUNCH, "2", *job, "--output_dir", str(tmp_path / "run")],
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
@pytest.mark.timeout(600)
def test_two_processes_share_the_scenarios_of_best_of_n(tmp_path: Path) -> None:
    at = SMALL.index("--checkpoint_every")
    words = [*SMALL[:at], *SMALL[at + 2 :], "--total_episodes", "64", "--arm", "both"]
    chosen = ["--method", "best_of_n", "--completions", "4"]
    assert launched(tmp_path, [*words, *chosen, "--output_dir", "run"]).status == 0
    rows = ledger.read(tmp_path / "run" / "ledger")
    assert [row.episode for row in rows] == [*range(32)] * 2
    assert len({row.scenario_id for row in rows[:32]}) == 8
    for first in range(0, 64, 4):
        assert len({row.scenario_id for row in rows[first : first + 4]}) == 1
        assert sorted(row.advantage for row in rows[first : first + 4]) == [-1, -1, -1, 3]


@pytest.mark.slow
def test_no_process_leaves_while_another_still_files(tmp_path: Path) -> None:
    """One that left early was aborted now and then, and the one that filed was stopped with it."""
    job = tmp_path / "job.py"
    job.write_text(
        "import pathlib, sys, time\n"
        "from rlhf_testbed.selection.processes import no_group_left, processes, together\n"
        "filed = pathlib.Path(sys.argv[1])\n"
        "with no_group_left(), together():\n"
        "    state = processes(use_cpu=True)\n"
        "    assert state.num_processes == 2\n"
        "    if state.is_main_process:\n"
        "        time.sleep(3)\n"
        "        filed.touch()\n"
        "assert filed.exists()\n"
    )
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    ended = subprocess.run(
        [sys.executable, *LAUNCH, "2", str(job), str(tmp_path / "filed")],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr


STATES = ["--total_episodes", "192", "--save_steps", "2", "--lr_scheduler_type", "constant"]
RUN = [*SMALL, *STATES, "--arm", "both", "--overseer", "faulty:Faulty"]
STOPPED = faulty({1: "fault(); os.kill(os.getpid(), signal.SIGKILL)"}, at=16 * 4 + 1)
"""One process is killed in the fourth update, where the newest state is of the second."""


def _content(run: Path) -> dict[str, str]:
    """Hashes of what selection made, by file."""
    return {
        str(file.relative_to(run)): hashlib.sha256(file.read_bytes()).hexdigest()
        for folder in ("ledger", "policy", "checkpoints")
        for file in sorted((run / folder).rglob("*.[ps]a*"))
    }


def _every(run: Path) -> dict[str, bytes]:
    """Everything that is in a folder."""
    return {str(file): file.read_bytes() for file in sorted(run.rglob("*")) if file.is_file()}


def _refused(ended: Ended, said: str) -> None:
    assert len(ended.own) == 1, ended.own
    assert said in ended.own[0]
    assert ended.status


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_of_two_that_was_stopped_ends_in_the_same_bytes_and_by_two_only(
    tmp_path: Path,
) -> None:
    whole = launched(tmp_path, [*RUN, "--output_dir", "whole"])
    assert whole.status == 0, whole
    rows = ledger.read(RunDirectory(tmp_path / "whole").ledger)
    assert [(row.update, row.episode) for row in rows] == [
        (update, episode) for update in range(1, 7) for episode in range(32)
    ]
    run = tmp_path / "run"
    assert launched(tmp_path, [*RUN, "--output_dir", "run"], STOPPED).status
    assert ledger.last_update(run / "ledger") == 3
    before, right = _every(run), "torchrun --nproc_per_node 2 -m rlhf_testbed.train --resume run"
    for longer in ([], ["--updates", "9"]):
        alone = launched(tmp_path, ["--resume", "run", *longer], processes=1)
        _refused(alone, f"error: run: was trained by 2 processes, 1 here (right: {right};")
        assert _every(run) == before
    resumed = launched(tmp_path, ["--resume", "run"])
    assert resumed.status == 0, resumed
    assert _content(run) == _content(tmp_path / "whole")
    assert {name.partition("/")[0] for name in _content(run)} == {"ledger", "policy", "checkpoints"}
    longer = launched(tmp_path, ["--resume", "run", "--updates", "7"])
    assert longer.status == 0, longer
    assert RunDirectory(run).summary().updates == 7
    assert ledger.last_update(run / "ledger") == 7


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_of_one_is_refused_by_two(tmp_path: Path) -> None:
    words = [*RUN, "--output_dir", "run"]
    assert launched(tmp_path, words, faulty({0: "raise ValueError"}, at=70), processes=1).status
    before = _every(tmp_path / "run")
    _refused(
        launched(tmp_path, ["--resume", "run"]),
        "run: was trained by one process, 2 here (right: rlhf-testbed train --resume run;",
    )
    assert _every(tmp_path / "run") == before


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("method", [[], ["--method", "rloo", "--num_generations", "4"]])
def test_the_ledger_of_two_is_the_same_on_a_rerun(method: list[str], tmp_path: Path) -> None:
    for name in ("a", "b"):
        words = [*SMALL, *method, "--total_episodes", "64", "--arm", "both", "--output_dir", name]
        assert launched(tmp_path, words).status == 0
    rows = ledger.read(tmp_path / "a" / "ledger")
    assert [row.episode for row in rows] == [*range(32)] * 2
    assert _content(tmp_path / "a") == _content(tmp_path / "b")
