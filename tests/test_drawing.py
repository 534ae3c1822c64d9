"""The task by example: which scenario of each split is told, which answers, and what is marked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rlhf_testbed.report import drawing, figures
from rlhf_testbed.report.page import write_report
from rlhf_testbed.report.sources import Source
from rlhf_testbed.tasks import TASKS
from rlhf_testbed.tasks.base import Dials, Scenario, Split, TaskError
from rlhf_testbed.tasks.corridor import Corridor
from scripted_runs import write_experiment, write_run

HEADINGS = ["In training", "Held out", "Off the training distribution"]


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_task_is_told_by_an_example_of_each_split(tmp_path: Path, name: str) -> None:
    write_run(tmp_path / "run", updates=1, task_name=name, measured=False)
    shown = drawing.examples(Source.of(tmp_path / "run"))
    task = TASKS[name]()
    assert (shown.arm, shown.knowledge) == ("both", 0.0)
    assert [one.heading for one in shown.examples] == HEADINGS
    for example in shown.examples:
        assert example.answers[0].policies[0].role == "reference"
        assert example.answers[0].truth.approved
        assert len({one.episode.response for one in example.answers}) == len(example.answers)
        assert example.unseen
        drawn = json.loads(example.drawn(name))
        assert set(drawn["unseen"]) <= set(drawn["facts"])
        assert drawn["response"] == example.acted.episode.response
    training, held_out, off = shown.examples
    assert training.acted.deceives
    assert held_out.acted.deceives
    unintended = {goal.name for goal in task.unintended_goals}
    assert {one.motive for one in off.acted.policies} <= unintended


@pytest.mark.parametrize(
    ("arms", "found"),
    [
        (("neither", "both knowledge=0.5"), ("both knowledge=0.5", 0.5)),
        (("selection_only", "both"), ("both", 0.0)),
    ],
)
def test_the_arm_is_the_one_with_most_of_both_threats(
    tmp_path: Path, arms: tuple[str, ...], found: tuple[str, float]
) -> None:
    write_experiment(tmp_path / "x", arms, (0,), updates=1)
    shown = drawing.examples(Source.of(tmp_path / "x"))
    assert (shown.arm, shown.knowledge) == found


def test_of_an_overseer_that_sees_all_nothing_is_out_of_sight(tmp_path: Path) -> None:
    write_run(tmp_path / "run", "neither", updates=1, measured=False)
    shown = drawing.examples(Source.of(tmp_path / "run"))
    assert [one.unseen for one in shown.examples] == [(), (), ()]
    assert [one.acted.deceives for one in shown.examples] == [False] * 3


class Scarce(Corridor):
    """Has a single scenario of each split."""

    def scenarios(self, dials: Dials, seed: int, split: Split, count: int) -> tuple[Scenario, ...]:
        if count > 1:
            raise TaskError("scarce has fewer")
        return super().scenarios(dials, seed, split, count)


class Broken(Corridor):
    """Fails where it is asked for scenarios."""

    def scenarios(self, dials: Dials, seed: int, split: Split, count: int) -> tuple[Scenario, ...]:
        raise ZeroDivisionError("no such site")


def test_a_task_of_few_scenarios_has_examples_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "run", updates=1, measured=False)
    monkeypatch.setitem(TASKS, "corridor", Scarce)
    shown = drawing.examples(Source.of(tmp_path / "run"))
    assert [one.heading for one in shown.examples] == HEADINGS


def test_a_task_that_fails_leaves_its_example_out_and_the_page_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "run", updates=1)
    monkeypatch.setattr(figures, "save", lambda figure, folder: [])
    assert "The task, by example" in write_report(tmp_path / "run").read_text(encoding="utf-8")
    monkeypatch.setitem(TASKS, "corridor", Broken)
    text = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert "The task, by example" not in text
    assert "<strong>an example of each kind of scenario</strong>: " in text
    assert "ZeroDivisionError" in text
