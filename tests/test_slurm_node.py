"""The Slurm of the tests runs, requeues and accounts for jobs, and leaves nothing behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import slurm_node as node
from slurm_node import SlurmError, available, slurm_node
from test_words import ROOT

pytestmark = pytest.mark.slow
installed = pytest.mark.skipif(bool(available(False)), reason=available(False) or "installed")


def said(*command: str) -> str:
    """What a command prints; it must succeed."""
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def submitted(*arguments: str) -> str:
    """The number of a new batch job, whose output goes nowhere."""
    return said("sbatch", "--parsable", "--output=/dev/null", *arguments)


def until(holds: Callable[[], bool], what: str) -> None:
    ends = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < ends, f"not within 30 s: {what}"
        time.sleep(0.1)


def states(job: str) -> dict[str, str]:
    """The state of each job of an array by sacct, without steps and without who cancelled it."""
    lines = said("sacct", "-X", "-n", "-P", "-o", "JobID,State", "-j", job).splitlines()
    return {name: state.split()[0] for name, state in (line.split("|") for line in lines)}


def content(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


@pytest.mark.usefixtures("slurm")
def test_a_command_runs_on_a_node_with_all_cores_of_this_machine() -> None:
    assert said("srun", "hostname") == socket.gethostname()
    assert said("sinfo", "-h", "-o", "%c") == str(os.cpu_count())


@pytest.mark.usefixtures("slurm")
def test_each_job_of_an_array_writes_its_file(tmp_path: Path) -> None:
    job = submitted("--array=0-2", f"--wrap=echo done > {tmp_path}/$SLURM_ARRAY_TASK_ID")
    until(lambda: states(job) == {f"{job}_{at}": "COMPLETED" for at in range(3)}, "all completed")
    assert {file.name: content(file) for file in tmp_path.iterdir()} == dict.fromkeys(
        "012", "done\n"
    )


@pytest.mark.usefixtures("slurm")
def test_a_requeued_job_runs_again_and_is_told_so(tmp_path: Path) -> None:
    counts = tmp_path / "counts"
    again = 'echo "${SLURM_RESTART_COUNT:-first}" >> ' + str(counts)
    job = submitted(f"--wrap={again}; test $SLURM_RESTART_COUNT || sleep 60")
    until(lambda: content(counts) == "first\n", "it runs")
    said("scontrol", "requeue", job)
    until(lambda: content(counts) == "first\n1\n", "it runs again")
    until(lambda: states(job) == {job: "COMPLETED"}, "it is completed")


@pytest.mark.usefixtures("slurm")
def test_accounting_tells_which_job_failed_and_which_was_cancelled() -> None:
    failing, waiting = submitted("--wrap=exit 3"), submitted("--hold", "--wrap=true")
    said("scancel", waiting)
    until(lambda: states(failing) == {failing: "FAILED"}, "it failed")
    until(lambda: states(waiting) == {waiting: "CANCELLED"}, "it is cancelled")


@pytest.mark.usefixtures("slurm")
def test_submitit_gives_the_result_of_a_function_and_of_an_array(tmp_path: Path) -> None:
    submitit = pytest.importorskip("submitit")
    executor = submitit.AutoExecutor(tmp_path, cluster="slurm")
    executor.update_parameters(timeout_min=1)
    one = executor.submit(os.getenv, "SLURM_JOB_ID")
    array = executor.map_array(os.getenv, ["SLURM_ARRAY_TASK_ID"] * 3)
    assert one.result() == one.job_id
    assert [job.result() for job in array] == ["0", "1", "2"]


@installed
def test_no_process_is_left_where_the_test_fails(tmp_path: Path) -> None:
    """Not even one that ignores SIGTERM in a session of its own."""
    stubborn = f"trap '' TERM; setsid sleep 600 & echo $! > {tmp_path / 'number'}; wait"
    folder = tmp_path / "slurm"
    folder.mkdir()

    def fails() -> None:
        with slurm_node(folder, accounting=False) as environment:
            command = ["sbatch", "--output=/dev/null", f"--wrap={stubborn}"]
            subprocess.run(command, env=os.environ | environment, check=True)
            until(lambda: content(tmp_path / "number").endswith("\n"), "it runs")
            assert int(content(tmp_path / "number")) in node.processes_of(folder)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert node.processes_of(folder) == []


@installed
def test_daemons_die_with_a_test_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time\n"
        "from slurm_node import slurm_node\n"
        "with slurm_node(pathlib.Path(sys.argv[1]), accounting=False):\n"
        "    print('up', flush=True)\n"
        "    time.sleep(600)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT / "tests", stdout=subprocess.PIPE, text=True) as test:
        assert test.stdout
        assert test.stdout.readline() == "up\n"
        assert len(node.processes_of(tmp_path)) > 3
        test.kill()
    until(lambda: node.processes_of(tmp_path) == [], "the daemons have died")


@installed
def test_a_daemon_that_cannot_start_says_why(tmp_path: Path) -> None:
    """A socket's path has 107 characters at most, which munged tells."""
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    with pytest.raises(SlurmError, match=r"munged ended with status 1: .*maximum"):
        slurm_node(folder, accounting=False).__enter__()
    assert node.processes_of(folder) == []


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "PATH", str(tmp_path))
    assert available().startswith("not installed: munged, slurmctld, slurmd, ")
    assert available().endswith(", mariadbd, slurmdbd, sacct")
    with pytest.raises(SlurmError, match="not installed"), slurm_node(tmp_path):
        pass
