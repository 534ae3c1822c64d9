"""Nothing outlives a program: after Ctrl-C, SIGTERM or the end of its first process. For real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from conftest import SMALL
from test_words import ROOT

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")

PROGRAM = """
import os, sys, time
from pathlib import Path
from rlhf_testbed.engine.job import Job
from rlhf_testbed.engine.local import run_side_by_side
from rlhf_testbed.shared.errors import reported
from rlhf_testbed.shared.progress import Step

def work(watcher, folder, stubborn):
    Path(folder, "running").open("a").write("x")
    try:
        for at in range(600):
            watcher(Step(at, 600, ""))
            try:
                time.sleep(0.1)
            except BaseException:
                if not stubborn:
                    raise
    finally:
        Path(folder, "cleaned").open("a").write("x")

if __name__ == "__main__":
    folder, stubborn = sys.argv[1], sys.argv[2] == "stubborn"
    with reported():
        run_side_by_side([Job(f"job {at}", work, (folder, stubborn)) for at in range(4)], 2)
"""
SOON = 5.0 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
"""Seconds in which all must have ended: five, and more where others use the machine."""


def heard() -> None:
    """A shell ignores Ctrl-C for what it starts in the background, these tests perhaps."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Program:
    """A program in a session of its own, by which all its processes are known."""

    def __init__(self, arguments: Sequence[str], cache: Path) -> None:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        told = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "RLHF_TESTBED_CACHE": str(cache)}
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            env=os.environ | told,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=heard,
        )

    def all(self) -> list[int]:
        """Every process of the session that has not ended."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                told = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(told[3]) == self.process.pid and told[0] != "Z":
                found.append(int(stat.parent.name))
        return found

    def ended_soon(self) -> tuple[int, str]:
        """Exit status, and what it said on standard error, once nothing is left of it."""
        until = time.monotonic() + SOON
        while self.all() and time.monotonic() < until:
            self.process.poll()
            time.sleep(0.05)
        assert self.all() == []
        return self.process.wait(), self.process.communicate()[1]

    def kill(self) -> None:
        """Ends what a failed test leaves behind."""
        for pid in self.all():
            os.kill(pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Program]:
    """The program with two jobs under way."""
    (tmp_path / "program.py").write_text(PROGRAM)
    how = getattr(request, "param", "obliging")
    program = Program([str(tmp_path / "program.py"), str(tmp_path), how], tmp_path / "cache")
    notes = tmp_path / "running"
    until = time.monotonic() + 60
    while not (notes.exists() and notes.read_text() == "xx") and time.monotonic() < until:
        time.sleep(0.05)
    assert len(program.all()) >= 4, "the program, what it forks from, and two jobs"
    yield program
    program.kill()


@pytest.mark.parametrize("running", ["obliging", "stubborn"], indirect=True)
def test_jobs_end_with_the_program_that_started_them(running: Program, tmp_path: Path) -> None:
    running.process.kill()
    status, said = running.ended_soon()
    assert status == -signal.SIGKILL
    assert "Traceback" not in said
    assert "BrokenPipe" not in said
    stubborn = not (tmp_path / "cleaned").exists()
    assert stubborn or (tmp_path / "cleaned").read_text() == "xx"


@pytest.mark.parametrize(
    ("number", "everywhere", "again"),
    [
        (signal.SIGINT, True, False),
        (signal.SIGINT, True, True),
        (signal.SIGINT, False, True),
        (signal.SIGTERM, True, True),
        (signal.SIGTERM, False, False),
    ],
    ids=["ctrl-c", "ctrl-c twice", "parent alone", "terminated twice", "parent alone terminated"],
)
def test_an_interrupt_ends_all_of_it(
    running: Program, number: int, everywhere: bool, again: bool, tmp_path: Path
) -> None:
    for _ in range(1 + again):
        send = os.killpg if everywhere else os.kill
        send(running.process.pid, number)
        time.sleep(0.3 * again)
    status, said = running.ended_soon()
    assert status == 128 + number
    assert said.endswith("\ninterrupted\n")
    assert "Traceback" not in said
    # Two of them, unless one has not the two seconds of the processor that it is given.
    assert (tmp_path / "cleaned").read_text() in ("x", "xx")


@pytest.mark.parametrize("running", ["stubborn"], indirect=True)
def test_a_job_that_will_not_end_is_ended(running: Program) -> None:
    os.kill(running.process.pid, signal.SIGINT)
    assert running.ended_soon()[0] == 130


def _until_it_says(program: Program, what: str) -> None:
    assert program.process.stderr is not None
    for line in program.process.stderr:
        if what in line:
            return
    pytest.fail(f"never said {what!r}")


def test_a_training_command_ends_cleanly(tmp_path: Path) -> None:
    job = [*SMALL, "--arm", "both", "--base_steps", "5000", "--output_dir", str(tmp_path / "run")]
    program = Program(["-m", "rlhf_testbed.train", *job], tmp_path / "cache")
    try:
        _until_it_says(program, "1/5000")
        os.kill(program.process.pid, signal.SIGTERM)
        status, said = program.ended_soon()
    finally:
        program.kill()
    assert status == 143
    assert said.endswith("\ninterrupted\n")
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.parametrize("processes", [3, 4], ids=["importing", "at work"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_experiment_says_how_to_go_on(number: int, processes: int, tmp_path: Path) -> None:
    """Itself, what tidies up and what it forks from; then the job that makes a base policy."""
    config = tmp_path / "x.yaml"
    config.write_text("task: corridor\narms: [both]\nseeds: 0\nbase_steps: 5000\n")
    words = ["experiment", str(config), "--output_dir", str(tmp_path / "runs"), "--workers", "1"]
    program = Program(["-c", "from rlhf_testbed.cli import main; main()", *words], tmp_path)
    try:
        while program.process.poll() is None and len(program.all()) < processes:
            time.sleep(0.05)
        os.killpg(program.process.pid, number)
        status, said = program.ended_soon()
    finally:
        program.kill()
    assert status == 128 + number
    assert said.endswith("\nThe same command goes on with what is missing.\n\ninterrupted\n")
    assert "Traceback" not in said
