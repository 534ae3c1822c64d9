"""A grid that heals: what dies is told, tried again and stops no other, and status says how far."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from conftest import SMALL
from rlhf_testbed import cli
from rlhf_testbed.engine.board import Board, Jobs, JobState
from rlhf_testbed.engine.job import Failure, Job, JobsFailed, Orders, engine_named
from rlhf_testbed.experiment.jobs import train_and_evaluate
from rlhf_testbed.experiment.plan import plan
from rlhf_testbed.experiment.run import run_experiment
from rlhf_testbed.experiment.status import FRESH, status
from rlhf_testbed.report.status import print_status
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.progress import Watcher
from rlhf_testbed.shared.record import read, write
from rlhf_testbed.store.experiment_records import Results
from rlhf_testbed.store.in_use import held


def note(watcher: Watcher, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as told:
        told.write("x")


def die(watcher: Watcher, file: Path, times: int) -> None:
    """Is killed so many times, as what needs more memory than there is."""
    note(watcher, file)
    print("almost\nthere", flush=True)
    if len(file.read_text()) <= times:
        os.kill(os.getpid(), signal.SIGKILL)


def stumble(watcher: Watcher, file: Path) -> None:
    note(watcher, file)
    raise KeyError("coin")


def refuse(watcher: Watcher, file: Path) -> None:
    note(watcher, file)
    raise UsageError("x is too small")


def ended(tmp_path: Path, jobs: list[Job], retries: int) -> tuple[list[Failure], Jobs]:
    """What failed for good, and what was filed."""
    orders = Orders(workers=2, retries=retries, folder=tmp_path)
    failures: list[Failure] = []
    try:
        engine_named("local").run(jobs, orders)
    except JobsFailed as failed:
        failures = failed.failures
    return failures, read(tmp_path / Jobs.file, Jobs)


@pytest.mark.slow
def test_what_dies_is_tried_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    jobs = [Job("once", die, (tmp_path / "a", 1)), Job("well", note, (tmp_path / "b",))]
    failures, told = ended(tmp_path, jobs, retries=1)
    assert failures == []
    assert ((tmp_path / "a").read_text(), (tmp_path / "b").read_text()) == ("xx", "x")
    assert [(job.state, job.tries) for job in told.jobs] == [("ended", 2), ("ended", 1)]
    assert told.ended
    assert "once: the process was killed by SIGKILL" in capfd.readouterr().err.replace("\n", " ")


@pytest.mark.slow
def test_what_dies_too_often_is_told_with_its_last_lines_and_stops_no_other(
    tmp_path: Path,
) -> None:
    jobs = [
        Job("twice", die, (tmp_path / "a", 2)),
        Job("raises", stumble, (tmp_path / "b",)),
        Job("refuses", refuse, (tmp_path / "c",)),
        Job("well", note, (tmp_path / "d",)),
    ]
    failures, told = ended(tmp_path, jobs, retries=1)
    assert failures[0] == Failure(
        "twice",
        "the process was killed by SIGKILL (out of memory, or somebody else)\n"
        "  almost\n  there\n  almost\n  there",
        usage=False,
    )
    assert failures[1].said.rstrip().endswith("KeyError: 'coin'")
    assert failures[2] == Failure("refuses", "x is too small", usage=True)
    assert [(tmp_path / name).read_text() for name in "abcd"] == ["xx", "xx", "x", "x"]
    assert [job.state for job in told.jobs] == ["failed", "failed", "failed", "ended"]
    assert told.jobs[0].said == failures[0].said
    logs = {file.name: file.read_text() for file in (tmp_path / "logs").iterdir()}
    assert logs == {"twice.log": "almost\nthere\n" * 2}


def test_a_job_that_never_begins_is_not_tried_for_ever(tmp_path: Path) -> None:
    """As on a cluster where it is lost on its way."""
    board = Board([Job("a", print, ())], 1, "slurm", Orders(retries=2))
    failure = Failure("a", "lost", usage=False)
    assert [board.ended(0, failure) for _ in range(3)] == [True, True, False]
    with pytest.raises(JobsFailed, match="a: lost"):
        board.close()


def filed(folder: Path, **values: object) -> Jobs:
    """An experiment's folder as somebody leaves it who is in it, or was."""
    folder.mkdir(parents=True)
    (folder / "experiment.yaml").write_text("config: {}\n")
    now = time.time()
    told = Jobs(
        **{
            **{"engine": "local", "host": socket.gethostname(), "process": 1, "at_once": 2},
            **{"began": now - 100, "told": now, "ended": False, "done": 3, "to_come": 1},
            "jobs": [
                JobState(title="a", state="ended", tries=1, began=now - 100, took=40.0),
                JobState(title="b", state="running", tries=2, began=now - 10, done=25, total=100),
                JobState(title="c", state="failed", tries=2, said="killed by SIGKILL\n  last"),
                JobState(title="d", tries=1, said="killed by SIGKILL"),
                JobState(title="e"),
            ],
            **values,
        }
    )
    write(folder / Jobs.file, told)
    return told


