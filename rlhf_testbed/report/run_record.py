"""What is known of one run besides its generations, and which runs of many are read for it.

RunRecord.of(directory).selection.updates     threat 1 update by update
drawn(directories, 200)                       about 200 of them, as many of each arm
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.record import Kind, read
from rlhf_testbed.store.generations import arm_of, run_told
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import (
    Checkpoints,
    Measures,
    ProxyAndGold,
    SelectionThroughTraining,
)

CLOSE = 200
"""Runs that are read themselves: settings, what goes update by update, generations."""


class Missing(NamedTuple):
    """What is not there, why, and the command that makes it (empty where none can)."""

    what: str
    why: str
    command: str


@dataclass(frozen=True)
class RunRecord:
    """What is known of one run besides its generations; None for what could not be read."""

    directory: RunDirectory
    arm: str
    seed: int
    base_seed: int
    settings: RunConfig
    measures: Measures | None
    selection: SelectionThroughTraining | None
    checkpoints: Checkpoints | None
    proxy_and_gold: ProxyAndGold | None
    missing: tuple[Missing, ...]

    @property
    def name(self) -> str:
        """Its arm and seed, and its base policy where the experiment has several."""
        return run_told(self.directory, self.settings)

    @classmethod
    def of(cls, directory: RunDirectory) -> RunRecord:
        """Reads a run's records; raises `UsageError` where even its settings can't be read."""
        settings = directory.settings()
        missing: list[Missing] = []

        def evaluated(kind: type[Kind], file: str, what: str) -> Kind | None:
            try:
                return read(directory.evaluation() / file, kind)
            except UsageError as error:
                missing.append(Missing(what, str(error), directory.evaluating))
                return None

        measures = selection = checkpoints = proxy_and_gold = None
        if directory.finished:
            measures = evaluated(Measures, Measures.file, "measures")
        else:
            why = f"{directory.path}: training has not finished here (no finished.json)"
            missing.append(Missing("a finished training", why, directory.training_again))
        if measures is not None:
            selection = evaluated(
                SelectionThroughTraining,
                SelectionThroughTraining.file,
                "selection update by update",
            )
            checkpoints = evaluated(Checkpoints, Checkpoints.file, "both threats through training")
            proxy_and_gold = evaluated(
                ProxyAndGold, ProxyAndGold.file, "proxy and gold through training"
            )
        return cls(
            directory=directory,
            arm=arm_of(directory, settings),
            seed=settings.seed,
            base_seed=settings.base.base_seed,
            settings=settings,
            measures=measures,
            selection=selection,
            checkpoints=checkpoints,
            proxy_and_gold=proxy_and_gold,
            missing=tuple(missing),
        )


def drawn(runs: Sequence[RunDirectory], most: int) -> list[RunDirectory]:
    """About `most` of the runs, as many of each arm, always the same ones; all where they are few.

    Of more arms than that some have none.
    """
    if len(runs) <= most:
        return list(runs)
    arms: dict[str, list[RunDirectory]] = {}
    for run in runs:
        arms.setdefault(run.path.parent.name, []).append(run)
    rng = random.Random(most)
    names = sorted(rng.sample(list(arms), min(most, len(arms))))
    each = most // len(names)
    return [
        run
        for name in names
        for run in sorted(
            rng.sample(arms[name], min(each, len(arms[name]))), key=lambda run: run.path
        )
    ]
