"""The records of every run that is exported, read one at a time: of one run, or an experiment's.

    records = Records(Path("runs/corridor"), judged=True)
    [record.title for record in records]    ["corridor-both-seed-0", "corridor-both-seed-1", ...]
    records.left_out                        ["runs/corridor/both/seed-2: training has not ...", ...]

A run of an experiment that can't be exported is left out whole, and said; what can be is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rlhf_testbed.export.record import Record, evaluators_of, read_record
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.progress import Step, Watcher
from rlhf_testbed.store.generations import runs_in
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import KNOWING


class Records:
    """Iterating reads the records one by one; `judged`: only those with full-knowledge verdicts.

    Raises `UsageError` for a path that is neither a run nor an experiment, and when the iteration
    ends without any record.
    """

    def __init__(self, path: Path, judged: bool, watcher: Watcher = lambda step: None) -> None:
        self.path = path
        self.judged = judged
        self.watcher = watcher
        self.directories = runs_in(path)
        self.left_out: list[str] = []
        """Why, a line a run; complete once the iteration has ended."""

    @property
    def evaluators(self) -> tuple[str, ...]:
        """The later overseers of any of the runs, full knowledge first."""
        names = {name for directory in self.directories for name in evaluators_of(directory)}
        return tuple(sorted(names, key=lambda name: (name != KNOWING, name)))

    def __iter__(self) -> Iterator[Record]:
        for done, directory in enumerate(self.directories):
            self.watcher(Step(done, len(self.directories), str(directory.path)))
            try:
                record = self._read(directory)
            except UsageError as error:
                self.left_out.append(str(error))
            else:
                yield record
        self.watcher(Step(len(self.directories), len(self.directories), "all read"))
        if len(self.left_out) == len(self.directories):
            more = len(self.left_out) - 1
            others = f" (and {more} more runs that can't be exported)" if more else ""
            raise UsageError(f"{self.left_out[0]}{others}")

    def _read(self, directory: RunDirectory) -> Record:
        record = read_record(directory)
        if self.judged and KNOWING not in record.evaluators:
            raise UsageError(
                f"{directory.path}: no verdicts of the full-knowledge overseer "
                f"({directory.evaluating} makes them)"
            )
        return record
