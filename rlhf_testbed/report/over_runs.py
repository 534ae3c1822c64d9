"""Means over runs with their intervals, update by update, and what is said of them.

with_means([{"arm": "both", "seed": 0, "base": 0, "update": 1, "of": "x", "value": 0.5}, ...])
lines_told(rows, [("both", 0, 0), ("both", 0, 1), ("both", 0, 2)])
    Thin lines: training seeds; thick: their means; bands: 95 % intervals; n = 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

from rlhf_testbed.experiment.over_seeds import interval
from rlhf_testbed.report.figures import Rows
from rlhf_testbed.report.labels import broken
from rlhf_testbed.report.sentences import ends, n_told

TITLE = 26
"""Letters of a line of a panel's title."""
MANY = 8
"""With more arms than this, lines of single seeds are left out."""
Run: TypeAlias = tuple[str, int, int]
"""Arm, base policy and training seed."""
BANDS: Mapping[str, Callable[[int], bool]] = {
    "95 % intervals": lambda units: units > 2,
    "ranges (of two no interval is claimed)": lambda units: units == 2,
}
"""What bands are, by the number of base policies, or of seeds of one."""


def with_means(
    points: Sequence[Mapping[str, Any]], shares: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Points of seeds, and of each arm and update the mean over the seeds that could be judged.

    With the ends of its interval, or of the range of two. `shares`: what lies in [0, 1].
    """
    grouped: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for point in points:
        key = (point["arm"], point["update"], point["of"])
        grouped.setdefault(key, [])
        if not math.isnan(point["value"]):
            grouped[key].append(point)
    seeds = [{"kind": "seed", **point} for point in points]
    means = []
    for (arm, update, of), judged in grouped.items():
        if judged:
            values, bases = [one["value"] for one in judged], [one.get("base", 0) for one in judged]
            found = interval(values, bases, share=of in shares)
            low, high = ends(found)
            here = {"kind": "mean", "arm": arm, "update": update, "of": of}
            means.append({**here, "value": found.mean, "low": low, "high": high})
    return [*seeds, *means]


def as_drawn(rows: Rows) -> list[Mapping[str, Any]]:
    """The rows without those of single seeds, where arms are too many for these to be drawn."""
    few = len({row["arm"] for row in rows}) <= MANY
    return [row for row in rows if few or row["kind"] != "seed"]


def lines_told(rows: Rows, runs: Sequence[Run], *, cut: bool = False, turns: bool = False) -> str:
    """What the lines and bands of a picture are, and over how many runs."""
    seeds = any(row["kind"] == "seed" for row in rows)
    lines = "Thin lines: training seeds; thick: their means" if seeds else "Lines: means"
    units = [
        len({base for base, _ in of}) if len({base for base, _ in of}) > 1 else len(of)
        for of in _by_arm(runs).values()
    ]
    kinds = [told for told, is_so in BANDS.items() if any(map(is_so, units))]
    bands = f"; bands: {' or '.join(kinds)}{', cut at the frame' if cut else ''}" if kinds else ""
    several = " in each arm" if len(_by_arm(runs)) > 1 else ""
    took = " Lines that coincide take turns." if turns else ""
    return f"{lines}{bands}; {n_each(runs)}{several}.{took}"


def n_each(runs: Sequence[Run]) -> str:
    """Over how many runs the lines of an arm are; where arms differ, from how few to how many.

    >>> n_each([("both", 0, 0), ("both", 0, 1), ("neither", 0, 0)])
    'n = 1 to 2'
    """
    counts = sorted({(len(of), len({base for base, _ in of})) for of in _by_arm(runs).values()})
    (least, _), (most, bases) = counts[0], counts[-1]
    return n_told(bases, most) if len(counts) == 1 else f"n = {least} to {most}"


def titled(arm: str, runs: Sequence[Run]) -> list[str]:
    """The title of an arm's panel, in lines: its name, and over how many runs it is.

    >>> titled("both", [("both", 0, 0), ("both", 0, 1)])
    ['both (n = 2)']
    """
    *lines, last = broken(arm, TITLE).split("\n")
    return [*lines, f"{last} ({n_each([run for run in runs if run[0] == arm])})"]


def _by_arm(runs: Sequence[Run]) -> dict[str, set[tuple[int, int]]]:
    found: dict[str, set[tuple[int, int]]] = {}
    for arm, base, seed in runs:
        found.setdefault(arm, set()).add((base, seed))
    return found
