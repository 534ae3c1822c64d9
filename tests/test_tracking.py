"""Trackers: the curves of selection and approval, under the names that docs/METRICS.md gives."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import SMALL
from rlhf_testbed.evaluation.history import selection_history
from rlhf_testbed.judging.episode import Episode
from rlhf_testbed.selection.job import train
from rlhf_testbed.selection.tracking import selection_figures
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.store import ledger
from rlhf_testbed.store.ledger import Row
from rlhf_testbed.tasks.base import Outcome, Scenario, Verdict, View
from rlhf_testbed.tasks.corridor import Corridor
from test_words import ROOT

FEW = [*SMALL, "--total_episodes", "32"]
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
        arguments += ["--method", method]
        run = train(parse_run([*FEW, *arguments]), lambda step: None)
    (file,) = tmp_path.rglob("events.out.*")
    events = EventAccumulator(str(file)).Reload()
    names = {tag.removeprefix("train/") for tag in events.Tags()["scalars"]}
    assert names >= CURVES
    assert names <= documented()
    rows = ledger.read(run.ledger)
    for update in (1, 2):
        there = [row for row in rows if row.update == update]
        for name, value in selection_figures(Corridor(), there).items():
            first, second = events.Scalars(f"train/{name}")
            assert {1: first, 2: second}[update].value == pytest.approx(value, abs=1e-6), name


@pytest.mark.slow
def test_trackio_gets_the_curves_by_their_documented_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    program = "from rlhf_testbed.selection.job import main; main()"
    arguments = [*FEW, "--arm", "both", "--output_dir", str(tmp_path / "run"), "--seed", "4"]
    tracker = ["--report_to", "trackio", "--project", "testbed"]
    command = [sys.executable, "-c", program, *arguments, *tracker]
    subprocess.run(command, check=True, capture_output=True)

    def asked(*words: str) -> dict[str, list[str]]:
        command = [sys.executable, "-m", "trackio.cli", "list", *words, "--json"]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found: dict[str, list[str]] = json.loads(answer)
        return found

    (name,) = asked("runs", "--project", "testbed")["runs"]
    assert name == "corridor-both-4"
    metrics = asked("metrics", "--project", "testbed", "--run", name)["metrics"]
    names = {metric.removeprefix("train/") for metric in metrics}
    assert names >= CURVES
    assert names <= documented()
