"""The runs of an arm in columns: 10,000 runs take megabytes, where their records take hundreds.

runs = Runs.of([measures of run 0, of run 1, ...])
runs.base_seeds, runs.seeds     [0, 0, 1, 1], [0, 1, 0, 1]
runs.figure("threat_1")         [0.98, 0.99, 1.0, 0.97]
"""

from __future__ import annotations

import itertools
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rlhf_testbed.settings.parsing import parse_seeds
from rlhf_testbed.shared.record import Record
from rlhf_testbed.store.run_records import Measures


@dataclass(frozen=True, eq=False)
class Runs:
    """Which runs an arm has, and their figures; every column is as long as there are runs."""

    base_seeds: Sequence[int]
    seeds: Sequence[int]
    figures: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """NaN where a run has none."""
    goals: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Threat 2 by goal, likewise."""

    @classmethod
    def of(cls, measures: Sequence[Measures]) -> Runs:
        """The columns of some runs' measures, in their order."""
        figures, goals = (
            {
                name: array("d", (getattr(one, kind).get(name, math.nan) for one in measures))
                for name in dict.fromkeys(n for one in measures for n in getattr(one, kind))
            }
            for kind in ("figures", "threat_2_by_goal")
        )
        return cls(
            [one.base_seed for one in measures], [one.seed for one in measures], figures, goals
        )

    def __len__(self) -> int:
        return len(self.seeds)

    def figure(self, name: str) -> Sequence[float]:
        """A figure of each run; NaN where it is not there."""
        return self.figures.get(name) or [math.nan] * len(self)

    @property
    def named(self) -> list[tuple[int, int]]:
        """The base policy's seed and the training seed of each run."""
        return list(zip(self.base_seeds, self.seeds, strict=True))

    def rows(self) -> Iterator[tuple[int, int, dict[str, float]]]:
        """Base seed, training seed and the figures of each run."""
        for at, (base, seed) in enumerate(self.named):
            yield base, seed, {name: values[at] for name, values in self.figures.items()}


class Tabled(Record):
    """What `results.json` says of an arm's runs where their figures are in `runs.parquet`."""

    method: str
    """The selection method."""
    options: dict[str, float | str]
    """Of the task, those that were given."""
    runs: dict[int, str]
    """Training seeds by base seed, such as `0-99,120`."""

    @property
    def columns(self) -> Runs:
        """The runs, without figures."""
        told = {base: parse_seeds(seeds, "results.json") for base, seeds in self.runs.items()}
        bases = [base for base, seeds in told.items() for _ in seeds]
        return Runs(bases, [seed for seeds in told.values() for seed in seeds])


def as_ranges(seeds: Iterable[int]) -> str:
    """Seeds in few words, as `parse_seeds` reads them.

    >>> as_ranges([0, 1, 2, 7, 9, 10])
    '0-2,7,9-10'
    """
    told = []
    for _, group in itertools.groupby(enumerate(sorted(seeds)), lambda pair: pair[1] - pair[0]):
        run = [seed for _, seed in group]
        told.append(f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}")
    return ",".join(told)
