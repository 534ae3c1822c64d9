"""A run that was stopped goes on where it was, and ends as if nothing had happened."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from conftest import SMALL
from rlhf_testbed.selection import states
from rlhf_testbed.selection.job import train
from rlhf_testbed.selection.method import Method
from rlhf_testbed.selection.ppo import PPO
from rlhf_testbed.selection.resuming import reopened
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.settings.resuming import Resuming, parse_resuming
from rlhf_testbed.shared import files
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.progress import Step
from rlhf_testbed.store import ledger
from rlhf_testbed.store.run_directory import RunDirectory

# Twelve updates, four to a pass over the data: states lie within passes and at their ends.
RUN = [*SMALL, "--arm", "both", "--seed", "3", "--total_episodes", "192", "--save_steps", "2"]
UPDATES = 12
CONSTANT = ["--lr_scheduler_type", "constant"]
ACCUMULATED = ["--num_mini_batches", "2", "--gradient_accumulation_steps", "2"]
VARIATIONS = {
    "constant": CONSTANT,
    "exact": ["--exact", "true"],
    "lora": ["--use_peft", "true"],
    "minibatches": ACCUMULATED,
    "sgd": ["--optim", "sgd", "--learning_rate", "0.01"],
    "adafactor": ["--optim", "adafactor", "--warmup_steps", "3"],
    "drift": ["--scores", "shuffled"],
    "bounds": ["--max_grad_norm", "0.1", "--target_kl", "0.0001", *ACCUMULATED],
    "best of n": ["--method", "best_of_n", "--completions", "4"],
}


QUICK = ("minibatches", "best of n")
"""Variations that are tried every time."""


class Killed(Exception):
    """Stands for whatever ends a process."""


def _train(
    folder: Path, arguments: Sequence[str] = (), stop: int = 0, resume: bool = False
) -> RunDirectory:
    """Trains, and is stopped after an update where that is named."""

    def watcher(step: Step) -> None:
        if stop and step.done == stop and "approved" in step.note:
            raise Killed

    words = [*RUN, *arguments, "--output_dir", str(folder)]
    if "best_of_n" in words:  # which has no checkpoints
        at = words.index("--checkpoint_every")
        del words[at : at + 2]
    with suppress(Killed):
        train(parse_run(words), watcher, resume=resume)
    return RunDirectory(folder)


def _content(run: RunDirectory) -> dict[str, str]:
    """Hashes of what selection made: ledger, checkpoints, policy, by file."""
    return {
        str(file.relative_to(run.path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for folder in (run.ledger, run.policy, run.path / "checkpoints")
        for file in sorted(folder.rglob("*.[ps]a*"))
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a run that was never stopped ends in."""
    return _content(_train(tmp_path_factory.mktemp("whole") / "run"))


@pytest.fixture
def stopped(tmp_path: Path) -> RunDirectory:
    """A run that was stopped after update 7, with states of updates 4 and 6."""
    run = _train(tmp_path / "run", stop=7)
    assert not run.finished
    assert ledger.last_update(run.ledger) == 7
    assert _states(run) == [4, 6]
    return run


def _states(run: RunDirectory) -> list[int]:
    return sorted(int(folder.name) for folder in (run.path / "state").iterdir())


@pytest.mark.parametrize(
    "variation",
    [
        pytest.param(words, id=name, marks=[] if name in QUICK else pytest.mark.slow)
        for name, words in VARIATIONS.items()
    ],
)
def test_a_run_that_was_stopped_ends_in_the_same_bytes(
    variation: list[str], tmp_path: Path
) -> None:
    whole = _train(tmp_path / "whole", variation)
    assert any(name.startswith("ledger") for name in _content(whole))
    stops = (1, 3, whole.summary().updates - 1)
    for at, stop in enumerate(stops):
        run = _train(tmp_path / "stopped", variation, stop, resume=at > 0)
        assert not run.finished
    run = _train(tmp_path / "stopped", variation, resume=True)
    assert _content(run) == _content(whole)
    assert run.summary().updates == whole.summary().updates


def test_a_run_that_was_stopped_before_its_first_state_begins_again(
    tmp_path: Path, whole: dict[str, str]
) -> None:
    run = _train(tmp_path / "run", stop=1)
    assert not (run.path / "state").exists()
    assert _content(_train(run.path, resume=True)) == whole


