"""The ledger of training as a later overseer judged it, read an update at a time.

    training = Training(directory, task, by)
    for update in training:         as often as is asked: what is in memory is one update
        update.rows                 64 rows, with the training overseer's verdicts
        update.truths               the later overseer's on each, as it was filed
        update.done                 what the task says of each

Needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from rlhf_testbed.evaluation.judged import Deed, deeds
from rlhf_testbed.judging.remembered import RememberedVerdicts, of_cases
from rlhf_testbed.overseers.base import Overseer
from rlhf_testbed.store import ledger, verdicts
from rlhf_testbed.store.ledger import Row
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import JudgedBy
from rlhf_testbed.tasks.base import Task, Verdict


class Update(NamedTuple):
    """One update's episodes, and what is known of each after training."""

    rows: Sequence[Row]
    truths: Sequence[Verdict]
    done: Sequence[Deed]


class Training:
    """The updates of a run's ledger, in order, with the verdicts that `by` has filed on them."""

    def __init__(self, directory: RunDirectory, task: Task, by: JudgedBy) -> None:
        self._directory = directory
        self._verdicts = directory.verdicts(by, "training")
        self._deeds = of_cases(partial(deeds, task))

    @property
    def updates(self) -> int:
        """How many there are."""
        return ledger.last_update(self._directory.ledger)

    def __iter__(self) -> Iterator[Update]:
        filed = verdicts.Filed(self._verdicts, self._directory.evaluating)
        for rows in ledger.updates_in(self._directory.ledger):
            yield Update(rows, filed.on(rows), self._deeds.on(rows))


def judge_training(directory: RunDirectory, overseer: Overseer, by: JudgedBy) -> None:
    """Files a later overseer's verdicts on every row of the ledger, whole or not at all.

    Raises `OverseerError` where the overseer breaks a rule, `UsageError` for a damaged ledger.
    """
    asked = RememberedVerdicts(overseer)
    with verdicts.filing(directory.verdicts(by, "training")) as file:
        for rows in ledger.updates_in(directory.ledger):
            file.add(rows, asked.on(rows))
