"""Files that somebody has cut, emptied or edited: one line names the file and what it lacks."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rlhf_testbed import cli
from rlhf_testbed.errors import UsageError, reported
from rlhf_testbed.evaluate import read_measures
from rlhf_testbed.population import load_population
from rlhf_testbed.run_directory import RunDirectory
from scripted_runs import write_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path / "run", updates=1, episodes=2)
    return tmp_path / "run"


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command that must end with status 2 says, in one line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["rlhf-testbed", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "damaged: not readable as JSON (Expecting property name"),
        ("", "damaged: not readable as JSON (Expecting value"),
        ("null", "damaged, or from another version: $: None is not of type 'object'"),
        ("{}", "damaged, or from another version: $: 'updates' is a required property"),
        ("\udcff", "damaged: no text in UTF-8 (invalid start byte)"),
    ],
)
@pytest.mark.parametrize("command", ["evaluate", "latent"])
def test_how_training_finished(
    command: str, content: str, says: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "finished.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert f"error: {run}/finished.json: {says}" in said(capsys, command, str(run))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            "task: corridor",
            "config.yaml: damaged, or from another version: $: 'seed' is a required property",
        ),
        ("just text", "config.yaml: must be a mapping of settings"),
        ("a: b: c", "config.yaml: not readable as YAML"),
        (
            "{task: briefing, seed: 0, overseer: scripted, knowledge: 0}",
            "run: overseer FullKnowledge failed to judge: KeyError: 'answer' (task Briefing, brief",
        ),
    ],
)
def test_an_edited_config(
    content: str, says: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "config.yaml").write_text(content)
    assert says in said(capsys, "inspect", str(run))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: shutil.rmtree(folder), "policy: is not there, though training has finish"),
        (lambda folder: (folder / "config.json").write_text("{"), "policy: can't be loaded (It"),
    ],
)
def test_a_policy(
    damage: Callable[[Path], object], says: str, trained: Path, tmp_path: Path
) -> None:
    from rlhf_testbed.train import load_policy

    shutil.copytree(trained, tmp_path / "run")
    damage(tmp_path / "run" / "policy")
    with pytest.raises(UsageError) as raised:
        load_policy(RunDirectory(tmp_path / "run"))
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_measures_a_base_population_and_a_kept_policy(run: Path) -> None:
    folder = RunDirectory(run).evaluation("full_knowledge")
    (folder / "measures.json").write_text('{"threat_1": ')
    with pytest.raises(UsageError, match=r"measures\.json: damaged: not readable as JSON"):
        read_measures(folder)
    with pytest.raises(UsageError, match=rf"can't be loaded .*: delete {run}, and it is built ane"):
        load_population(run)
    (run / "kept" / "0odd").mkdir(parents=True)
    (run / "kept" / "00002").mkdir()
    assert list(RunDirectory(run).kept) == [2]


def test_a_place_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    config = tmp_path / "x.yaml"
    config.write_text("task: corridor\n")
    for place, why in ((file, ""), (file / "below", "can't be made: ")):
        told = said(capsys, "experiment", str(config), "--output_dir", str(place))
        assert told == f"error: {place}: {why}Not a directory\n"
    with pytest.raises(SystemExit), reported():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/x")
    assert capsys.readouterr().err == "error: runs/x: No space left on device\n"
    with pytest.raises(FileNotFoundError), reported():
        raise FileNotFoundError(errno.ENOENT, "a fault of ours", "x")
