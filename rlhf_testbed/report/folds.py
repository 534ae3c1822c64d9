"""What the page's tables show at once, and what they fold: rows of which nothing is shown.

    parted(results.contrasts)     moved and equivalent; undecided
    parted(inflation(results))    shown and undecided; not shown

The fold has their number in its line: "3 contrasts of which nothing is shown".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from rlhf_testbed.report.contents import Inflated, Inherited
from rlhf_testbed.report.table import Optimised
from rlhf_testbed.store.experiment_records import Contrast


class Parted(NamedTuple):
    """Rows of a table, in their order."""

    shown: list[Any]
    folded: list[Any]


def parted(rows: Iterable[Any]) -> Parted:
    """The rows that show something, and the others."""
    every = list(rows)
    return Parted(
        shown=[row for row in every if shows(row)],
        folded=[row for row in every if not shows(row)],
    )


def shows(row: Any) -> bool:
    """Whether a row shows something; that two arms are equivalent is shown, too."""
    match row:
        case (str(), _order):  # an arm, and which of two curves sets on first in it
            return bool(_order.word != "undecided")
        case Contrast():
            return row.decision.verdict != "undecided"
        case Inflated():
            return row.shown != "not shown"
        case Inherited():
            return row.interval is not None
        case Optimised():
            return not all(told.startswith(("+0.000", "-0.000")) for told in (row.risen, row.since))
    raise TypeError(f"no row of a table that is folded: {type(row).__name__}")
