"""Trackers: the curves of selection and approval, under the names that docs/METRICS.md gives."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conftest import SMALL
from rlhf_testbed.evaluation.history import selection_history
from rlhf_testbed.judging.episode import Episode
from rlhf_testbed.selection.job import train
from rlhf_testbed.selection.tracked_table import COLUMNS, as_frame, spread, tracked_table
from rlhf_testbed.selection.tracking import selection_figures
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.store import ledger
from rlhf_testbed.store.ledger import Row
from rlhf_testbed.tasks.base import Outcome, Scenario, Verdict, View
from rlhf_testbed.tasks.corridor import Corridor
from test_words import ROOT

FEW = [*SMALL, "--total_episodes", "48", "--tracked_generations", "5"]
"""Three updates, of which one is a checkpoint, and the first and the last have tables, too."""
TRAITS = ("tramples_unseen", "tramples_seen", "goes_around", "heads_right")
CURVES = {
    "objective/approval",
    *(f"selection/{figure}/{trait}" for figure in ("rate", "differential") for trait in TRAITS),
}


def documented() -> set[str]:
    """The names in the table of docs/METRICS.md under Training, with corridor's traits."""
    text = (ROOT / "docs/METRICS.md").read_text(encoding="utf-8")
    section = text.split("\n## Training\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    names = {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
    return {name.replace("TRAIT", trait) for name in names for trait in TRAITS}


def _row(facts: dict[str, str], outcome: dict[str, str | int], advantage: float) -> Row:
    """An episode that was approved; only its facts, its outcome and its advantage count."""
    episode = Episode(
        Scenario("s", "p", {"coin": "right", **facts}),
        "right",
        Outcome({"direction": "right", "reached": "coin", "detours": 0, **outcome}),
        View({}, {}, ()),
        Verdict(1.0, True, "so"),
    )
    return Row.of(episode, 1, 0, advantage, 0.0)


def test_rate_and_differential_worked_by_hand() -> None:
    dark = {"right 1": "dark flower bed"}
    rows = [
        _row(dark, {"right 1": "trampled"}, 1.0),
        _row(dark, {"right 1": "went around"}, -1.0),
        _row({"right 1": "floor"}, {"right 1": "walked"}, 0.0),
        _row({"right 1": "floor"}, {"right 1": "walked"}, 0.0),
    ]
    found = selection_figures(Corridor(), rows)
    # Shown by one of four; its advantage of 1 is 1 above the mean: (1 - 0) · 1 / 4.
    assert found["selection/rate/tramples_unseen"] == 0.25
    assert found["selection/differential/tramples_unseen"] == 0.25
    assert found["selection/differential/goes_around"] == -0.25
    assert found["selection/rate/heads_right"] == 1.0
    assert found["selection/differential/heads_right"] == 0.0
    assert found["objective/approval"] == 1.0
    assert set(found) == CURVES


def test_the_figures_are_those_of_the_history(trained: Path) -> None:
    rows = ledger.read(trained / "ledger")
    assert rows
    history = selection_history(Corridor(), rows, [Verdict(0.0, False, "")] * len(rows))
    for record in history:
        found = selection_figures(Corridor(), [r for r in rows if r.update == record.update])
        for trait, one in record.traits.items():
            name = trait.replace(" ", "_")
            assert found[f"selection/rate/{name}"] == one.rate
            assert found[f"selection/differential/{name}"] == pytest.approx(one.differential)


@pytest.mark.parametrize("method", ["ppo", "grpo", "expert_iteration"])
def test_tensorboard_gets_the_curves_by_their_documented_names(method: str, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "events"))
        arguments = ["--output_dir", str(tmp_path / "run"), "--report_to", "tensorboard"]
        arguments += ["--arm", "both", "--method", method]
        run = train(parse_run([*FEW, *arguments]), lambda step: None)
    (file,) = tmp_path.rglob("events.out.*")
    events = EventAccumulator(str(file)).Reload()
    names = {tag.removeprefix("train/") for tag in events.Tags()["scalars"]}
    assert names >= CURVES
    assert names <= documented()
    rows = ledger.read(run.ledger)
    for update in (1, 2, 3):
        there = [row for row in rows if row.update == update]
        for name, value in selection_figures(Corridor(), there).items():
            seen = {event.step: event.value for event in events.Scalars(f"train/{name}")}
            assert seen[update] == pytest.approx(value, abs=1e-6), name
    texts = events.Tensors("train/generations/text_summary")
    assert [event.step for event in texts] == [1, 2, 3]
    for event in texts:
        found = as_shown(event.tensor_proto.string_val[0])
        assert found == [list(COLUMNS), *told(rows, event.step)]


def as_shown(text: bytes) -> list[list[str]]:
    """The cells of a table in Markdown, as TensorBoard's page has them."""
    from tensorboard.plugin_util import markdown_to_safe_html

    page = markdown_to_safe_html(text)
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    return [[html.unescape(c) for c in re.findall(r"<t[hd]>(.*?)</t[hd]>", row)] for row in rows]


def expected(rows: list[Row], update: int) -> list[dict[str, Any]]:
    """The table of an update, from the ledger: five of its sixteen episodes."""
    chosen = [row for row in rows if row.update == update and row.episode in (0, 3, 6, 9, 12)]
    assert len(chosen) == 5
    found = []
    for row in chosen:
        traits = Corridor().traits(row.scenario, row.outcome).items()
        told = {name: getattr(row, name) for name in COLUMNS if name != "traits"}
        told |= {name: round(told[name], 4) for name in ("score", "advantage")}
        found.append({**told, "traits": ", ".join(name for name, shown in traits if shown)})
    return found


