"""Each different case is judged once: what is asked, what is kept, and what is still noticed.

rows of one update       SLY CAREFUL SLY SLY    two cases: the overseer is asked twice, and
                                                once more about the last
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from ledgers import AWAY, CAREFUL, LIMITED, RUDE, SLY, STUCK, TASK, batch, row
from rlhf_testbed.evaluation.judged import deeds
from rlhf_testbed.evaluation.training import Training, judge_training
from rlhf_testbed.judging.remembered import Remembered, RememberedVerdicts, of_cases
from rlhf_testbed.overseers.base import Case, OverseerError, Sight, TrainingOverseer
from rlhf_testbed.overseers.full_knowledge import FullKnowledge
from rlhf_testbed.overseers.scripted import Scripted
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store import ledger, verdicts
from rlhf_testbed.store.generations import of_stage
from rlhf_testbed.store.ledger import Row
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import KNOWING, JudgedBy
from rlhf_testbed.tasks.base import Verdict, View
from scripted_runs import write_run


class Counted(Scripted):
    """Keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(TASK, Sight(0.0))
        self.asked: list[list[str]] = []

    def judge_all(self, responses: Sequence[str], views: Sequence[View]) -> list[Verdict]:
        self.asked.append(list(responses))
        return super().judge_all(responses, views)


def test_a_case_is_judged_once_and_the_last_of_each_call_again() -> None:
    overseer = Counted()
    asked = RememberedVerdicts(overseer)
    first = asked.on([row(1, way, 0.0) for way in (SLY, CAREFUL, SLY, SLY)])
    assert overseer.asked == [[SLY, CAREFUL], [SLY]]
    assert [verdict.score for verdict in first] == [0.7, 0.4, 0.7, 0.7]
    second = asked.on([row(2, way, 0.0) for way in (CAREFUL, RUDE, SLY)])
    assert overseer.asked[2:] == [[RUDE], [SLY]]
    assert second == [LIMITED.judge(one.response, one.view) for one in (row(2, CAREFUL, 0.0),)] + [
        row(2, way, 0.0).verdict for way in (RUDE, SLY)
    ]
    asked.on([row(3, SLY, 0.0)])
    assert len(overseer.asked) == 4, "one alone is not judged again"


@pytest.mark.parametrize(
    "change",
    [
        {"response": "left"},
        {"scenario_id": "two"},
        {"prompt": "corridor 2"},
        {"facts_json": "{}"},
        {"concealable": ["right 1", "right 2"]},
        {"outcome_json": "{}"},
        {"valid": False},
    ],
    ids=lambda change: str(next(iter(change))),
)
def test_whatever_belongs_to_a_case_tells_it_from_others(change: dict[str, object]) -> None:
    one = row(1, SLY, 0.0)
    assert one.case_key != dataclasses.replace(one, **change).case_key  # type: ignore[arg-type]


def test_what_does_not_belong_to_a_case_tells_it_from_none() -> None:
    one = row(1, SLY, 0.5)
    other = dataclasses.replace(
        one, update=9, episode=3, advantage=0.0, kl=2.0, score=9.0, approved=False, reason="x"
    )
    assert one.case_key == other.case_key


def test_what_has_not_come_for_longest_is_forgotten() -> None:
    asked: list[int] = []

    def double(numbers: Sequence[int]) -> list[int]:
        asked.extend(numbers)
        return [2 * number for number in numbers]

    kept = Remembered[int, int](double, key=lambda number: number, most=2)
    assert kept.on([1, 2, 1]) == [2, 4, 2]
    assert kept.on([3]) == [6]  # 2 goes: 1 came after it
    assert asked == [1, 2, 3]
    assert kept.on([1]) == [2]
    assert asked == [1, 2, 3]
    # More at once than are kept: each is answered all the same.
    assert kept.on([4, 5, 6, 2]) == [8, 10, 12, 4]
    assert asked == [1, 2, 3, 4, 5, 6, 2]
    assert kept.on([6, 2]) == [12, 4]
    assert len(asked) == 7


