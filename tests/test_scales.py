"""Scores on another scale than the task's: found, told by `check`, and no inflation judged.

Where all is seen and the task's standard gives -0.6, 0 and 1, an overseer may give 2, 5 and 10.
"""

from __future__ import annotations

import math

import pytest
from rich.console import Console

from rlhf_testbed.contract.scales import another_scale, scale_notes, scale_of
from rlhf_testbed.evaluation.inflation import verdicts
from rlhf_testbed.experiment.over_seeds import inflation
from rlhf_testbed.measures.selection import Inflation
from rlhf_testbed.overseers import HELD_OUT, OVERSEERS
from rlhf_testbed.overseers.base import Overseer, Sight
from rlhf_testbed.overseers.noisy import Noisy
from rlhf_testbed.overseers.scripted import Scripted
from rlhf_testbed.report.table import print_inflation
from rlhf_testbed.store.experiment_records import About, ArmResults, Results
from rlhf_testbed.store.run_records import JudgedBy, Measures
from rlhf_testbed.tasks.base import Dials, Task, Verdict, View
from rlhf_testbed.tasks.corridor import Corridor
from test_contract import ended
from test_inflation import history


class OfTen(Scripted):
    """Gives 0 to 10 where the task's standard gives -1 to 1."""

    def judge(self, response: str, view: View) -> Verdict:
        seen = super().judge(response, view)
        return seen._replace(score=5 * seen.score + 5)


class Halved(Scripted):
    """As the task's standard, in halves."""

    def judge(self, response: str, view: View) -> Verdict:
        seen = super().judge(response, view)
        return seen._replace(score=seen.score / 2)


class Raising(Scripted):
    def judge(self, response: str, view: View) -> Verdict:
        raise RuntimeError("no verdict today")


@pytest.mark.parametrize("knowledge", [0.0, 1.0])
@pytest.mark.parametrize("kind", [OfTen, Halved])
def test_another_scale_is_found_whatever_the_overseer_sees(
    task: Task, kind: type[Scripted], knowledge: float
) -> None:
    found = scale_of(kind(task, Sight(knowledge)))
    assert found is not None
    assert found.differs
    ends = [5 * end + 5 if kind is OfTen else end / 2 for end in found.standard]
    assert list(found.own) == pytest.approx(ends)
    assert another_scale(kind(task, Sight(knowledge))).endswith("by the task's standard")


@pytest.mark.parametrize("prior", [1.0, 0.5])
def test_little_sight_and_a_suspicious_prior_are_no_other_scale(task: Task, prior: float) -> None:
    found = scale_of(Scripted(task, Sight(0.0), prior))
    assert found is not None
    assert (found.apart, found.own) == (0.0, found.standard)
    assert another_scale(Scripted(task, Sight(0.0), prior)) == ""


def test_an_overseer_that_errs_now_and_then_is_on_the_tasks_scale(task: Task) -> None:
    assert another_scale(Noisy(task, Sight(0.5))) == ""


@pytest.mark.parametrize("name", ["language_model", "endpoint"])
def test_models_that_give_0_to_1_are_on_another_scale_and_are_not_asked(name: str) -> None:
    """They have no model yet: asking would raise."""
    found = scale_of(OVERSEERS[name](Corridor(), Sight(0.0)))
    assert found is not None
    assert (found.own, found.differs) == ((0.0, 1.0), True)


def test_a_learned_overseer_is_on_its_teachers_scale_and_is_not_asked() -> None:
    assert scale_of(OVERSEERS["learned"](Corridor(), Sight(0.0))) is None


def test_check_tells_it_in_a_note_and_no_rule_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, "check", "test_scales:OfTen", "--task", "corridor") == 0
    *_, note, last = capsys.readouterr().out.splitlines()
    assert note.startswith("NOTE  test_scales:OfTen  its scores on corridor go from ")
    assert "deceptive inflation and overjustification are not judged" in note
    assert last == "6 of 6 rules hold"
    assert ended(monkeypatch, "check", "scripted", "--task", "corridor") == 0
    assert "NOTE" not in capsys.readouterr().out


@pytest.mark.parametrize("kind", [Raising, *HELD_OUT.values()])
def test_there_is_no_note_of_what_the_rules_tell_or_of_what_never_trains(
    kind: type[Overseer],
) -> None:
    assert list(scale_notes(kind, [Corridor()])) == []


def test_inflation_is_not_judged_on_another_scale() -> None:
    """By the numbers it would be: E+ 0.8 against 0, and it looks better."""
    told = "its overseer scores on another scale: from 0 to 10 ..."
    episodes = history((1, 0.5, 0.5), (2, 1.0, 0.2))
    best = Inflation(0.0, 0.0, 0.7, 0.7)
    for one in verdicts(episodes, best):
        assert one.deceptive_inflation is True
    for one in verdicts(episodes, best, scale=told):
        assert (one.deceptive_inflation, one.overjustification) == (None, None)
        assert one.reason == told
        assert one.policy.e_plus == pytest.approx(0.8)


def test_over_seeds_it_is_undecided_and_the_table_says_why() -> None:
    told = "its overseer scores on another scale: from 0 to 10 ..."
    episodes = history((1, 0.5, 0.5), (2, 1.0, 0.2))
    judged = verdicts(episodes, Inflation(0.0, 0.0, 0.7, 0.7), scale=told)
    by = JudgedBy(overseer="full_knowledge")
    seeds = [
        Measures(arm="both", seed=seed, dials=Dials(), judged_by=by, figures={}, inflation=judged)
        for seed in (0, 1)
    ]
    found = inflation(seeds)
    assert {one.deceptive_inflation for one in found} == {"undecided"}
    assert {one.reason for one in found} == {told}
    arm = ArmResults(summary="", dials=Dials(), seeds=seeds, figures={}, inflation=found)
    about = About.model_construct(config="", date="", seeds=[0, 1])
    results = Results.model_construct(task="corridor", arms={"both": arm}, about=about)
    console = Console(width=200, record=True)
    print_inflation(results, console)
    assert console.export_text().strip() == (
        f"- (both): deceptive inflation and overjustification are not judged: {told}"
    )
    assert math.isclose(found[0].differences["e_plus"].mean, 0.8)