def test_status_tells_what_is_done_runs_failed_and_is_left(tmp_path: Path) -> None:
    told = filed(tmp_path / "x")
    with held(tmp_path / "x"):
        found = status(tmp_path / "x", told.told)
    assert found.counts == {"done": 4, "running": 1, "broken off": 0, "failed": 1, "left": 3}
    assert found.who.startswith(f"process {os.getpid()} on {socket.gethostname()} since ")
    # Each takes 40 s, as the one that ended did and the other seems to: 30 left, and 3 wait for 2.
    assert found.left == pytest.approx((30 + 3 * 40) / 2)
    assert [job.title for job in found.again] == ["d"]
    gone = status(tmp_path / "x", told.told)
    assert (gone.counts["running"], gone.counts["broken off"], gone.left) == (0, 1, None)
    assert gone.who == ""


def test_status_of_an_experiment_that_runs_on_another_machine(tmp_path: Path) -> None:
    """Its lock may not be seen here: that it says something is."""
    told = filed(tmp_path / "x", host="node-7", process=4711)
    assert status(tmp_path / "x", told.told + 5).who == "process 4711 on node-7"
    assert status(tmp_path / "x", told.told + FRESH + 1).who == ""


def test_the_command_prints_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    filed(tmp_path / "x")
    monkeypatch.setattr(sys, "argv", ["rlhf-testbed", "experiment", "status", str(tmp_path / "x")])
    with pytest.raises(SystemExit) as over:
        cli.main()
    assert over.value.code == 0
    assert capsys.readouterr().out.splitlines() == [
        "4 done, 1 broken off, 1 failed, 3 left",
        "engine local, 2 at a time",
        "in the folder: nobody; the same command goes on",
        "broken off: b at 25/100, try 2",
        "to be tried again: d: killed by SIGKILL",
        "failed: c, try 2: killed by SIGKILL",
        "  last",
    ]


def test_of_many_some_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [JobState(title=f"{at}", state="failed", tries=2, said="no") for at in range(500)]
    filed(tmp_path / "x", jobs=jobs)
    print_status(status(tmp_path / "x"), Console(width=80))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "3 done, 500 failed, 1 left"
    assert lines[-1] == "failed: and 480 more"
    assert len(lines) < 30


@pytest.mark.parametrize("made", [False, True], ids=["no experiment", "not begun"])
def test_status_of_what_is_none_is_one_line(made: bool, tmp_path: Path) -> None:
    if made:
        (tmp_path / "experiment.yaml").write_text("config: {}\n")
    with pytest.raises(UsageError, match=r"nothing is known of its jobs|no experiment"):
        status(tmp_path)


def test_two_never_work_in_one_run(tmp_path: Path) -> None:
    """A cluster's job may outlive the command that handed it in, which is then given again."""
    run = parse_run([*SMALL, "--arm", "both", "--output_dir", str(tmp_path / "both" / "seed-1")])
    (tmp_path / "both").mkdir()
    with held(run.output_dir), pytest.raises(UsageError, match=r"seed-1: is in use by process"):
        train_and_evaluate(lambda step: None, run, tmp_path / "base")
    assert not run.output_dir.exists()


OVERSEER = """
from rlhf_testbed.overseers.scripted import Scripted
class Fragile(Scripted):
    summary = "as scripted, and fails where training has got to its second update"
    judged = 0
    def judge(self, response, view):
        type(self).judged += 1
        if self.sight.knowledge == 0 and type(self).judged > 70:
            raise KeyError("coin")
        return super().judge(response, view)
"""


@pytest.mark.slow
def test_runs_that_fail_leave_the_results_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fragile.py").write_text(OVERSEER)
    small = dict(zip((word[2:] for word in SMALL[::2]), SMALL[1::2], strict=True))
    settings = {**small, "task": "corridor", "overseer": "fragile:Fragile", "seeds": "0-1"}
    lines = [f"{name}: {value}" for name, value in settings.items()]
    (tmp_path / "x.yaml").write_text("\n".join([*lines, "arms: [neither, both]", ""]))
    planned = plan("x.yaml")
    with pytest.raises(JobsFailed) as raised:
        run_experiment(planned, orders=Orders(workers=2))
    assert sorted(one.title for one in raised.value.failures) == ["both, seed 0", "both, seed 1"]
    results = read(planned.folder / Results.file, Results)
    assert {name: len(arm.seeds) for name, arm in results.arms.items()} == {"neither": 2}
    assert status(planned.folder).counts["failed"] == 2
    (tmp_path / "fragile.py").write_text(OVERSEER.replace("> 70", "> 1_000_000"))
    with pytest.raises(UsageError, match=r"the source of fragile:Fragile has changed"):
        run_experiment(planned, orders=Orders(workers=2))


@pytest.mark.slow
def test_nothing_is_trained_from_a_new_base_policy_that_does_not_pass(tmp_path: Path) -> None:
    small = dict(zip((word[2:] for word in SMALL[::2]), SMALL[1::2], strict=True))
    settings = {**small, "task": "corridor", "arms": "[both]", "seeds": "0"}
    config = tmp_path / "x.yaml"
    config.write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))
    planned = plan(str(config), output_dir=str(tmp_path / "out"))
    with pytest.raises(UsageError, match="gates are not passed, and nothing was trained: "):
        run_experiment(planned, orders=Orders(workers=1), stop_at_gates=True)
    assert not list(planned.folder.glob("*/seed-*"))
    assert planned.gates_file(0).is_file()
