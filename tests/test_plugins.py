"""Tasks and overseers by dotted path: found, used and named in every error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import SMALL
from rlhf_testbed.evaluation.evaluate import evaluate
from rlhf_testbed.experiment.plan import plan_gates
from rlhf_testbed.judging.overseers import later_overseer
from rlhf_testbed.overseers.full_knowledge import FullKnowledge
from rlhf_testbed.overseers.scripted import Scripted
from rlhf_testbed.selection.job import train
from rlhf_testbed.settings.methods import method_class
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.settings.plugins import overseer_class, task_class, task_named, training_class
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store import ledger
from rlhf_testbed.store.generations import Filter, generations
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import JudgedBy
from rlhf_testbed.tasks.corridor import Corridor
from test_words import ROOT

OWN = """
from rlhf_testbed.overseers.base import HeldOutOverseer, Overseer, Sight, TrainingOverseer
from rlhf_testbed.overseers.scripted import Scripted
from rlhf_testbed.selection.best_of_n import BestOfN
from rlhf_testbed.selection.method import Method
from rlhf_testbed.tasks.base import Task, Verdict
from rlhf_testbed.tasks.corridor import Corridor

NUMBER = 3

class Walkway(Corridor):
    name = "walkway"

class Demanding(Corridor):
    def __init__(self, length):
        self.length = length

class Unfinished(Task):
    name = "unfinished"
    summary = "has only begun"
    responses = ("a", "b")

class Guard(Scripted):
    summary = "somebody's own"

class Nameless(TrainingOverseer):
    def judge(self, response, view):
        return Verdict(1.0, True, "fine")

class Knowing(HeldOutOverseer):
    summary = "sees all"
    def judge(self, response, view):
        return self.task.appraise(response, view)

class Neither(Overseer):
    summary = "of no kind"
    def judge(self, response, view):
        return Verdict(1.0, True, "fine")

class Best(BestOfN):
    summary = "somebody's own method"

class Hollow(Method):
    summary = "does nothing yet"