class Tiring(TrainingOverseer):
    """Thinks less of everything from the tenth time on that it is asked."""

    summary = "a test's own"
    times = 0

    def judge(self, response: str, view: View) -> Verdict:
        self.times += 1
        return Verdict(float(self.times < 10), True, "as it feels")


def test_an_overseer_that_changes_its_mind_is_noticed_though_it_is_asked_once() -> None:
    asked = RememberedVerdicts(Tiring(TASK, Sight(0.0)))
    for update in range(1, 9):  # judged once, and once more in each update
        asked.on(batch(update, [(SLY, 0.0), (SLY, 0.0)]))
    with pytest.raises(OverseerError, match=r"must judge the same view alike, and gave 1 \(app"):
        asked.on(batch(9, [(SLY, 0.0), (SLY, 0.0)]))


def test_deeds_are_asked_of_the_task_once_a_case() -> None:
    asked: list[Case] = []

    def counted(cases: Sequence[Case]) -> list[object]:
        asked.extend(cases)
        return list(deeds(TASK, cases))

    ways = [SLY, AWAY, STUCK, SLY, AWAY]
    found = of_cases(counted).on([row(1, way, 0.0) for way in ways])
    assert found == deeds(TASK, [row(1, way, 0.0).case for way in ways])
    assert [case.response for case in asked] == [SLY, AWAY, STUCK]


BY = JudgedBy(overseer=KNOWING)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    write_run(tmp_path / "run", updates=5, episodes=8, measured=False)
    return RunDirectory(tmp_path / "run")


def test_the_ledger_is_judged_and_read_update_by_update(run: RunDirectory) -> None:
    judge_training(run, FullKnowledge(TASK), BY)
    training = Training(run, TASK, BY)
    assert training.updates == 5
    for _ in range(2):
        updates = list(training)
        assert [{one.update for one in update.rows} for update in updates] == [
            {at} for at in range(1, 6)
        ]
        for update in updates:
            cases = [one.case for one in update.rows]
            views = [FullKnowledge(TASK).sight.of(case.scenario, case.outcome) for case in cases]
            told = zip(cases, views, strict=True)
            assert update.truths == [TASK.appraise(case.response, view) for case, view in told]
            assert update.done == deeds(TASK, cases)


def test_no_verdict_is_filed_where_an_overseer_breaks_a_rule(run: RunDirectory) -> None:
    with pytest.raises(OverseerError, match="must judge the same view alike"):
        judge_training(run, Tiring(TASK, Sight(0.0)), BY)
    assert not list(run.evaluation().glob("*"))


def test_verdicts_on_fewer_or_on_other_generations_are_refused(run: RunDirectory) -> None:
    rows = ledger.read(run.ledger)
    judge_training(run, FullKnowledge(TASK), BY)
    file = run.verdicts(BY, "training")
    given = verdicts.read(file, rows, "")
    other = [dataclasses.replace(one, response="another") for one in rows[-1:]]
    filed: list[list[Row]] = [rows[:-1], [*rows, rows[-1]], [*rows[:-1], *other]]
    for those in filed:
        verdicts.write(file, those, [*given, given[-1]][: len(those)])
        with pytest.raises(UsageError, match="holds verdicts on other generations than the run"):
            verdicts.read(file, rows, "again")


def test_generations_come_before_the_whole_ledger_is_read(run: RunDirectory) -> None:
    """And what is damaged further on is told where the reading gets there."""
    file = run.ledger / "00004.parquet"
    file.write_bytes(file.read_bytes()[:100])
    found = of_stage("training", run, run.settings())
    assert [next(found).row.update for _ in range(24)] == [1] * 8 + [2] * 8 + [3] * 8
    with pytest.raises(UsageError, match=r"00004\.parquet: damaged ledger"):
        next(found)


def test_a_compacted_run_shows_the_same_generations(run: RunDirectory) -> None:
    before = list(of_stage("training", run, run.settings()))
    ledger.compact(run.ledger)
    assert [file.name for file in run.ledger.iterdir()] == ["00001-00005.parquet"]
    assert list(of_stage("training", run, run.settings())) == before
    assert json.loads(before[0].row.facts_json) == before[0].row.scenario.facts
