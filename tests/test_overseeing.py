"""Overseers by name and options, and what happens when one breaks a rule."""

from __future__ import annotations

import math
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import SMALL
from rlhf_testbed.evaluation.evaluate import evaluate
from rlhf_testbed.judging.episode import judge, judge_all
from rlhf_testbed.judging.overseers import later_overseer, options_for, training_overseer
from rlhf_testbed.overseers import OVERSEERS
from rlhf_testbed.overseers.base import (
    Overseer,
    OverseerError,
    Sight,
    TrainingOverseer,
    made,
    oversee,
)
from rlhf_testbed.overseers.full_knowledge import FullKnowledge
from rlhf_testbed.overseers.scripted import Scripted
from rlhf_testbed.selection.job import train
from rlhf_testbed.settings.options import options_of
from rlhf_testbed.settings.overseers import make_overseer
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store import ledger
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.tasks.base import Dials, Outcome, Scenario, TaskError, Verdict, View
from rlhf_testbed.tasks.corridor import Corridor


class Configured(TrainingOverseer):
    """Has an option of each type, and an argument that is no option."""

    summary = "for this test"

    def __init__(
        self,
        task: Corridor,
        sight: Sight,
        share: float = 0.5,
        count: int = 3,
        text: str = "x",
        other: object = None,
    ) -> None:
        super().__init__(task, sight)
        self.given = (share, count, text, other)

    def judge(self, response: str, view: View) -> Verdict:
        return Verdict(0.0, False, "so it is")


def test_options_are_numbers_and_texts_of_the_constructor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OVERSEERS, "configured", Configured)
    assert options_of(Configured) == {"share": float, "count": int, "text": str}
    made = make_overseer(
        "configured", Corridor(), Sight(0.0), ["share=1", "count=-2", "text=a=b c"]
    )
    assert isinstance(made, Configured)
    assert made.given == (1.0, -2, "a=b c", None)
    with pytest.raises(UsageError, match=r"count = 2\.5 is not of the right type \(a whole number"):
        make_overseer("configured", Corridor(), Sight(0.0), ["count=2.5"])
    with pytest.raises(UsageError, match=r"has no option 'other' \(options: share, count, text\)"):
        make_overseer("configured", Corridor(), Sight(0.0), ["other=1"])


def test_a_run_has_its_options_and_lends_them_to_evaluation() -> None:
    run = parse_run(["--arm", "both", "--overseer_args", "prior=0.25"])
    mine = training_overseer(run)
    assert isinstance(mine, Scripted)
    assert (mine.prior, mine.sight.knowledge) == (0.25, 0.0)
    assert options_for("scripted", run, None, None) == (0.0, ["prior=0.25"])
    assert options_for("scripted", run, 0.5, ["prior=1"]) == (0.5, ["prior=1"])
    assert options_for("scripted", run, None, []) == (0.0, [])
    assert options_for("full_knowledge", run, None, None) == (None, [])
    other = later_overseer("scripted", run, 0.5, ["prior=1"])
    assert isinstance(other, Scripted)
    assert (other.prior, other.sight.knowledge) == (1.0, 0.5)
    assert isinstance(later_overseer("full_knowledge", run, None, []), FullKnowledge)
    with pytest.raises(UsageError, match=r"full_knowledge has no option 'prior' .options: none"):
        later_overseer("full_knowledge", run, None, ["prior=1"])
    with pytest.raises(UsageError, match=r"--knowledge: full_knowledge sees everything"):
        options_for("full_knowledge", run, 0.5, None)


class Odd(TrainingOverseer):
    """Judges by a function that a test puts here; the first `good` times as it should."""

    summary = "for this test"
    good = 0
    result: Any = None

    def judge(self, response: str, view: View) -> Verdict:
        if self.good > 0:
            type(self).good -= 1
            return Verdict(1.0, True, "as it should be")
        found: Verdict = self.result()
        return found


def _raise() -> Verdict:
    raise KeyError("coin")


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (_raise, r"overseer Odd failed to judge: KeyError: 'coin' \(test_overseeing.py, line \d+"),
        (lambda: Verdict(math.nan, True, "x"), "must give a finite number as score, not nan"),
        (lambda: Verdict(math.inf, True, "x"), "must give a finite number as score, not inf"),
        (
            lambda: Verdict(1e10, True, "x"),
            r"a finite number of at most 1e\+09 as score, not 1000",
        ),
        (lambda: Verdict(10**400, True, "x"), r"a finite number of at most 1e\+09 as score, not 1"),
        (lambda: sys.exit(0), r"overseer Odd failed to judge: SystemExit: 0 \(test_overseeing"),
        (lambda: Verdict("1", True, "x"), "must give a finite number as score, not '1'"),  # type: ignore[arg-type]
        (lambda: Verdict(True, True, "x"), "must give a finite number as score, not True"),
        (lambda: Verdict(1.0, 1, "x"), "must approve by True or False, not 1"),  # type: ignore[arg-type]
        (lambda: Verdict(1.0, True, None), "must give its reason in words, not None"),  # type: ignore[arg-type]
        (lambda: (1.0, True, "x"), r"must give a Verdict, not \(1.0, True, 'x'\)"),
        (lambda: None, "must give a Verdict, not None"),
    ],
)
def test_what_is_no_verdict_is_named(
    result: Any, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Odd, "result", staticmethod(result))
    task = Corridor()
    scenario = task.scenarios(Dials(), 0, "train", 1)[0]
    with pytest.raises(OverseerError, match=says) as raised:
        oversee(Odd(task, Sight(0.0)), scenario, "", task.outcome(scenario, ""))
    assert "\n" not in str(raised.value)