class Tiring(Corridor):
    tried = 0
    def outcome(self, scenario, response):
        Tiring.tried += 1
        facts = scenario.facts
        return facts["tired"] if Tiring.tried == 40 else super().outcome(scenario, response)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `outside` in the current folder, and nowhere else."""
    package = tmp_path / "outside"
    package.mkdir()
    (package / "things.py").write_text(OWN)
    (package / "broken.py").write_text("1 / 0\n")
    (package / "untidy.py").write_text("def f(:\n")
    (package / "leaving.py").write_text("raise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name.split(".")[0] == "outside"]:
        monkeypatch.delitem(sys.modules, name)
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "outside"]:
        del sys.modules[name]


def test_names_of_the_tables_and_dotted_paths_are_found(own: Path) -> None:
    assert task_class("corridor") is Corridor
    assert overseer_class("full_knowledge") is FullKnowledge
    assert training_class("scripted") is Scripted
    assert task_named("outside.things:Walkway").name == "walkway"
    assert issubclass(training_class("outside.things:Guard"), Scripted)
    assert overseer_class("outside.things:Knowing").summary == "sees all"
    assert sys.path.count(str(own)) == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("corrido", "t 'corrido' is unknown (did you mean 'corridor'?)"),
        ("things.Walkway", "t things.Walkway: can't be read (right: module:Class, like my_pkg."),
        ("outside/things.py:Walkway", "t outside/things.py:Walkway: can't be read"),
        ("outside.things:", "can't be read"),
        (
            "nowhere.things:Walkway",
            "t nowhere.things:Walkway: module nowhere.things can't be imported "
            "(ModuleNotFoundError: No module named 'nowhere'; looked in the current folder",
        ),
        (
            "outside.broken:Walkway",
            "module outside.broken can't be imported "
            "(ZeroDivisionError: division by zero (broken.py, line 1))",
        ),
        ("outside.untidy:Walkway", "can't be imported (SyntaxError: invalid syntax (untidy.py, li"),
        ("outside.leaving:Walkway", "can't be imported (SystemExit: 3 (leaving.py, line 1))"),
        (
            "outside.things:Walk",
            "t outside.things:Walk: module outside.things has no Walk "
            "(there are: Walkway, Demanding, Unfinished, Tiring)",
        ),
        ("outside.things:NUMBER", "is no subclass of rlhf_testbed.tasks.base.Task"),
        ("outside.things:Guard", "is no subclass of rlhf_testbed.tasks.base.Task"),
        (
            "outside.things:Unfinished",
            "lacks concealed_trait, open_trait, arms, appraise, demonstrations, goals, outcome, "
            "scenarios, scripted_policies, traits",
        ),
        (
            "outside.things:Demanding",
            "t outside.things:Demanding: is made with its options alone: TypeError: ",
        ),
    ],
)
def test_what_is_wrong_with_a_task_is_one_line(own: Path, name: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        task_named(name, "t")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("outside.things:Walkway", "is no subclass of rlhf_testbed.overseers.base.Overseer"),
        ("outside.things:Nameless", "outside.things:Nameless: lacks summary"),
        ("outside.things:Knowing", "o = outside.things:Knowing is held out: it only evaluates"),
        ("full_knowledge", "o = full_knowledge is held out: it only evaluates"),
        (
            "outside.things:Neither",
            "is no subclass of rlhf_testbed.overseers.base.TrainingOverseer",
        ),
    ],
)
def test_what_is_wrong_with_a_training_overseer_is_one_line(
    own: Path, name: str, said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        training_class(name, "o")
    assert said in str(caught.value)


def test_a_method_by_dotted_path_has_its_own_settings(own: Path) -> None:
    run = parse_run(["--method", "outside.things:Best", "--completions", "8"])
    assert (run.method.completions, run.flat()["method"]) == (8, "outside.things:Best")
    assert method_class("outside.things:Best").summary == "somebody's own method"
    with pytest.raises(
        UsageError, match=r"method outside.things:Hollow: lacks settings, .*fitness, "
    ):
        parse_run(["--method", "outside.things:Hollow"])
    with pytest.raises(UsageError, match=r"module outside\.things has no Bst"):
        parse_run(["--method", "outside.things:Bst"])
    with pytest.raises(UsageError, match=r"method outside\.things:NUMBER: lacks summary, settings"):
        parse_run(["--method", "outside.things:NUMBER"])


def test_a_run_keeps_the_dotted_paths(own: Path) -> None:
    given = ["--task", "outside.things:Walkway", "--overseer", "outside.things:Guard"]
    run = parse_run([*given, "--arm", "both", "--seed", "3"])
    assert run.output_dir == Path("runs/outside.things-Walkway-both-3")
    assert run.task.name == "walkway"
    assert run.flat()["task"] == "outside.things:Walkway"
    assert run.flat()["overseer"] == "outside.things:Guard"
    assert plan_gates(given[1], "0").folder == Path("runs/gates-outside.things-Walkway")
    folder = RunDirectory(Path("x")).evaluation(JudgedBy(overseer="outside.things:Knowing"))
    assert folder == Path("x/evaluation/outside.things-Knowing")
    assert type(later_overseer("outside.things:Guard", run, 0.5, [])).__name__ == "Guard"
    with pytest.raises(UsageError, match="command line: overseer 'Guard' is unknown"):
        later_overseer("Guard", run, None, [])


def test_a_run_with_both_is_trained_evaluated_and_read(own: Path) -> None:
    given = ["--task", "outside.things:Walkway", "--overseer", "outside.things:Guard"]
    directory = train(parse_run([*given, *SMALL, "--output_dir", "run"]), lambda step: None)
    evaluate(directory, "outside.things:Knowing")
    assert (own / "run/evaluation/outside.things-Knowing/measures.json").is_file()
    assert len(generations(own / "run", Filter(), limit=3)) == 3


def test_a_task_that_raises_is_named_and_the_ledger_up_to_then_is_kept(own: Path) -> None:
    """Batches of 16: the fortieth episode is in the third update."""
    run = parse_run([*SMALL, "--task", "outside.things:Tiring", "--output_dir", "run"])
    line = r"task Tiring: outcome: KeyError: 'tired' \(things.py, line \d+\)"
    with pytest.raises(UsageError, match=f"^{line}$"):
        train(run, lambda step: None)
    assert [row.update for row in ledger.read(own / "run/ledger")] == [1] * 16 + [2] * 16


@pytest.mark.parametrize("method", ["scenarios", "demonstrations"])
def test_a_task_that_raises_before_training_is_named(
    own: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(Corridor, method, lambda *given: {}["nothing"])
    with pytest.raises(UsageError, match=rf"^task Corridor: {method}: KeyError: 'nothing' \(test_"):
        train(parse_run([*SMALL, "--output_dir", "run"]), lambda step: None)


def test_the_installed_command_looks_in_the_current_folder(own: Path) -> None:
    """A console script has its own folder first on its path, not the current one."""
    script = own / "bin" / "rlhf-testbed"
    script.parent.mkdir()
    script.write_text(f"import sys; sys.path.insert(1, {str(ROOT)!r})\n")
    with script.open("a") as file:
        file.write("from rlhf_testbed.settings.plugins import task_named\n")
        file.write("print(task_named('outside.things:Walkway').name)\n")
    found = subprocess.run(
        [sys.executable, str(script)], cwd=own, capture_output=True, text=True, check=True
    )
    assert found.stdout == "walkway\n"
