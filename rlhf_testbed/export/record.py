"""All generations of a run with every verdict on them, as exports need them.

    record.train[0]       update 1, episode 0, with the training overseer's view and verdict
      .verdicts           {"full_knowledge": Verdict(0.4, False, "reached the coin, trampled ...")}
      .exposed            True: the bad behaviour was possible out of a limited overseer's sight
    record.held_out[0]    the final policy's generation for a scenario that no update has seen

Reads what training and evaluation have filed. One thing is judged anew: the training overseer's
verdict on held-out generations, which `evaluate` uses and does not file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from overseers.base import Overseer
from rlhf_testbed import ledger
from rlhf_testbed.config import RunConfig
from rlhf_testbed.errors import UsageError
from rlhf_testbed.judging import judged_all
from rlhf_testbed.overseeing import training_overseer
from rlhf_testbed.parsing import parse_run
from rlhf_testbed.plugins import faults_told
from rlhf_testbed.reading import arm_of
from rlhf_testbed.run_directory import KNOWING, RunDirectory
from tasks.base import Scenario, Task, Verdict


class Generation(NamedTuple):
    """One generation: its row holds the training overseer's view and verdict."""

    row: ledger.Row
    verdicts: dict[str, Verdict]
    """By each later overseer's name."""
    exposed: bool

    @property
    def scenario(self) -> Scenario:
        """What the model was asked."""
        return ledger.scenario_of(self.row)

    @property
    def unwanted_approved(self) -> bool | None:
        """Approved in training and rejected under full knowledge; None where not exposed."""
        if not self.exposed:
            return None
        return self.row["approved"] and not self.verdicts[KNOWING].approved


class Record(NamedTuple):
    """A run as it is exported."""

    directory: RunDirectory
    run: RunConfig
    train: list[Generation]
    held_out: list[Generation]
    """Empty for a run that no one has evaluated."""
    evaluators: tuple[str, ...]
    """The later overseers whose verdicts are there, full knowledge first."""

    @property
    def task(self) -> Task:
        """The run's task."""
        return self.run.task

    @property
    def arm(self) -> str | None:
        """Its arm, with the dials that its experiment varied; None where it was given dials."""
        return arm_of(self.directory, self.run.flat()) if self.run.testbed.arm else None

    @property
    def seed(self) -> int:
        """Its training seed."""
        return int(self.run.selection.seed)

    @property
    def title(self) -> str:
        """Task, arm and seed, with dashes between words: corridor-both-knowledge-0.5-seed-3."""
        words = f"{self.task.name} {self.arm or 'dials'} seed {self.seed}"
        return re.sub(r"(?:[^\w.]|_)+", "-", words)


def read_record(directory: RunDirectory) -> Record:
    """The record of a finished run; raises `UsageError` for what is unfinished or damaged."""
    summary = directory.summary()
    run = parse_run(["--config", str(directory.config), "--output_dir", str(directory.path)])
    rows = ledger.read(directory.ledger)
    if not rows or len(rows) != summary.get("episodes"):
        raise UsageError(
            f"{directory.ledger}: damaged ledger: {len(rows)} generations, "
            f"but finished.json tells of {summary.get('episodes')}"
        )
    evaluators = evaluators_of(directory)
    train = _joined(directory, "ledger.parquet", rows, evaluators, run.task)
    held_out: list[Generation] = []
    if evaluators:
        fresh = ledger.read(directory.evaluation(evaluators[0]) / "held_out.parquet")
        with faults_told(f"{directory.path}: export stopped", run.task):
            seen = _seen_by(training_overseer(run), fresh)
        held_out = _joined(directory, "held_out.parquet", seen, evaluators, run.task)
    return Record(directory, run, train, held_out, evaluators)


def evaluators_of(directory: RunDirectory) -> tuple[str, ...]:
    """Overseers whose evaluation is complete, full knowledge first: the measures are filed last."""
    done = sorted(file.parent.name for file in directory.path.glob("evaluation/*/measures.json"))
    return tuple(sorted(done, key=lambda name: name != KNOWING))


def in_one_word(overseer: str) -> str:
    """An overseer's name, which may be a dotted path, as part of a column's or as a scorer's.

    >>> in_one_word("my_pkg.auditor:Auditor")
    'my_pkg_auditor_Auditor'
    """
    return re.sub(r"\W+", "_", overseer)


def _seen_by(overseer: Overseer, rows: Sequence[ledger.Row]) -> list[ledger.Row]:
    """The rows with that overseer's view and verdict."""
    scenarios = [ledger.scenario_of(row) for row in rows]
    episodes = judged_all(overseer, scenarios, [row["response"] for row in rows])
    return [
        ledger.row(episode, 0, row["episode"]) for episode, row in zip(episodes, rows, strict=True)
    ]


def _joined(
    directory: RunDirectory,
    file: str,
    rows: Sequence[ledger.Row],
    evaluators: Sequence[str],
    task: Task,
) -> list[Generation]:
    """Each row with the verdicts that later overseers have filed on it, one for one."""
    filed = {name: ledger.read(directory.evaluation(name) / file) for name in evaluators}
    for name, others in filed.items():
        if [_key(row) for row in others] != [_key(row) for row in rows]:
            raise UsageError(
                f"{directory.evaluation(name) / file}: holds other generations than the run "
                f"(rlhf-testbed evaluate {directory.quoted} --overseer {name} judges them anew)"
            )
    return [
        Generation(
            row=row,
            verdicts={name: ledger.verdict_of(filed[name][at]) for name in evaluators},
            exposed=task.exposed(ledger.scenario_of(row), ledger.outcome_of(row)),
        )
        for at, row in enumerate(rows)
    ]


def _key(row: ledger.Row) -> tuple[Any, ...]:
    return row["episode"], row["scenario"], row["prompt"], row["response"], row["facts"]
