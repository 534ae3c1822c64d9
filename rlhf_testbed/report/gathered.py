"""The generations of a run or an experiment, packed for a page, and their history.

    gathered = gather(source)
    len(gathered.store)       16,000 generations of training, 3,840 held out
    gathered.histories[0]     the first run, update by update

A ledger that is missing, damaged or of another version is left out whole, and said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from rlhf_testbed.evaluation.history import heritability, selection_history
from rlhf_testbed.report.curves import History
from rlhf_testbed.report.run_record import Missing, RunRecord
from rlhf_testbed.report.sources import Source
from rlhf_testbed.report.store import Store
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store import ledger
from rlhf_testbed.store.generations import Generation, of_stage
from rlhf_testbed.store.run_directory import Stage

FRESH: Mapping[Stage, str] = {
    "held_out": "held-out generations",
    "base": "held-out generations of the base policy, before any selection",
}
"""What evaluation adds to the generations of training."""
MOST = 200_000
"""Generations that a page holds; of more, every so many are shown."""


@dataclass(frozen=True)
class Gathered:
    """What the ledgers of all runs hold."""

    store: Store
    histories: tuple[History, ...]
    missing: tuple[Missing, ...]
    every: int
    """1 where all generations are in the store, 2 where every second is, and so on."""


def gather(source: Source, most: int = MOST) -> Gathered:
    """Reads the ledgers of all runs of a source."""
    every = max(1, -(-sum(_size(run) for run in source.runs) // most))
    store, histories, missing = Store(source.task), [], []
    for run in source.runs:
        try:
            training = list(of_stage("training", run.directory, run.settings))
        except UsageError as error:
            missing.append(Missing("a ledger that can be read", str(error), ""))
            continue
        anew = any(generation.anew for generation in training)
        arm, _, base = run.name.partition(f", seed {run.seed}")
        store.runs.append(
            {
                "arm": f"{arm}{base}",
                "of": run.arm,
                "base": run.base_seed,
                "seed": run.seed,
                "anew": anew,
            }
        )
        at = len(store.runs) - 1
        store.add(at, islice(training, 0, None, every))
        for stage, what in FRESH.items():
            store.add(at, islice(_fresh(run, stage, what, missing), 0, None, every))
        histories.append(_history(run, training))
    return Gathered(store, tuple(histories), tuple(missing), every)


def _fresh(run: RunRecord, stage: Stage, what: str, missing: list[Missing]) -> Iterator[Generation]:
    """Generations of the evaluation; none, and said, where it was done but they can't be read."""
    if run.measures is None and not run.directory.generations(stage).is_file():
        return
    try:
        yield from list(of_stage(stage, run.directory, run.settings))
    except UsageError as error:
        missing.append(Missing(what, str(error), run.directory.evaluating))


def _history(run: RunRecord, training: Sequence[Generation]) -> History:
    """As `evaluate` filed it, else worked out from the ledger just as `evaluate` does."""
    filed = run.selection
    if filed is not None:
        return History(run.arm, run.seed, filed.updates, filed.heritability, run.base_seed)
    found = selection_history(
        run.settings.task,
        [generation.row for generation in training],
        [generation.truth for generation in training],
    )
    traits = found[0].traits if found else {}
    inherited = {trait: heritability(found, trait) for trait in traits}
    return History(run.arm, run.seed, found, inherited, run.base_seed)


def _size(run: RunRecord) -> int:
    """Rows of a run's ledger; none where it can't be read."""
    try:
        return ledger.size(run.directory.ledger)
    except UsageError:
        return 0
