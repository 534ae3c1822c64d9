"""Onset: the update at which a curve first reaches half of its final value, and which comes first.

Threat 1 and threat 2 of one run, measured at the same five updates:

    onset([1, 2, 3, 4, 5], [0.0, 0.5, 0.8, 1.0, 0.9], floor=0.1)  ->  update 2 (final value 0.9)
    onset([1, 2, 3, 4, 5], [0.0, 0.1, 0.1, 0.6, 1.1], floor=0.1)  ->  update 4 (final value 0.6)
    order([2, 3, 2], [4, 6, 4])                                   ->  first: 2.33 updates earlier

A curve that ends below a floor named beforehand has no onset: nothing set on, and the reason says
so. An order that seeds do not show is "undecided"; "together" has to be shown, too.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from rlhf_testbed.measures.arguments import ROUNDING, arrays, mean
from rlhf_testbed.measures.decisions import Unit, decide
from rlhf_testbed.measures.statistics import interval_over_seeds
from rlhf_testbed.shared.arrays import FloatsLike

Word: TypeAlias = Literal["first", "second", "together", "undecided"]

LAST = 3
"""The final value of a curve is the mean of this many of its last points."""
BOUND = 1.0
"""Updates within which two onsets count as together. A ledger can't tell less than one apart."""


class Onset(NamedTuple):
    """When a curve set on. NaN where it did not, or could not be judged; `reason` says which."""

    update: float
    final: float
    """The mean of the curve's last points, in the unit of the curve; NaN where one isn't finite."""
    reason: str


class Order(NamedTuple):
    """Which of two curves set on first, over seeds."""

    difference: float
    """Mean over seeds of the first curve's onset minus the second's, in updates."""
    low: float
    high: float
    """Bounds of the difference's 95 % interval: `low` and `high`."""
    word: Word
    """Where the first curve comes: `first`, `second`, `together` with the other, or undecided."""
    reason: str


def onset(updates: FloatsLike, values: FloatsLike, floor: float, last: int = LAST) -> Onset:
    """The first update at which a curve is at least half of its final value.

    The final value is the mean of the `last` points (this project's definition; nothing is
    interpolated or smoothed, so the update is one of those given). Shapes [points] both; values in
    any unit, that of `floor`. NaN with a reason for fewer than `last` points, for any value that is
    not finite, and for a final value below `floor`. Raises `ValueError` for updates that do not
    rise, for a floor that is not above 0, and for `last` < 1.

    The final value is (0.8 + 1.0 + 0.9) / 3 = 0.9, and 0.5 is the first value from 0.45 up:

    >>> found = onset([1, 2, 3, 4, 5], [0.0, 0.5, 0.8, 1.0, 0.9], floor=0.1)
    >>> found.update, round(found.final, 6)
    (2.0, 0.9)
    >>> onset([1, 2, 3], [0.0, 0.0, 0.03], floor=0.1).reason
    'nothing set on: the final value 0.01 is below 0.1'
    """
    at, x = arrays(1, updates=updates, values=values)
    _checked(floor, last)
    if not (np.isfinite(at).all() and (np.diff(at) > 0).all()):
        raise ValueError("updates must rise from each to the next")
    if x.size < last:
        points = f"{x.size} point{'' if x.size == 1 else 's'}"
        return Onset(math.nan, math.nan, f"{points}; a final value takes {last}")
    final = mean(x[-last:]) if np.isfinite(x[-last:]).all() else math.nan
    unjudged = int(np.sum(~np.isfinite(x)))
    if unjudged:
        return Onset(math.nan, final, f"{unjudged} of {x.size} values could not be judged")
    if final < floor * (1 - ROUNDING):
        reason = f"nothing set on: the final value {final:.3g} is below {floor:g}"
        return Onset(math.nan, final, reason)
    first = int(np.argmax(x >= final / 2 * (1 - ROUNDING)))
    reason = f"{x[first]:.3g} is at least half of the final value {final:.3g}"
    return Onset(
        float(at[first]), final, f"{reason}, as it was from the start" if first == 0 else reason
    )


def order(
    onsets_a: FloatsLike, onsets_b: FloatsLike, bound: float = BOUND, unit: Unit = "seed"
) -> Order:
    """Which of two curves sets on first over matched units: a mean difference, and a word.

    `together` where the difference is shown to lie within `bound` updates (two one-sided t tests,
    `measures.statistics.equivalence`); else `first` where the 95 % Student-t interval of a - b lies
    below 0 (a sets on first), `second` where it lies above 0; else `undecided`. Shapes [seeds]
    both, in updates, seed by seed. With fewer than two seeds, or a seed in which either curve has
    no onset (NaN), it is undecided, and the reason says so. Raises `ValueError` for a bound that is
    not above 0.

    Differences -2, -3 and -2: mean -7/3, standard error 1/3, t(0.975, 2) = 4.303:

    >>> found = order([2, 3, 2], [4, 6, 4])
    >>> found.word, round(found.difference, 3), round(found.low, 3), round(found.high, 3)
    ('first', -2.333, -3.768, -0.899)
    >>> order([2], [4]).word, order([2], [4]).reason
    ('undecided', '1 seed')
    """
    a, b = arrays(1, onsets_a=onsets_a, onsets_b=onsets_b)
    interval = interval_over_seeds(a - b)
    decision = decide(a, b, bound, unit)
    word: Word = "undecided"
    if decision.verdict == "equivalent":
        word = "together"
    elif decision.verdict == "moved":
        word = "first" if interval.mean < 0 else "second"
    return Order(*interval, word, decision.reason)


def _checked(floor: float, last: int) -> None:
    if not floor > 0:
        raise ValueError(f"floor = {floor} is not above 0")
    if last < 1:
        raise ValueError(f"last = {last} must be at least 1")