def test_a_method_that_keeps_no_state_begins_again(
    tmp_path: Path, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of the user's own does that says nothing of it."""
    monkeypatch.setattr(PPO, "state", Method.state)
    run = _train(tmp_path / "run", stop=7)
    assert not (run.path / "state").exists()
    assert _content(_train(run.path, resume=True)) == whole


@pytest.mark.slow
def test_states_are_kept_to_a_limit_and_end_with_a_run_that_can_not_go_on(tmp_path: Path) -> None:
    run = _train(tmp_path / "run", ["--save_total_limit", "3"], stop=11)
    assert _states(run) == [6, 8, 10]
    assert not (_train(run.path, ["--save_total_limit", "3"], resume=True).path / "state").exists()
    assert _states(_train(tmp_path / "constant", CONSTANT)) == [10, 12]
    assert not (_train(tmp_path / "none", ["--save_steps", "0"], stop=5).path / "state").exists()


def test_a_state_that_could_not_be_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, str]
) -> None:
    """A full disk: one line, and the run goes on later to the same end."""
    save, calls = states.save_file, []

    def full(tensors: object, file: Path) -> None:
        calls.append(file)
        if len(calls) == 3:
            file.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        save(tensors, file)  # type: ignore[arg-type]

    monkeypatch.setattr(states, "save_file", full)
    with pytest.raises(UsageError, match="00006: can't be written: No space left on device"):
        _train(tmp_path / "run")
    monkeypatch.undo()
    run = RunDirectory(tmp_path / "run")
    assert _states(run) == [2, 4]
    assert _content(_train(run.path, resume=True)) == whole


def test_what_a_kill_left_half_done_is_cleared_away(stopped: RunDirectory) -> None:
    (stopped.path / "state" / ".00008.1.part").mkdir()
    (stopped.path / "state" / "00008").mkdir()  # its record went first
    (stopped.path / "checkpoints" / ".00008.1.part").mkdir()
    run = _train(stopped.path, resume=True)
    assert run.finished
    assert not list(run.path.rglob("*.part"))


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda f: (f / "state.safetensors").write_bytes(b"cut"), "damaged: state.safetensors is"),
        (lambda f: (f / "state.safetensors").unlink(), "damaged: state.safetensors is"),
        (lambda f: (f / "state.json").write_text('{"update": 6'), "damaged, or from another"),
        (lambda f: (f / "optimizer.pt").write_bytes(b"\x80\x04"), "holds optimizer.pt, which no"),
        (lambda f: _told(f, "learning_rate", 1.0), "learning_rate is 1.0 there, 0.0008 here"),
        (lambda f: _told(f, "torch", "1.0"), "torch is 1.0 there"),
        (lambda f: _told(f, "base policy", "0"), "base policy is 0 there"),
        (lambda f: _told(f, "task", "inspection"), "task is inspection there, corridor here"),
        (lambda f: _told(f, "number of processes", 2), "number of processes is 2 there, 1 here"),
    ],
)
def test_a_state_that_can_not_be_taken_is_told_and_nothing_changes(
    spoil: object, line: str, stopped: RunDirectory
) -> None:
    spoil(stopped.path / "state" / "00006")  # type: ignore[operator]
    before = {file: file.stat().st_mtime_ns for file in stopped.path.rglob("*")}
    with pytest.raises(UsageError, match=line) as told:
        _train(stopped.path, resume=True)
    assert "\n" not in str(told.value)
    assert str(stopped.path / "state" / "00006") in str(told.value)
    assert {file: file.stat().st_mtime_ns for file in stopped.path.rglob("*")} == before


def _told(folder: Path, name: str, value: object) -> None:
    """A state that says something else of what it is of."""
    content = json.loads((folder / "state.json").read_text())
    assert name in content["of"]
    content["of"][name] = value
    (folder / "state.json").write_text(json.dumps(content))


def test_the_state_before_a_damaged_one_is_taken_when_that_is_deleted(
    stopped: RunDirectory, whole: dict[str, str]
) -> None:
    shutil.rmtree(stopped.path / "state" / "00006")
    assert _content(_train(stopped.path, resume=True)) == whole


