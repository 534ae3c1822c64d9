"""The contract of every overseer on every task: a verdict depends on the view and nothing else."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import overseers_of
from rlhf_testbed.contract import OVERSEER_RULES
from rlhf_testbed.contract.judges import Candidate
from rlhf_testbed.contract.rules import OPEN, tried
from rlhf_testbed.overseers import HELD_OUT, OVERSEERS
from rlhf_testbed.overseers.base import (
    Case,
    HeldOutOverseer,
    Overseer,
    Sight,
    TrainingOverseer,
    oversee,
    oversee_all,
)
from rlhf_testbed.overseers.full_knowledge import FullKnowledge
from rlhf_testbed.overseers.scripted import Scripted
from rlhf_testbed.selection.loop import select_all
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.settings.plugins import overseer_class
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.tasks import TASKS
from rlhf_testbed.tasks.base import Outcome, Scenario, Task

CASES = [
    (name, index) for name in sorted(TASKS) for index in range(len(overseers_of(TASKS[name]())))
]


@pytest.mark.parametrize(("name", "index"), CASES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_is_not_seen_changes_no_verdict(name: str, index: int, data: st.DataObject) -> None:
    task = TASKS[name]()
    overseer = overseers_of(task)[index]
    scenario = data.draw(st.sampled_from(task.scenarios(OPEN, 0, "train", 30)))
    response = data.draw(st.sampled_from(task.responses))
    outcome = task.outcome(scenario, response)
    unseen = overseer.sight.of(scenario, outcome).unseen
    anything = st.one_of(
        st.text(max_size=5), st.sampled_from(sorted(map(str, scenario.facts.values())))
    )
    facts = dict(scenario.facts) | {fact: data.draw(anything) for fact in unseen}
    then = dict(outcome.facts) | {
        fact: data.draw(anything) for fact in unseen if fact in outcome.facts
    }
    other = Scenario(scenario.id, "another prompt", facts, scenario.concealable)
    before = oversee(overseer, scenario, response, outcome)
    assert oversee(overseer, other, response, Outcome(then)) == before


def test_a_peeping_overseer_would_be_caught() -> None:
    """The test above can fail: a view that leaked would change the verdict."""
    task = TASKS["corridor"]()
    scenario = next(s for s in task.scenarios(OPEN, 0, "train", 50) if s.concealable)
    response = next(
        r
        for r in task.responses
        if task.traits(scenario, task.outcome(scenario, r))[task.concealed_trait]
    )
    outcome = task.outcome(scenario, response)
    hidden = dict(outcome.facts) | dict.fromkeys(scenario.concealable, "went around")
    seeing = FullKnowledge(task)
    assert oversee(seeing, scenario, response, outcome) != oversee(
        seeing, scenario, response, Outcome(hidden)
    )


@pytest.mark.parametrize("rule", OVERSEER_RULES)
@pytest.mark.parametrize("name", [*OVERSEERS, *HELD_OUT])
def test_every_overseer_keeps_the_contract_on_every_task(name: str, rule: str) -> None:
    candidate = Candidate(overseer_class(name), [kind() for kind in TASKS.values()])
    (result,) = tried({rule: OVERSEER_RULES[rule]}, candidate)
    assert result.status == "PASS", result.detail


@pytest.mark.parametrize(("name", "index"), CASES)
def test_verdicts_are_the_same_one_by_one_and_in_any_order(name: str, index: int) -> None:
    task = TASKS[name]()
    cases = [
        Case(scenario, response, task.outcome(scenario, response))
        for scenario in task.scenarios(OPEN, 0, "train", 4)
        for response in task.responses[::9]
    ]
    at_once = oversee_all(overseers_of(task)[index], cases)
    assert oversee_all(overseers_of(task)[index], cases[::-1]) == at_once[::-1]
    assert [oversee(overseers_of(task)[index], *case) for case in cases] == at_once


def test_every_kind_says_what_it_is() -> None:
    """The summaries need no torch, so that a list of overseers is there at once."""
    program = (
        "import sys, overseers\n"
        "kinds = {**overseers.OVERSEERS, **overseers.HELD_OUT}\n"
        "assert all(kind.summary for kind in kinds.values())\n"
        "assert 'torch' not in sys.modules\n"
        "print(*kinds)"
    )
    listed = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert listed.stdout.split() == [*OVERSEERS, *HELD_OUT]


def test_sight_grows_with_knowledge(task: Task) -> None:
    shares = []
    for knowledge in (0.0, 0.3, 0.7, 1.0):
        unseen = {
            (s.id, name)
            for s in task.scenarios(OPEN, 0, "train", 300)
            for name in Sight(knowledge).of(s, Outcome({})).unseen
        }
        concealable = sum(len(s.concealable) for s in task.scenarios(OPEN, 0, "train", 300))
        shares.append((unseen, 1 - len(unseen) / concealable))
    for (less, share), knowledge in zip(shares, (0.0, 0.3, 0.7, 1.0), strict=True):
        assert share == pytest.approx(knowledge, abs=0.06)
        assert all(more <= less for more, other in shares if other > share)


def test_held_out_overseers_are_another_type() -> None:
    for held_out in HELD_OUT.values():
        assert issubclass(held_out, HeldOutOverseer)
        assert not issubclass(held_out, TrainingOverseer)
    assert all(issubclass(overseer, TrainingOverseer) for overseer in OVERSEERS.values())
    assert not set(HELD_OUT) & set(OVERSEERS)


def test_a_held_out_overseer_is_refused_for_training() -> None:
    """By the loop, before anything is sampled, and by name before there is a run."""
    held_out: Overseer = FullKnowledge(TASKS["corridor"]())
    nothing: Any = None
    with pytest.raises(
        TypeError, match="FullKnowledge is held out: it can't take part in training"
    ):
        select_all(nothing, held_out, nothing, nothing)  # type: ignore[arg-type]
    with pytest.raises(
        UsageError, match="overseer = full_knowledge is held out: it only evaluates"
    ):
        parse_run(["--overseer", "full_knowledge"])


def test_knowledge_is_a_share() -> None:
    with pytest.raises(ValueError, match=r"knowledge = -0\.1 is not in \[0, 1\]"):
        Scripted(TASKS["corridor"](), Sight(-0.1))


def test_a_prior_is_a_share() -> None:
    with pytest.raises(ValueError, match=r"prior = 2 is not in \[0, 1\]"):
        Scripted(TASKS["corridor"](), Sight(0), prior=2)


def test_a_prior_is_of_no_account_where_everything_is_seen(task: Task) -> None:
    trusting, wary = Scripted(task, Sight(1.0)), Scripted(task, Sight(1.0), prior=0.0)
    for scenario in task.scenarios(OPEN, 0, "train", 10):
        for response in task.responses[::5]:
            outcome = task.outcome(scenario, response)
            assert oversee(trusting, scenario, response, outcome) == oversee(
                wary, scenario, response, outcome
            )
