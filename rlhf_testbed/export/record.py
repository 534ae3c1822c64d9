"""A run as it is exported: its settings, and all generations with every verdict on them.

    record = read_record(RunDirectory.open(Path("runs/corridor/both/seed-3")))
    record.title          "corridor-both-seed-3"
    record.train[0]       update 1, episode 0, with the training overseer's view and verdict
      .later              {"full_knowledge": Verdict(0.4, False, "reached the coin, trampled ...")}
      .exposed            True: the bad behaviour was possible out of a limited overseer's sight
    record.held_out[0]    the selected policy's generation for a scenario that no update has seen

Everything is read where training and evaluation have filed it; no overseer's verdict is asked for
anew.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.record import read
from rlhf_testbed.store import ledger
from rlhf_testbed.store.generations import Generation, arm_of, of_stage, run_told
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import Finished, Measures
from rlhf_testbed.tasks.base import Task


class Record(NamedTuple):
    """A run as it is exported."""

    directory: RunDirectory
    run: RunConfig
    train: list[Generation]
    held_out: list[Generation]
    """Empty for a run that no one has evaluated."""
    evaluators: tuple[str, ...]
    """The names that later verdicts are filed under, full knowledge first."""

    @property
    def task(self) -> Task:
        """The run's task."""
        return self.run.task

    @property
    def arm(self) -> str | None:
        """The arm, with the dials that its experiment varied; None where the run has no arm."""
        return arm_of(self.directory, self.run) if self.run.study.arm else None

    @property
    def title(self) -> str:
        """Task, arm, seed and, where its folder names one, base policy, with dashes between words:
        corridor-both-knowledge-0.5-seed-3."""
        _, _, told = run_told(self.directory, self.run).partition(", ")
        words = f"{self.task.name} {self.arm or 'dials'} {told}"
        return re.sub(r"(?:[^\w.]|_)+", "-", words)


def read_record(directory: RunDirectory) -> Record:
    """The record of a finished run; raises `UsageError` for what is unfinished or damaged."""
    finished, run = directory.summary(), directory.settings()
    _refuse_other_count(directory, finished.episodes)
    for file in (directory.path / "evaluation").glob(f"*/{Measures.file}"):
        read(file, Measures)  # a damaged evaluation is told of, not left out in silence
    evaluators = evaluators_of(directory)
    held_out: list[Generation] = []
    if evaluators or directory.generations("held_out").is_file():
        held_out = list(of_stage("held_out", directory, run))
    return Record(directory, run, list(of_stage("training", directory, run)), held_out, evaluators)


def evaluators_of(directory: RunDirectory) -> tuple[str, ...]:
    """The names that the verdicts of complete evaluations are filed under, full knowledge first."""
    return tuple(judged_by.name for judged_by in directory.evaluations)


def _refuse_other_count(directory: RunDirectory, episodes: int) -> None:
    """Raises `UsageError` where the ledger holds another number of generations, or none."""
    found = ledger.size(directory.ledger)
    if not found or found != episodes:
        raise UsageError(
            f"{directory.ledger}: damaged ledger: {found} generations, "
            f"but {Finished.file} tells of {episodes}"
        )