def test_a_finished_run_is_made_longer_where_its_schedule_allows(tmp_path: Path) -> None:
    whole = _train(tmp_path / "whole", [*CONSTANT, "--total_episodes", "320"])
    run = _train(tmp_path / "run", CONSTANT)
    short = _content(run)
    train(reopened(Resuming(run.path, 20)), lambda step: None, resume=True)
    assert run.summary().updates == 20
    assert _content(run) == _content(whole)
    kept = run.path / "earlier" / "00012"
    assert sorted(each.name for each in kept.iterdir()) == [
        "config.yaml",
        "finished.json",
        "policy",
    ]
    policy = (kept / "policy" / "model.safetensors").read_bytes()
    assert hashlib.sha256(policy).hexdigest() == short["policy/model.safetensors"]
    assert run.settings().selection.total_episodes == 320


def test_a_run_that_can_not_be_made_longer_says_why(tmp_path: Path, stopped: RunDirectory) -> None:
    linear = _train(tmp_path / "linear")
    for run in (linear, stopped):
        with pytest.raises(
            UsageError, match="linear brings the learning rate to its end at update 12"
        ):
            reopened(Resuming(run.path, 20))
    with pytest.raises(UsageError, match="has 12 updates already"):
        reopened(Resuming(linear.path, 12))
    with pytest.raises(UsageError, match="has finished its 12 updates: there is nothing to go on"):
        reopened(Resuming(linear.path, None))
    bare = _train(tmp_path / "bare", [*CONSTANT, "--save_steps", "0"])
    with pytest.raises(UsageError, match="keeps no state of update 12"):
        reopened(Resuming(bare.path, 20))
    assert reopened(Resuming(stopped.path, None)).seed == 3


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--resume"], "--resume needs one value"),
        (["--resume", "x", "--resume", "y"], "--resume needs one value"),
        (["--resume", "x", "--seed", "4"], "--seed can't be given with --resume"),
        (["--resume", "x", "--updates", "0"], "updates = 0 is not 1 or more"),
        (["--resume=x", "--updates=many"], "updates = many is not 1 or more"),
        (["--updates", "7"], "--updates goes with --resume RUN"),
    ],
)
def test_what_can_not_be_asked_for_is_told(words: list[str], line: str) -> None:
    with pytest.raises(UsageError, match=f"command line: {line}"):
        parse_resuming(words)


def test_an_unfinished_run_of_an_experiment_goes_on(tmp_path: Path, whole: dict[str, str]) -> None:
    from rlhf_testbed.experiment.jobs import train_and_evaluate

    folder = tmp_path / "both" / "seed-3"
    run = _train(folder, stop=7)
    steps: list[Step] = []
    told = parse_run([*RUN, "--output_dir", str(folder)])
    train_and_evaluate(steps.append, told, tmp_path / "base")
    assert [step.done for step in steps if "approved" in step.note] == [*range(7, UPDATES + 1)]
    assert _content(run) == whole
    assert not list(folder.parent.glob("*.interrupted-*"))


@pytest.mark.slow
def test_a_folder_in_which_another_run_had_begun_is_set_aside(tmp_path: Path) -> None:
    from rlhf_testbed.experiment.jobs import train_and_evaluate

    folder = tmp_path / "both" / "seed-3"
    _train(folder, ["--kl_coef", "0.5"], stop=7)
    told = parse_run([*RUN, "--output_dir", str(folder)])
    train_and_evaluate(lambda step: None, told, tmp_path / "base")
    assert RunDirectory(folder).settings().flat()["kl_coef"] == 0.02
    assert len(list(folder.parent.glob("seed-3.interrupted-1"))) == 1


def test_written_states_are_whole_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing appears under a state's own name before all of it is written."""
    seen = []
    replace = files.os.replace

    def watched(aside: Path, path: Path) -> None:
        if path.parent.name == "state":
            seen.append(sorted(each.name for each in Path(aside).iterdir()))
            assert not path.exists()
        replace(aside, path)

    monkeypatch.setattr(files.os, "replace", watched)
    _train(tmp_path / "run", stop=4)
    assert seen == [["state.json", "state.safetensors"]] * 2
