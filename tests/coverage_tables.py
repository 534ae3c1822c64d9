"""How often intervals hold what was planted: five kinds for a share, and those over base policies.

    make coverage                               python tests/coverage_tables.py
    make coverage TO=docs/results/intervals

A data set is a few units: training seeds of one base policy, or base policies with seeds of their
own. Each unit's rate is drawn from a beta distribution with the planted mean and spread, and its
share is counted over `EPISODES` episodes. Of `DATA_SETS` such, the share whose interval holds the
planted rate, in percent, and the mean width. Exit status 1 where the method that is taken holds
fewer than 93 of 100 with three units or more, or an interval over base policies does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rlhf_testbed.measures.nested import units, variance_components
from rlhf_testbed.measures.shares import interval_of_share
from rlhf_testbed.measures.statistics import interval_over_seeds
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.shared.arrays import Floats
from rlhf_testbed.shared.files import write_text
from rlhf_testbed.store.provenance import environment
from share_intervals import EPISODES, METHODS, TAKEN, Ends

DATA_SETS, ENOUGH = 2000, 93
SIZES = (2, 3, 5, 20)


class Planted(NamedTuple):
    """The mean rate over all units that there could be, and how far it spreads between them."""

    rate: float
    spread: float

    def draw(self, rng: np.random.Generator, *shape: int) -> Floats:
        """Rates of units: beta distributed, which has just that mean and spread."""
        return beta(rng, np.full(shape, self.rate), self.spread)


PLANTED = (
    Planted(0.0, 0.0),
    *(Planted(0.02, spread) for spread in (0.005, 0.01, 0.03)),
    Planted(0.3, 0.05),
    *(Planted(0.5, spread) for spread in (0.03, 0.1, 0.2, 0.3)),
    Planted(0.9, 0.1),
    *(Planted(0.98, spread) for spread in (0.005, 0.01, 0.03, 0.05)),
    Planted(1.0, 0.0),
)


def beta(rng: np.random.Generator, means: Floats, spread: float) -> Floats:
    """Beta draws with these means, and this standard deviation where a mean allows it."""
    found = means.copy()
    room = means * (1 - means)
    inside = room > 0
    if spread > 0 and inside.any():
        wide = np.minimum(spread**2, 0.9 * room[inside])
        size = room[inside] / wide - 1
        found[inside] = rng.beta(means[inside] * size, (1 - means[inside]) * size)
    return found


class Held(NamedTuple):
    """How often intervals held what was planted, of 100, and how wide they were."""

    of_100: float
    width: float


def held(ends: Ends, planted: float) -> Held:
    """Of the intervals of all data sets."""
    low, high = ends
    rounding = 1e-9
    inside = (low <= planted + rounding) & (planted - rounding <= high)
    return Held(100 * float(inside.mean()), float(np.mean(high - low)))


def shares(
    planted: Planted, units_each: int, data_sets: int = DATA_SETS, seed: int = 0
) -> dict[str, Held]:
    """Every method on the same data sets."""
    rng = np.random.default_rng([seed, units_each])
    rates = planted.draw(rng, data_sets, units_each)
    sets = rng.binomial(EPISODES, rates) / EPISODES
    return {name: held(method(sets), planted.rate) for name, method in METHODS.items()}


class Nested(NamedTuple):
    """Planted variance components of a figure around its mean."""

    base_policies: int
    seeds: int
    between: float
    """Standard deviation of base policies."""
    within: float
    """Standard deviation of training seeds of one base policy."""
    mean: float = 1.0
    is_share: bool = False

    def draw(self, rng: np.random.Generator) -> Floats:
        """One data set [base policies, seeds]."""
        shape = (self.base_policies, self.seeds)
        if not self.is_share:
            bases = self.mean + self.between * rng.standard_normal((self.base_policies, 1))
            return bases + self.within * rng.standard_normal(shape)
        bases = beta(rng, np.full((self.base_policies, 1), self.mean), self.between)
        rates = beta(rng, np.broadcast_to(bases, shape).copy(), self.within)
        return rng.binomial(EPISODES, rates) / EPISODES


NESTED = tuple(
    Nested(*design, *spread)
    for design in ((5, 4), (5, 2), (3, 2))
    for spread in (
        (0.2, 0.1),
        (0.1, 0.2),
        (0.0, 0.2),
        (0.05, 0.05, 0.9, True),
        (0.02, 0.01, 0.98, True),
    )
)


class Recovered(NamedTuple):
    """What the nested analysis says of planted components."""

    over_base_policies: Held
    over_runs: Held
    """All runs taken as independent: the mistake that the nested analysis avoids."""
    between: float
    """Square root of the mean estimated variance between base policies."""
    within: float
    moved: float
    """Of 100 contrasts of two arms that do not differ, those called moved (paired t on bases)."""


def nested(planted: Nested, data_sets: int = DATA_SETS, seed: int = 0) -> Recovered:
    """Coverage over base policies, and the components that are found, over data sets."""
    rng = np.random.default_rng([seed, planted.base_policies, planted.seeds])
    names = [base for base in range(planted.base_policies) for _ in range(planted.seeds)]
    of_units = interval_of_share if planted.is_share else interval_over_seeds
    over, runs, found, moved = [], [], [], 0
    for _ in range(data_sets):
        values, other = planted.draw(rng).ravel(), planted.draw(rng).ravel()
        over.append(of_units(units(values, names))[1:])
        runs.append(of_units(values)[1:])
        found.append(variance_components(values, names))
        _, low, high = interval_over_seeds(units(values, names) - units(other, names))
        moved += not low <= 0 <= high
    variances = np.mean(found, axis=0)
    columns = [np.array(ends).T for ends in (over, runs)]
    held_of = [held((ends[0], ends[1]), planted.mean) for ends in columns]
    return Recovered(*held_of, *np.sqrt(variances).tolist(), 100 * moved / data_sets)


class Tables(NamedTuple):
    """All that was simulated."""

    shares: dict[tuple[int, Planted], dict[str, Held]]
    """By number of units and what was planted; then by method."""
    nested: dict[Nested, Recovered]

    @classmethod
    def of(cls, data_sets: int) -> Tables:
        """Simulates every cell."""
        return cls(
            {(n, one): shares(one, n, data_sets) for n in SIZES for one in PLANTED},
            {design: nested(design, data_sets) for design in NESTED},
        )

    def below(self, least: float = ENOUGH) -> list[str]:
        """Where the method that is taken, or an interval over base policies, holds fewer."""
        found = {
            f"{planted.rate:g}±{planted.spread:g} with {size} units": cell[TAKEN].of_100
            for (size, planted), cell in self.shares.items()
            if size > 2
        }
        found |= {_named(one): cell.over_base_policies.of_100 for one, cell in self.nested.items()}
        return [f"{name}: {held:.1f}" for name, held in found.items() if held < least]


def share_rows(tables: Tables) -> Iterator[str]:
    """Coverage and width of each method: a block for each number of units."""
    for size in SIZES:
        yield f"{size} units" + ("   (the page claims no interval of two)" if size == 2 else "")
        yield _row("planted", [f"{p.rate:g}±{p.spread:g}" for p in PLANTED])
        for name in METHODS:
            cells = [tables.shares[size, planted][name] for planted in PLANTED]
            yield _row(name, [f"{c.of_100:.0f} {c.width:.2f}" for c in cells])
        yield ""


def nested_rows(tables: Tables) -> Iterator[str]:
    """What the nested analysis finds: a row for each design and planted components."""
    columns = ("over bases", "over runs", "sd between", "found", "sd within", "found", "moved")
    yield _row("base policies × seeds", list(columns))
    for planted, found in tables.nested.items():
        intervals = [f"{h.of_100:.0f} {h.width:.2f}" for h in found[:2]]
        spreads = [planted.between, found.between, planted.within, found.within]
        told = [*intervals, *(f"{one:.3f}" for one in spreads), f"{found.moved:.1f}"]
        yield _row(_named(planted), told)


def _named(planted: Nested) -> str:
    what = f"share {planted.mean:g}" if planted.is_share else "nats"
    return f"{planted.base_policies} × {planted.seeds}, {what}"


def _row(name: str, cells: list[str]) -> str:
    return f"{name:24s}" + "".join(f"{cell:>11s}" for cell in cells)


def readme(data_sets: int) -> str:
    """The tables with command, commit, date and machine."""
    made = environment(parse_run(["--task", "corridor"]))
    commit = f"{made.commit or 'unknown'}{'' if made.clean else ' (with changes)'}"
    tables = Tables.of(data_sets)
    below = tables.below()
    return TEXT.format(
        data_sets=f"{data_sets:,}",
        made=f"{date.today().isoformat()}, from commit {commit},\n"
        f"on {made.cores} CPU cores with {made.memory_gib:.0f} GiB",
        episodes=EPISODES,
        shares="\n".join(share_rows(tables)).rstrip(),
        nested="\n".join(nested_rows(tables)),
        below=f"{BELOW}{'; '.join(below)}." if below else f"No cell is below {ENOUGH} of 100.",
    )


BELOW = f"Below {ENOUGH} of 100: "
TEXT = """# How often the intervals hold what was planted

    make coverage TO=docs/results/intervals

