"""Generations as a table for the terminal, a line each: many at a glance.

run           update episode  overseer     truth response                   reason under full ...
both, seed 3      60      12 +1.00 yes +0.40  no right walk jump walk walk  reached the coin, ...

Behind each score, whether it was approved.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rlhf_testbed.report.generations import visible
from rlhf_testbed.store.generations import Generation
from rlhf_testbed.tasks.base import Verdict

NUMBERS = {"update": 6, "episode": 7, "overseer": 9, "truth": 9}
"""Columns of numbers, and how wide they are: the same on every page."""
PAGE = 40
"""Lines under one heading, where there are pages."""
WIDE = 160
"""Columns where there is no terminal whose width counts."""


def print_lines(generations: Iterable[Generation], console: Console) -> int:
    """Prints a table of generations; returns how many."""
    if not console.is_terminal:
        console = Console(file=console.file, width=WIDE)
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("run", ratio=2, no_wrap=True, overflow="ellipsis")
    for heading, width in NUMBERS.items():
        table.add_column(heading, width=width, justify="right", no_wrap=True)
    table.add_column("response", ratio=4, no_wrap=True, overflow="ellipsis")
    table.add_column("reason under full knowledge", ratio=4, no_wrap=True, overflow="ellipsis")
    for generation in generations:
        row = generation.row
        table.add_row(
            Text(visible(generation.run)),
            f"{row.update or ''}",
            f"{row.episode}",
            _verdict(generation.verdict),
            _verdict(generation.truth),
            Text(_in_a_line(row.response)),
            Text(_in_a_line(generation.truth.reason)),
        )
    if table.row_count:
        console.print(table)
    return table.row_count


def _in_a_line(text: str) -> str:
    """Text without line ends or anything that a terminal would obey.

    >>> _in_a_line("right\\n  walk")
    'right walk'
    """
    return " ".join(visible(text).split())


def _verdict(verdict: Verdict) -> Text:
    """Score, and the word for what became of it."""
    word, style = ("yes", "green") if verdict.approved else ("no", "red")
    return Text(f"{verdict.score:+.2f} {word:>3}", style)
