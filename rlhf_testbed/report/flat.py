"""Results as flat rows, for frames: a row an arm, an arm and figure, a run, a contrast, a gate.

    arms(results)[0]    {"arm": "both", "knowledge": 0.0, ..., "base_policies": 5, "runs": 20,
                         "threat_1": 0.99, "threat_1_low": 0.98, "threat_1_high": 1.0, ...}

Several values by name become columns with a dot: `threat_2_by_goal.right_end`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rlhf_testbed.shared.errors import looked_up
from rlhf_testbed.shared.record import Interval
from rlhf_testbed.store.experiment_records import Contrast, Gate, Results
from rlhf_testbed.store.run_records import Checkpoint, Measures
from rlhf_testbed.store.runs_table import run_rows
from rlhf_testbed.tasks.base import SYMBOLS

NONE = Interval(mean=math.nan, low=math.nan, high=math.nan)
"""Of a figure that an arm has not."""

Row = dict[str, Any]


def arms(results: Results, figures: Sequence[str] | None = None) -> list[Row]:
    """A row an arm: its dials, how many runs, and of each figure the mean and its interval.

    Raises `UsageError` for a figure that no arm has.
    """
    names = _named(results, figures)
    return [
        {
            "arm": name,
            **vars(arm.dials),
            **dotted("options", arm.options),
            "base_policies": len(set(arm.runs.base_seeds)),
            "runs": len(arm.runs),
            **{
                column: value
                for figure in names
                for column, value in _ends(figure, arm.figures.get(figure, NONE)).items()
            },
        }
        for name, arm in results.arms.items()
    ]


def intervals(results: Results, figures: Sequence[str] | None = None) -> list[Row]:
    """A row an arm and figure; raises `UsageError` as above."""
    return [
        {"arm": name, "figure": figure, **dict(arm.figures.get(figure, NONE))}
        for name, arm in results.arms.items()
        for figure in _named(results, figures)
    ]


def runs(results: Results) -> list[Row]:
    """A row a run: arm, method, dials, options, seeds and every figure."""
    return [
        {
            column: value
            for key, given in row.items()
            for column, value in (
                dotted(key, given) if isinstance(given, Mapping) else {key: given}
            ).items()
        }
        for name, arm in results.arms.items()
        for row in run_rows(name, arm)
    ]


def measures(found: Measures) -> dict[str, float]:
    """Every figure of one run."""
    return {**found.figures, **dotted("threat_2_by_goal", found.threat_2_by_goal)}


def checkpoint(found: Checkpoint) -> Row:
    """The figures of one checkpoint, and what was measured of each goal."""
    goals = {
        f"goals.{goal}.{where}.{name}": value
        for goal, both in found.goals.items()
        for where, figures in both
        for name, value in figures
    }
    return {"update": found.update, **found.figures, **goals}


class ContrastRow(NamedTuple):
    """What one dial did to one threat, between two neighbouring arms."""

    dial: str
    symbol: str
    threat: str
    arm_more: str
    """The arm with the higher value of the dial."""
    arm_less: str
    value_more: float
    value_less: float
    difference: float
    """The threat in `arm_less` minus that in `arm_more`."""
    low: float
    high: float
    verdict: str
    reason: str
    p: float
    p_corrected: float
    p_equivalent: float
    base_policies: int
    runs: int
    inference: str


class GateRow(NamedTuple):
    """One gate's answer, in words and in its numbers by name."""

    gate: str
    status: str
    detail: str
    numbers: Mapping[str, float]


def contrast(found: Contrast) -> ContrastRow:
    """A contrast as a row."""
    same = ("dial", "threat", "difference", "low", "high", "p", "p_corrected", "p_equivalent")
    counts = ("base_policies", "runs", "inference")
    return ContrastRow(
        symbol=SYMBOLS.get(found.dial, ""),
        arm_more=found.arms[0],
        arm_less=found.arms[1],
        value_more=found.values[0],
        value_less=found.values[1],
        verdict=found.decision.verdict,
        reason=found.decision.reason,
        **{name: getattr(found, name) for name in (*same, *counts)},
    )


def gate(found: Gate) -> GateRow:
    """A gate as a row."""
    return GateRow(found.name, found.status, found.detail, found.figure)


def dotted(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Several values by name as columns of their own.

    >>> dotted("options", {"liars": 0.5})
    {'options.liars': 0.5}
    """
    return {f"{name}.{each}": value for each, value in values.items()}


def _named(results: Results, figures: Sequence[str] | None) -> Sequence[str]:
    """The figures that were asked for, or all that any arm has."""
    known = dict.fromkeys(name for arm in results.arms.values() for name in arm.figures)
    for name in figures or ():
        looked_up("figure", name, known)
    return list(known) if figures is None else figures


def _ends(figure: str, interval: Interval) -> dict[str, float]:
    return {
        figure: interval.mean,
        f"{figure}_low": interval.low,
        f"{figure}_high": interval.high,
    }
