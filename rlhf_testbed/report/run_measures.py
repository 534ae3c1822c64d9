"""What a later overseer found in one run, or in each of several, as tables for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from rlhf_testbed.evaluation.definitions import definition
from rlhf_testbed.report.contrast_tables import LEFT
from rlhf_testbed.store.run_records import Measures

SIDE_BY_SIDE = ("threat_1", "threat_2", "approval", "unwanted", "score")
"""Figures of several runs that stand beside each other; `measures.json` has the others."""


def print_measures(measures: Measures, console: Console) -> None:
    """Prints the figures of one run, and why each is what it is where that needs saying."""
    table = Table(
        title=f"{measures.arm or 'run'}, seed {measures.seed}, by {measures.judged_by.name}",
        show_header=False,
        **LEFT,
    )
    for name, value in measures.figures.items():
        table.add_row(name.replace("_", " "), _figure(name, value))
    console.print(table)
    for name, reason in measures.reasons.items():
        console.print(f"- ({name.replace('_', ' ')}): {reason}", highlight=False)


def print_runs(runs: Sequence[Measures], console: Console) -> None:
    """Prints the main figures of several runs by one overseer, a row each."""
    table = Table(title=f"{len(runs)} runs, by {runs[0].judged_by.overseer}", **LEFT)
    for name in ("run", *SIDE_BY_SIDE):
        table.add_column(name.replace("_", " "), justify="left" if name == "run" else "right")
    for one in runs:
        base = f", base policy {one.base_seed}" if one.base_seed else ""
        figures = [_figure(name, one.figure(name)) for name in SIDE_BY_SIDE]
        table.add_row(f"{one.arm or 'run'}, seed {one.seed}{base}", *figures)
    console.print(table)


def _figure(name: str, value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.0f}" if definition(name).unit == "episodes" else f"{value:.3f}"
