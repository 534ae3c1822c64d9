"""Jobs as arrays of a real Slurm of one node; where there is none, by submitit's local executor."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from rlhf_testbed.engine.board import Jobs
from rlhf_testbed.engine.job import Job, JobsFailed, Orders, engine_named
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.progress import Step, Watcher
from rlhf_testbed.shared.record import read

PATIENCE = 60.0
"""Seconds in which a job should have begun again."""
slurm = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.usefixtures("slurm")]


def note(watcher: Watcher, file: Path) -> None:
    watcher(Step(1, 1, "noted"))
    with file.open("a") as told:
        told.write("x")


def refuse(watcher: Watcher, what: str) -> None:
    raise UsageError(f"{what} is too small")


def wait(watcher: Watcher, file: Path, until: Path) -> None:
    note(watcher, file)
    while not until.exists():
        time.sleep(0.05)


def die(watcher: Watcher, file: Path) -> None:
    """Is killed the first time, as what needs more memory than there is."""
    import os
    import signal

    note(watcher, file)
    print("almost there", flush=True)
    if file.read_text() == "x":
        os.kill(os.getpid(), signal.SIGKILL)


def run(cluster: str, jobs: list[Job], folder: Path, **options: str | float) -> None:
    folder.mkdir(exist_ok=True)
    told = {"cluster": cluster, "memory_gib": 0.5, **options}
    engine_named("slurm", options=told).run(jobs, Orders(retries=1, folder=folder))


@pytest.mark.slow
@pytest.mark.parametrize("cluster", ["slurm", "local"])
def test_jobs_run_and_one_that_fails_stops_no_other(
    cluster: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if cluster == "slurm":
        request.getfixturevalue("slurm")
    folder = tmp_path / "x"
    jobs = [Job(f"{at}", note, (folder / f"{at}",)) for at in range(3)]
    with pytest.raises(JobsFailed) as raised:
        run(cluster, [*jobs, Job("c", refuse, ("c",)), Job("d", die, (folder / "d",))], folder)
    (failure,) = raised.value.failures
    assert failure.usage
    assert failure.said.endswith(": c is too small")
    assert [(folder / f"{at}").read_text() for at in range(3)] == ["x"] * 3
    assert (folder / "d").read_text() == "xx", "tried again"
    told = read(folder / Jobs.file, Jobs)
    assert [job.state for job in told.jobs] == ["ended"] * 3 + ["failed", "ended"]
    assert told.jobs[0].note == "noted"
    assert told.jobs[4].tries == 2
    assert not list((folder / "logs" / "slurm").glob("*.pkl"))


def run_disturbed(folder: Path, *command: str) -> str:
    """Runs one job, and once it has begun a command of Slurm's on it; what it noted of its begins.

    It is told to end only when it has begun again: it might come to a good end first.
    """
    noted, until = folder / "a", folder.parent / "until"

    def disturb() -> None:
        while not noted.exists():
            time.sleep(0.05)
        running = ["squeue", "-h", "-t", "R", "-o", "%A"]
        jobs: list[str] = []
        while not jobs:
            jobs = subprocess.run(running, capture_output=True, text=True).stdout.split()
        subprocess.run([*command, jobs[-1]], check=True)
        late = time.monotonic() + PATIENCE
        while noted.read_text() != "xx" and time.monotonic() < late:
            time.sleep(0.05)
        until.touch()

    threading.Thread(target=disturb, daemon=True).start()
    run("slurm", [Job("a", wait, (noted, until))], folder)
    return noted.read_text()


class TestOnSlurm:
    """What only a real one can show."""

    pytestmark = slurm

    def test_a_job_that_slurm_puts_back_into_the_queue_is_begun_again(self, tmp_path: Path) -> None:
        assert run_disturbed(tmp_path / "x", "scontrol", "requeue") == "xx"

    def test_a_job_whose_time_is_over_goes_on_in_another(self, tmp_path: Path) -> None:
        """Slurm tells it by SIGUSR2, as it does before something else that is more urgent."""
        assert run_disturbed(tmp_path / "x", "scancel", "--signal", "USR2") == "xx"

    def test_a_cancelled_job_is_noticed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("rlhf_testbed.engine.on_slurm.ASK", 2.0)
        assert run_disturbed(tmp_path / "x", "scancel") == "xx"

    def test_what_slurm_refuses_is_one_line(self, tmp_path: Path) -> None:
        folder = tmp_path / "x"
        with pytest.raises(UsageError, match="--engine slurm: ") as told:
            run("slurm", [Job("a", note, (folder / "a",))], folder, partition="nowhere")
        assert "\n" not in str(told.value)
        assert "partition" in str(told.value)
        assert not (folder / "a").exists()

    @pytest.mark.parametrize(("need", "told"), [("cpus", "cpus=512"), ("memory_gib", "512000MB")])
    def test_what_no_node_has_is_refused_and_not_left_in_the_queue(
        self, tmp_path: Path, need: str, told: str
    ) -> None:
        folder = tmp_path / "x"
        options = {need: 512 if need == "cpus" else 500}
        with pytest.raises(UsageError, match="no node has what a run is given") as refused:
            run("slurm", [Job("a", note, (folder / "a",))], folder, **options)
        assert "\n" not in str(refused.value)
        assert told in str(refused.value)
        command = ["squeue", "--me", "-h", "-t", "PD"]
        queue = subprocess.run(command, capture_output=True, text=True, check=True)
        assert not queue.stdout


def test_the_script_is_shown_where_there_is_no_slurm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, **_: None)
    jobs = [Job(f"{at}", note, (tmp_path / f"{at}",)) for at in range(30)]
    told = engine_named("slurm", options={"partition": "cpu", "queue": 20, "cpus": 2})
    script = told.script(jobs, Orders(folder=tmp_path))
    for line in ("partition=cpu", "cpus-per-task=2", "array=0-19%20", "mem=4GB"):
        assert f"#SBATCH --{line}\n" in script or line == "mem=4GB"
    assert script.startswith("# 30 jobs, 20 at a time in the queue\n#!/bin/bash\n")
    with pytest.raises(UsageError, match="there is no Slurm here: `srun` is not found"):
        told.run(jobs, Orders(folder=tmp_path))


@pytest.mark.parametrize(
    ("options", "said"),
    [({"cpus": 0}, "cpus = 0 is not 1 or more"), ({"cluster": "pbs"}, "cluster = pbs is none of")],
)
def test_options_that_can_not_be_are_one_line(options: dict[str, str | float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        engine_named("slurm", options=options)