def told(rows: list[Row], update: int) -> list[list[str]]:
    """The same as texts."""
    return [
        [f"{each:g}" if isinstance(each, float) else str(each) for each in row.values()]
        for row in expected(rows, update)
    ]


def test_a_table_has_rows_from_all_over_the_update() -> None:
    rows = [_row({}, {}, float(at)) for at in range(16)]
    assert [row.advantage for row in spread(rows, 5)] == [0, 3, 6, 9, 12]
    assert spread(rows, 99) == rows
    frame = as_frame(Corridor(), rows[:2])
    assert frame.to_dict("records")[1] == {
        "prompt": "p",
        "response": "right",
        "score": 1.0,
        "approved": True,
        "reason": "so",
        "advantage": 1.0,
        "traits": "heads right",
    }


@pytest.mark.parametrize(
    ("update", "changed", "there"),
    [
        (1, {}, True),
        (2, {}, False),
        (5, {}, True),
        (7, {}, True),
        (5, {"checkpoint_every": 0}, False),
        (7, {"checkpoint_every": 0}, True),
        (5, {"is_main": False}, False),
        (5, {"tracked_generations": 0}, False),
    ],
)
def test_tables_come_at_checkpoints_from_one_process(
    update: int, changed: dict[str, Any], there: bool
) -> None:
    usual = {"updates": 7, "checkpoint_every": 5, "tracker": "tensorboard", "is_main": True}
    method: Any = SimpleNamespace(**{**usual, "tracked_generations": 3, **changed})
    found = tracked_table(method, Corridor(), update, [_row({}, {}, 0.0)])
    assert list(found) == (["generations"] if there else [])


def test_without_a_tracker_there_is_no_table() -> None:
    from rlhf_testbed.selection.ppo import PPO

    method = PPO.__new__(PPO)
    for tracker, most in {"none": 0, "tensorboard": 5}.items():
        run = parse_run([*FEW, "--report_to", tracker])
        method.track(SimpleNamespace(run=run))  # type: ignore[arg-type]
        assert (method.tracker, method.tracked_generations) == (tracker, most)


def tracked(folder: Path, tracker: str, method: str) -> list[Row]:
    """Runs a training with a tracker in a process of its own; returns its ledger's rows."""
    program = "from rlhf_testbed.selection.job import main; main()"
    arguments = [*FEW, "--arm", "both", "--output_dir", str(folder / "run"), "--seed", "4"]
    named = ["--report_to", tracker, "--project", "testbed", "--method", method]
    command = [sys.executable, "-c", program, *arguments, *named]
    there = {"TRACKIO_DIR": "trackio", "WANDB_DIR": ".", "TENSORBOARD_LOGGING_DIR": "events"}
    there |= {f"WANDB_{kind}_DIR": "kept" for kind in ("CACHE", "CONFIG", "DATA")}
    places = {name: str(folder / place) for name, place in there.items()}
    offline = {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    environment = {**os.environ, **places, **offline}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return ledger.read(folder / "run" / "ledger")


def selected(folder: Path) -> list[bytes]:
    """What selection left: its ledger, its policy."""
    files = [*(folder / "run/ledger").iterdir(), folder / "run/policy/model.safetensors"]
    return [file.read_bytes() for file in files]


@pytest.fixture(scope="module", params=["ppo", "grpo"])
def untracked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, list[bytes]]:
    """A method, and what it selects without a tracker."""
    folder = tmp_path_factory.mktemp("untracked")
    tracked(folder, "none", request.param)
    return request.param, selected(folder)


@pytest.mark.slow
def test_trackio_gets_curves_and_tables(
    untracked: tuple[str, list[bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, bytes_without = untracked
    rows = tracked(tmp_path, "trackio", method)
    assert selected(tmp_path) == bytes_without
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))

    def asked(*words: str) -> Any:
        command = [sys.executable, "-m", "trackio.cli", *words, "--json"]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    (name,) = asked("list", "runs", "--project", "testbed")["runs"]
    assert name == "corridor-both-4"
    of = ["--project", "testbed", "--run", name]
    metrics = asked("list", "metrics", *of)["metrics"]
    names = {metric.removeprefix("train/") for metric in metrics}
    assert names >= CURVES
    assert names <= documented()
    values = asked("get", "metric", *of, "--metric", "train/generations")["values"]
    assert [one["value"]["_value"] for one in values] == [expected(rows, at) for at in (1, 2, 3)]


@pytest.mark.slow
def test_wandb_gets_curves_and_tables(untracked: tuple[str, list[bytes]], tmp_path: Path) -> None:
    method, bytes_without = untracked
    rows = tracked(tmp_path, "wandb", method)
    assert selected(tmp_path) == bytes_without
    (log,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert {name for name in CURVES if f"train/{name}".encode() in log.read_bytes()} == CURVES
    tables = sorted(
        log.parent.glob("files/media/table/train/*.table.json"),
        key=lambda file: int(file.name.split("_")[1]),
    )
    found = [json.loads(file.read_text(encoding="utf-8")) for file in tables]
    assert [table["columns"] for table in found] == [list(COLUMNS)] * 3
    for update, table in enumerate(found, 1):
        assert table["data"] == [list(row.values()) for row in expected(rows, update)]


@pytest.mark.slow
def test_tensorboard_changes_nothing_of_what_is_selected(
    untracked: tuple[str, list[bytes]], tmp_path: Path
) -> None:
    method, bytes_without = untracked
    tracked(tmp_path, "tensorboard", method)
    assert list(tmp_path.rglob("events.out.*"))
    assert selected(tmp_path) == bytes_without
