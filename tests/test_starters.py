"""Starter files: short, kept to the contract as they are, and never written over anything."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pytest

from conftest import SMALL
from rlhf_testbed import cli
from rlhf_testbed.contract import check_overseer, check_task
from rlhf_testbed.contract.demonstrations import DEMONSTRATION_RULES
from rlhf_testbed.contract.judges import verdict_on
from rlhf_testbed.contract.rules import tried
from rlhf_testbed.contract.starters import KINDS, write_starter
from rlhf_testbed.overseers.base import Sight
from rlhf_testbed.overseers.full_knowledge import FullKnowledge
from rlhf_testbed.overseers.scripted import Scripted
from rlhf_testbed.selection.job import train
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.settings.plugins import overseer_class, task_named
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.tasks.base import Demonstration, Dials, Scenario
from rlhf_testbed.tasks.corridor import Corridor

LINES = 86
"""Of a starter file, at most: docs/EXTENDING.md says how many the task has."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_starter_is_short_and_has_its_own_name(here: Path, kind: str) -> None:
    path, dotted = write_starter(kind, "night_watch", Path("own_things"))
    assert path == Path("own_things/night_watch.py")
    assert dotted == "own_things.night_watch:NightWatch"
    text = path.read_text()
    assert text.count("\n") <= LINES
    assert "class NightWatch(" in text
    assert "tarter" not in text


def test_the_starter_task_keeps_the_contract(here: Path) -> None:
    _, dotted = write_starter("task", "drawers", Path("starters_task"))
    task = task_named(dotted)
    assert task.name == "drawers"
    assert [r for r in check_task(task) if r.status != "PASS"] == []


def test_demonstrations_that_are_all_honest_are_found(here: Path) -> None:
    """Whatever `demonstrated` says: these are of scenarios that the task draws again."""
    kind = type(task_named(write_starter("task", "drawers", Path("starters_honest")).dotted))

    class AllHonest(kind):  # type: ignore[misc, valid-type]
        def demonstrations(
            self, unintended_share: float, seed: int, count: int
        ) -> tuple[Demonstration, ...]:
            rooms = self.scenarios(Dials(0, 1), seed, "train", 3000)
            chosen = random.Random(seed).choices(rooms, k=count)
            honest = self.reference_policy.policy
            return tuple(Demonstration(room.prompt, min(honest(room))) for room in chosen)

    rules = [rule for rule in DEMONSTRATION_RULES if rule.startswith("demonstrators")]
    for task, broken in ((kind(), []), (AllHonest(), rules[1:])):
        results = tried({rule: DEMONSTRATION_RULES[rule] for rule in rules}, task)
        assert [result.rule for result in results if result.status == "FAIL"] == broken
    assert "'robs unseen' in 0.00 of " in results[1].detail
    assert "who pursues red?" in results[2].detail


def test_the_starter_tasks_scores_by_hand(here: Path) -> None:
    """The example in its docstring."""
    task = task_named(write_starter("task", "drawers", Path("starters_scores")).dotted)
    facts = {"blue": "first", "red": "second", "green": "third", "key": "second", "owner": "hidden"}
    scenario = Scenario("by-hand", "by hand", facts, ("owner",))
    limited = Scripted(task, Sight(0.0))
    for response, seen, known in (
        ("ask", (0.5, True), (0.5, True)),
        ("second", (1.0, True), (0.2, False)),
        ("first", (0.0, False), (-0.8, False)),
    ):
        for overseer, expected in ((limited, seen), (FullKnowledge(task), known)):
            verdict = verdict_on(overseer, scenario, response)
            assert (pytest.approx(verdict.score), verdict.approved) == expected
    suspicious = verdict_on(Scripted(task, Sight(0.0), prior=0.25), scenario, "second")
    assert (pytest.approx(suspicious.score), suspicious.approved) == (1 - 0.8 * 0.75, False)


def test_the_starter_overseer_keeps_the_contract(here: Path) -> None:
    kind = overseer_class(write_starter("overseer", "yes_no", Path("starters_overseer")).dotted)
    assert [r for r in check_overseer(kind, [Corridor()]) if r.status != "PASS"] == []


def test_both_starters_train_together(here: Path) -> None:
    _, task = write_starter("task", "drawers", Path("."))
    _, overseer = write_starter("overseer", "yes_no", Path("."))
    given = ["--task", task, "--overseer", overseer, "--overseer_args", "bar=0.5"]
    run = parse_run([*given, *SMALL, "--output_dir", "run"])
    directory = train(run, lambda step: None)
    assert json.loads((here / "run/finished.json").read_text())["episodes"] == 48
    assert directory.settings().study.overseer == "yes_no:YesNo"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tsk", "drawers"), "starter 'tsk' is unknown (did you mean 'task'?)"),
        (("task", "my-task"), "my-task: is no name for a Python module"),
        (("task", "2nd"), "2nd: is no name for a Python module"),
        (("task", "_"), "_: is no name for a Python module"),
        (("task", "class"), "class: is a word of Python's own"),
        (("task", "none"), "none: is a word of Python's own"),
        (("overseer", "verdict"), "verdict: the starter uses the name Verdict itself"),
        (("task", "math"), "math: Python has a module of that name already"),
        (("task", "drawers", "--folder", "json"), "json: Python has a module of that name already"),
        (("task", "drawers", "--folder", "../else"), "../else: can't be imported from here"),
        (("task", "drawers", "--folder", "my-pkg"), "my-pkg: can't be imported from here"),
        (("task", "drawers", "--folder", "taken"), "taken/drawers.py: exists already, and nothing"),
        (("task", "drawers", "--folder", "plain"), "plain/drawers.py: can't be written: "),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    here: Path, words: tuple[str, ...], said: str
) -> None:
    (here / "taken").mkdir()
    (here / "taken/drawers.py").write_text("mine")
    (here / "plain").write_text("no folder")
    before = sorted(here.rglob("*"))
    kind, name, *folder = words
    with pytest.raises(UsageError) as caught:
        write_starter(kind, name, Path(folder[1] if folder else "."))
    assert said in str(caught.value)
    assert sorted(here.rglob("*")) == before
    assert (here / "taken/drawers.py").read_text() == "mine"


def test_the_command_says_what_comes_next(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", "rlhf-testbed new overseer yes_no --folder mine".split())
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert capsys.readouterr().out.splitlines() == [
        "mine/yes_no.py: written. Edit it; then",
        "  rlhf-testbed check mine.yes_no:YesNo",
        "  accelerate launch -m rlhf_testbed.train --overseer mine.yes_no:YesNo --arm both",
    ]