class Hasty(Odd):
    """Keeps neither task nor sight."""

    def __init__(self, task: Corridor, sight: Sight) -> None:
        super().__init__(task, Sight(1.0))


def test_an_overseer_keeps_the_sight_that_it_is_made_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OVERSEERS, "odd", Hasty)
    with pytest.raises(UsageError, match=r"^command line: overseer Hasty must keep the task and"):
        parse_run(["--overseer", "odd"])
    made(Hasty, Corridor(), Sight(1.0))


def _dark() -> Scenario:
    scenarios = Corridor().scenarios(Dials(randomised=1), 0, "train", 20)
    return next(scenario for scenario in scenarios if scenario.concealable)


class Curious(Odd):
    """Asks for the first fact that it is not shown."""

    def judge(self, response: str, view: View) -> Verdict:
        return Verdict(1.0, True, str(view.facts[view.unseen[0]]))


def test_reading_what_is_out_of_sight_is_named() -> None:
    task, scenario = Corridor(), _dark()
    outcome = task.outcome(scenario, "")
    said = f"overseer Curious failed to judge: OutOfSight: '{scenario.concealable[0]}' is out of si"
    with pytest.raises(OverseerError, match=said) as raised:
        oversee(Curious(task, Sight(0.0)), scenario, "", outcome)
    assert re.search(r"\(test_overseeing\.py, line \d+\)$", str(raised.value))
    view = Sight(0.0).of(scenario, outcome)
    assert view.facts.get(scenario.concealable[0]) is None
    with pytest.raises(KeyError, match=r"^'nowhere'$"):
        view.facts["nowhere"]


class Prying(Corridor):
    """Its standard reads what the view does not show."""

    def appraise(self, response: str, view: View, prior: float = 1.0) -> Verdict:
        return Verdict(1.0, True, str([view.facts[name] for name in view.unseen]))


class Vague(Corridor):
    facts: Any = None

    def outcome(self, scenario: Scenario, response: str) -> Outcome:
        return self.facts if self.facts is None else Outcome(self.facts)


def test_a_task_at_fault_is_named() -> None:
    scenario = _dark()
    with pytest.raises(OverseerError, match=r"OutOfSight: .* \(task Prying, test_overseeing\.py"):
        oversee(Scripted(Prying(), Sight(0.0)), scenario, "", Outcome({}))
    with pytest.raises(TaskError, match="task Vague: outcome must give an Outcome, not None"):
        judge(Scripted(Vague(), Sight(0.0)), scenario, "")
    vague = Vague()
    vague.facts = {"cells": {1}}
    with pytest.raises(TaskError, match=r"outcome: facts must be texts, .* 'cells' is \{1\}"):
        judge(Scripted(vague, Sight(0.0)), scenario, "")


class Moody(Odd):
    """Likes each response once."""

    def judge(self, response: str, view: View) -> Verdict:
        self.good = 1 - self.good
        return Verdict(float(self.good), bool(self.good), "so it feels")


def test_another_verdict_on_the_same_view_is_refused() -> None:
    said = r"overseer Moody must judge the same view alike, and gave 0 \(not .*, then 1 \(app"
    task, scenario = Corridor(), _dark()
    with pytest.raises(OverseerError, match=said):
        judge_all(Moody(task, Sight(0.0)), [scenario] * 2, [task.responses[0]] * 2)


class Mute(Odd):
    """Gives fewer verdicts than there are episodes."""

    def judge_all(self, responses: object, views: object) -> list[Verdict]:
        return []


def test_one_verdict_an_episode() -> None:
    task = Corridor()
    scenario = task.scenarios(Dials(), 0, "train", 1)[0]
    with pytest.raises(OverseerError, match="Mute must give one verdict an episode, in a list"):
        oversee(Mute(task, Sight(0.0)), scenario, "", task.outcome(scenario, ""))


def test_the_ledger_up_to_the_fault_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OVERSEERS, "odd", Odd)
    monkeypatch.setattr(Odd, "good", 40)  # two updates of 16, and half of the third
    monkeypatch.setattr(Odd, "result", staticmethod(lambda: Verdict(math.nan, True, "x")))
    run = parse_run([*SMALL, "--overseer", "odd", "--output_dir", str(tmp_path / "run")])
    with pytest.raises(UsageError, match=r"run: training stopped: overseer Odd must give a finite"):
        train(run, lambda step: None)
    directory = RunDirectory(tmp_path / "run")
    assert [row.update for row in ledger.read(directory.ledger)] == [1] * 16 + [2] * 16
    assert not directory.finished


def test_a_fault_in_evaluation_is_one_line(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(trained, tmp_path / "run")
    monkeypatch.setitem(OVERSEERS, "odd", Odd)
    monkeypatch.setattr(Odd, "result", staticmethod(_raise))
    with pytest.raises(UsageError, match="evaluation stopped: overseer Odd failed to judge"):
        evaluate(RunDirectory(run), "odd")
    assert not list(run.glob("evaluation/odd*"))


def test_judging_one_by_one_is_judging_all_at_once() -> None:
    task = Corridor()
    overseer: Overseer = Scripted(task, Sight(0.0))
    scenarios = task.scenarios(Dials(), 0, "train", 5)
    views = [overseer.sight.of(s, task.outcome(s, r)) for s in scenarios for r in task.responses]
    responses = [r for _ in scenarios for r in task.responses]
    assert overseer.judge_all(responses, views) == [
        overseer.judge(r, v) for r, v in zip(responses, views, strict=True)
    ]
