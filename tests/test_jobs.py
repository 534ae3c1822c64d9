"""Jobs side by side: what one says when it fails, and that the others go on."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from rlhf_testbed import cli
from rlhf_testbed.engine import local, worker
from rlhf_testbed.engine.job import Engine, Failure, Job, JobsFailed, engine_named
from rlhf_testbed.engine.local import run_alone, run_side_by_side
from rlhf_testbed.engine.worker import Ended
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.progress import Watcher


def leave_a_note(watcher: Watcher, file: Path) -> None:
    file.write_text("done")


def refuse(watcher: Watcher, what: str) -> None:
    raise UsageError(f"{what} is too small")


def write_below(watcher: Watcher, file: Path) -> None:
    (file / "below").write_text("no")


def stumble(watcher: Watcher) -> None:
    raise KeyError("coin")


def test_a_job_that_fails_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    note = tmp_path / "note"
    with pytest.raises(JobsFailed) as raised:
        run_side_by_side([Job("first", refuse, ("x",)), Job("second", leave_a_note, (note,))], 1)
    assert raised.value.failures == [Failure("first", "x is too small", usage=True)]
    assert note.read_text() == "done"
    with pytest.raises(UsageError, match="y is too small"):
        run_alone(Job("alone", refuse, ("y",)))


def test_an_engine_is_found_by_its_name(tmp_path: Path) -> None:
    engine = engine_named("local")
    assert isinstance(engine, Engine)
    engine.run([Job("one", leave_a_note, (tmp_path / "note",))])
    assert (tmp_path / "note").read_text() == "done"
    with pytest.raises(UsageError, match=r"--engine 'lokal' is unknown .did you mean 'local'"):
        engine_named("lokal", "--engine")


def sent(job: Job) -> list[Any]:
    told: list[Any] = []
    worker.perform(job, told.append)
    return told


def test_bad_input_is_a_line_and_a_fault_of_ours_a_traceback(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    assert sent(Job("a", leave_a_note, (file,))) == [Ended()]
    assert sent(Job("a", refuse, ("x",))) == [Failure("a", "x is too small", usage=True)]
    said = f"{file / 'below'}: Not a directory"
    assert sent(Job("a", write_below, (file,))) == [Failure("a", said, usage=True)]
    ((_, traceback, usage),) = sent(Job("a", stumble, ()))
    assert traceback.startswith("Traceback")
    assert traceback.rstrip().endswith("KeyError: 'coin'")
    assert not usage


def test_a_job_knows_nothing_of_a_launch_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its trainer would wait for the other processes, which do not train."""
    for name in worker.LAUNCHED:
        monkeypatch.setenv(name, "2")
    sent(Job("a", leave_a_note, (Path(os.devnull),)))
    assert not set(worker.LAUNCHED) & set(os.environ)


@pytest.mark.parametrize(("usage", "status"), [(True, 2), (False, 1)])
def test_an_experiment_says_which_run_failed(
    usage: bool,
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(*_: object) -> None:
        raise JobsFailed([Failure("both, seed 3", "overseer Odd must judge", usage)])

    config = tmp_path / "x.yaml"
    config.write_text("task: corridor\n")
    monkeypatch.setattr("rlhf_testbed.experiment.run.run_experiment", fails)
    monkeypatch.setattr(sys, "argv", ["rlhf-testbed", "experiment", str(config)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == status
    assert capsys.readouterr().err.splitlines() == [
        "error: both, seed 3: overseer Odd must judge",
        "The other runs are kept: the same command goes on with what failed.",
    ]


@pytest.mark.parametrize(("told", "failed"), [([Ended()], False), ([], True)])
def test_what_a_job_told_counts_and_not_its_exit_status(
    told: list[Ended], failed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads start and join processes: Python may read a status of 255 of one that went well,
    since it reads each once, and looks at all whenever one is started. Seen in an experiment."""

    class Ended:
        exitcode = 255

        def start(self) -> None:
            """It has run already."""

        join = close = start

    class Context:
        def Process(self, **_: object) -> Ended:  # noqa: N802
            return Ended()

        def Pipe(self, duplex: bool) -> tuple[object, Ended]:  # noqa: N802
            messages = iter(told)

            class Connection:
                def recv(self) -> Ended:
                    for message in messages:
                        return message
                    raise EOFError

            return Connection(), Ended()

    monkeypatch.setattr(local, "start_server", lambda preload: Context())
    job = Job("one", print, ())
    if not failed:
        local.run_side_by_side([job])
        return
    with pytest.raises(JobsFailed) as found:
        local.run_side_by_side([job])
    assert found.value.failures[0].said == "the process ended with status 255"
