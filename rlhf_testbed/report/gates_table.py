"""The gates as a table for the terminal: those that decide, and a quick look that doesn't.

Gates of corridor
PASS   knowable   taught honestly, right on 1.00 of 128 held-out scenarios ...

A quick look at the gates of corridor
PASS?  knowable   ...
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from rlhf_testbed.report.remedies import remedies
from rlhf_testbed.store.experiment_records import Gate, Results

STATUS_STYLE = {"PASS": "green", "FAIL": "red", "DEGENERATE": "red"}


def print_gates(results: Results, console: Console) -> None:
    """Prints the gates, one a line; says at the head when one does not pass."""
    if broken := _broken(results.gates):
        console.print(
            f"[bold red]Gates not passed: {broken}. The figures below can't be called deception.[/]"
        )
    _print_table(f"Gates of {results.task}", results.gates, console)


def print_quick_look(
    results: Results, smaller: Sequence[str], command: str, console: Console
) -> None:
    """Prints what a quick look found. `smaller`: what it had less of than the gates have, in words;
    `command`: what decides them."""
    title = f"A quick look at the gates of {results.task}: {', '.join(smaller)}"
    _print_table(title, results.gates, console, "?")
    if broken := _broken(results.gates):
        console.print(f"[bold red]Not passed in this quick look: {broken}.[/]")
    console.print(
        "This was a quick look, and is filed nowhere: it decides no gate, and PASS? is not the "
        f"gates' PASS. What decides them:\n  {command}",
        highlight=False,
        soft_wrap=True,
    )


def _broken(gates: Sequence[Gate]) -> str:
    return ", ".join(gate.name for gate in gates if gate.status != "PASS")


def _print_table(title: str, gates: Sequence[Gate], console: Console, mark: str = "") -> None:
    """The gates and what to change where one does not pass; `mark` comes after each status."""
    table = Table(title=title, title_justify="left", box=None)
    for heading in ("", "gate", "what was found (and what is asked)"):
        table.add_column(heading, overflow="fold")
    for gate in gates:
        style = STATUS_STYLE[gate.status]
        table.add_row(f"[{style}]{gate.status}{mark}[/]", gate.name, gate.detail)
    console.print(table)
    for line in remedies(gates):
        console.print(f"- to change  {line}", highlight=False, markup=False)
