"""Tables of what the dials did, of the variance between base policies, and without some of them.

What each dial did
dial  arms                   threat
κ 1 → 0  goal_only → both    1       moved   difference 0.99 (95 % interval ...); n = 5 × 4

Where the variance of a single run lies
arm  n  threat  between base policies  between seeds  share between
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rlhf_testbed.experiment.over_seeds import HEADLINES
from rlhf_testbed.report.sentences import n_of, n_told, needed_told, symbol_of, told_figure
from rlhf_testbed.store.experiment_records import Contrast, Passing, Results

LEFT: dict[str, Any] = {
    "title_justify": "left",
    "box": None,
    "pad_edge": False,
    "padding": (0, 1, 0, 0),
}
VERDICT_STYLE = {"moved": "bold", "equivalent": "green", "undecided": "yellow"}
HEADINGS = ("threat 1", "threat 2 (nats)")


def print_contrasts(results: Results, console: Console) -> None:
    """Prints what each dial did to each threat: moved, equivalent or undecided."""
    if results.contrasts:
        console.print(_contrasts(results.contrasts, "What each dial did"))


def _contrasts(contrasts: Sequence[Contrast], title: str) -> Table:
    table = Table(title=title, **LEFT)
    for heading in ("dial", "arms", "threat", "", "why"):
        table.add_column(heading, overflow="fold")
    for found in contrasts:
        verdict, reason = found.decision.verdict, why_decided(found)
        high, low = found.values
        table.add_row(
            f"{symbol_of(found.dial)} {high:g} → {low:g}",
            " → ".join(found.arms),
            found.threat.removeprefix("threat_"),
            f"[{VERDICT_STYLE[verdict]}]{verdict}[/]",
            reason,
        )
    return table


def why_decided(found: Contrast) -> str:
    """Why a contrast is decided as it is, over how many, and what it would take where it isn't."""
    told = [found.decision.reason, n_told(found.base_policies, found.runs)]
    if found.decision.verdict == "undecided":
        told.append(needed_told(found))
    return "; ".join(filter(None, told))


class Spread(NamedTuple):
    """Standard deviations of one threat between base policies and between seeds, in words."""

    arm: str
    n: str
    threat: str
    between: str
    within: str
    share: str


def variance(results: Results) -> list[Spread]:
    """Where the variance of a single run lies: a row an arm and threat, where it can be told."""
    return [
        Spread(
            name,
            n_of(arm),
            threat.removeprefix("threat_"),
            f"{math.sqrt(found.between):.3f}",
            f"{math.sqrt(found.within):.3f}",
            "-" if math.isnan(found.share) else f"{found.share:.2f}",
        )
        for name, arm in results.arms.items()
        for threat in HEADLINES
        if (found := arm.components.get(threat)) and not math.isnan(found.between)
    ]


def print_components(results: Results, console: Console) -> None:
    """Prints how much of each threat's variance lies between base policies."""
    table = Table(title="Where the variance of a single run lies", **LEFT)
    for heading in ("arm", "n", "threat"):
        table.add_column(heading)
    for heading in ("sd between base policies", "sd between seeds", "share between"):
        table.add_column(heading, justify="right")
    for row in variance(results):
        table.add_row(*row)
    if table.row_count:
        console.print(table)


def print_passing(results: Results, console: Console) -> None:
    """Prints the analysis without the base policies for which a gate did not pass."""
    passing = results.passing
    if passing is None:
        return
    table = Table(title=f"Without {left_out_told(passing)}", **LEFT)
    for heading in ("arm", *HEADINGS):
        table.add_column(heading)
    for name, figures in passing.arms.items():
        table.add_row(name, *(escape(told_figure(figures.get(threat))) for threat in HEADLINES))
    console.print(table)
    console.print(_contrasts(passing.contrasts, "What each dial did without them"))


def left_out_told(passing: Passing) -> str:
    """The base policies that are left out, and the gates that they did not pass."""
    return "; ".join(
        f"base policy {base} (not passed: {', '.join(gates)})"
        for base, gates in passing.left_out.items()
    )
