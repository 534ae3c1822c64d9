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
from rlhf_testbed.policy.base_policy import load_base_policy
from rlhf_testbed.shared.errors import UsageError, reported
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import Measures
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
        ("{", "damaged, or from another version: Invalid JSON: EOF while parsing an object"),
        ("", "damaged, or from another version: Invalid JSON: EOF while parsing a value"),
        ("null", "damaged, or from another version: Input should be an object"),
        ("{}", "damaged, or from another version: method: Field required"),
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
            "task: corridor\nsead: 1",
            "config.yaml: setting 'sead' is unknown (did you mean 'seed'?)",
        ),
        ("just text", "config.yaml: must be a mapping of settings"),
        ("a: b: c", "config.yaml: not readable as YAML"),
        (
            "{task: corridor, seed: 0, overseer: scripted, knowledge: 0}",
            "config.yaml: damaged, or from another version: adam_beta1, adam_beta2, adam_epsilon",
        ),
    ],
)
def test_an_edited_config(
    content: str, says: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "config.yaml").write_text(content)
    assert says in said(capsys, "inspect", str(run))


def test_a_config_of_another_task(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("task: corridor", "task: briefing"))
    said_then = said(capsys, "inspect", str(run))
    assert "run: task Briefing: _telling: KeyError: 'asked' (briefing.py" in said_then


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
    from rlhf_testbed.judging.overseers import training_overseer
    from rlhf_testbed.policy.base_policy import load_base_policy
    from rlhf_testbed.policy.language_policy import LanguagePolicy
    from rlhf_testbed.selection.ppo import PPO
    from rlhf_testbed.store.base_kept import base_folder

    shutil.copytree(trained, tmp_path / "run")
    directory = RunDirectory.open(tmp_path / "run")
    settings = directory.settings()
    base = LanguagePolicy.of(load_base_policy(base_folder(directory)), settings.task)
    damage(directory.policy)
    with pytest.raises(UsageError) as raised:
        PPO.policy(settings, directory, base, training_overseer(settings))
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_measures_a_base_policy_and_a_checkpoint(run: Path) -> None:
    directory = RunDirectory(run)
    (directory.evaluation() / "measures.json").write_text('{"threat_1": ')
    with pytest.raises(UsageError, match=r"measures\.json: damaged, or from another version: Inv"):
        directory.evaluated(Measures)
    (directory.evaluation() / "measures.json").unlink()
    with pytest.raises(UsageError, match=r"measures\.json is not there \(rlhf-testbed evaluate "):
        directory.evaluated(Measures)
    with pytest.raises(UsageError, match=rf"can't be loaded .*: delete {run}, and it is built ane"):
        load_base_policy(run)
    (run / "checkpoints" / "0odd").mkdir(parents=True)
    (run / "checkpoints" / "00002").mkdir()
    assert list(directory.checkpoints) == [2]


def test_a_run_of_the_old_layout(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "base.json").unlink()
    told = said(capsys, "inspect", str(run))
    assert told.startswith(f"error: {run}: a run of the old layout, which names no base policy")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (
            lambda folder: shutil.rmtree(folder),
            "is not at .*base any more, and nothing is measured",
        ),
        (lambda folder: (folder / "more.txt").write_text("x"), "has changed: .* now has the hash "),
    ],
)
def test_the_base_policy_of_a_run(
    damage: Callable[[Path], object], says: str, trained: Path, tmp_path: Path
) -> None:
    from rlhf_testbed.store.base_kept import base_folder

    shutil.copytree(trained, tmp_path / "run")
    directory = RunDirectory.open(tmp_path / "run")
    damage(base_folder(directory))
    with pytest.raises(UsageError, match=says):
        base_folder(directory)


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