{made}.
{data_sets} simulated data sets a cell. Written by the command above.

## Shares

Each unit's rate is drawn from a beta distribution with the planted mean and spread (rate±spread),
and counted over {episodes} episodes. In a cell: in how many of 100 data sets the 95 % interval
holds the planted rate, and how wide it is in the mean.

```
{shares}
```

*beta-binomial profile* is taken (`rlhf_testbed/measures/shares.py`): no other holds 93 of 100
everywhere from three units on. Its limits:

- Near 0 and 1 it is on the safe side with three to five units: 99 of 100 or more where the spread
  is large.
- Where all units are at 1, its lower end is 0.60 with three, 0.84 with five and 0.98 with twenty:
  nothing rules out a unit far below that was not drawn. That is wide where 1 holds by construction.
- With two units it says next to nothing; the page shows their range, and claims no interval.

Near the edges Student's, clipped or not, misses one planted rate in five; so does the t on
log-odds, which is of the mean log-odds and not of the mean: with many units it misses most. The
bootstrap is far too narrow for so few. The posterior is narrower than the profile near the edges,
but fails where units part widely (0.5±0.3), and never holds 0 or 1.

## Seeds within base policies

A cell of *over bases* has coverage and width of the interval whose units are the base policies,
*over runs* the same where all runs are taken as independent. *found*: root of the mean estimated
variance (one between base policies can't be estimated below 0, which lifts the mean where little
was planted; that within base policies contains a share's binomial noise). *moved*: of 100
contrasts between two arms that don't differ, how many a paired t test over base policies calls
moved (5 are allowed).

```
{nested}
```

{below}
"""


def main() -> None:
    """Prints the tables, and files them where a folder is named."""
    text = readme(DATA_SETS)
    print(text)
    if len(sys.argv) > 1:
        write_text(Path(sys.argv[1]) / "README.md", text)
    sys.exit(int(BELOW in text))


if __name__ == "__main__":
    main()
