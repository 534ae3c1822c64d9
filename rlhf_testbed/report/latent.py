"""What could be read off a policy's hidden states, as tables for the terminal.

exposed: 650 of the 1024 readable episodes
layer      policy             base policy         policy - base       shuffled
before, 3  0.62 [0.57, 0.67]  0.63 [0.58, 0.68]  -0.01 [-0.06, 0.04]     0.50
after, 3   0.92 [0.90, 0.94]  0.93 [0.91, 0.95]  -0.01 [-0.02, 0.01]     0.50

The figures are made up.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from rlhf_testbed.store.run_records import Estimate, Latent, Reading

HEADINGS = ("policy", "base policy", "policy - base")


def print_latent(found: Latent, console: Console) -> None:
    """Prints a table a question, of AUCs with 95 % intervals, or why there is none."""
    console.print(
        f"{found.arm or 'run'}, seed {found.seed}, {found.episodes} fresh episodes: AUC "
        "of linear probes, with 95 % intervals,\nat the prompt's end (before the response) and at "
        "the response's end (after it)",
        highlight=False,
    )
    for question in found.questions:
        counted = question.yes + question.no
        title = f"{question.probe_for}: {question.yes} of the {counted} {question.among}"
        console.print(f"\n[bold]{title}[/]", highlight=False)
        if question.reason:
            console.print(question.reason, highlight=False)
        else:
            console.print(_table(question.readings))


def _table(readings: Sequence[Reading]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("layer", *HEADINGS):
        table.add_column(heading, no_wrap=True)
    table.add_column("shuffled", justify="right", no_wrap=True)
    for reading in readings:
        table.add_row(
            f"{reading.where}, {reading.layer}",
            *map(_estimate, (reading.policy, reading.base, reading.lead)),
            f"{reading.shuffled:.2f}",
        )
    return table


def _estimate(figure: Estimate) -> str:
    """A figure and its interval.

    >>> _estimate(Estimate(value=0.906, low=0.87, high=0.95))
    '0.91 \\\\[0.87, 0.95]'
    """
    value, low, high = (f"{part:.2f}" for part in (figure.value, figure.low, figure.high))
    return f"{value} \\[{low}, {high}]".replace("-0.00", "0.00")
