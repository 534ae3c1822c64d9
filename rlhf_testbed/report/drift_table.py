"""The table of selection or drift: each threat of each arm beside the same with scores dealt out.

arm   threat  by the overseer   dealt out         share   spread       late spread   selection
both  2       1.02 [0.9, 1.1]   0.05 [0.0, 0.1]   0.05    0.10, 0.08   0.01, 0.02    moved
"""

from __future__ import annotations

import math

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rlhf_testbed.report.contrast_tables import LEFT, VERDICT_STYLE
from rlhf_testbed.report.sentences import told_figure
from rlhf_testbed.store.experiment_records import Contrast, Drift, Results

COLUMNS = (
    *("arm", "threat", "by the overseer", "dealt out", "share"),
    *("sd over runs, both", "late sd, both", "selection", "difference"),
)


def print_drift(results: Results, console: Console) -> None:
    """Prints how much of each threat the control for drift shows, too."""
    if not results.drift:
        return
    table = Table(title="Selection or drift: the same with scores dealt out at random", **LEFT)
    for heading in COLUMNS:
        table.add_column(heading, overflow="fold")
    for one in results.drift:
        verdict = one.contrast.decision.verdict
        table.add_row(
            one.arm,
            one.threat.removeprefix("threat_"),
            escape(told_figure(one.selected)),
            escape(told_figure(one.dealt)),
            _number(one.share, 2),
            f"{_number(one.spread)}, {_number(one.spread_dealt)}",
            f"{_number(one.late_spread)}, {_number(one.late_spread_dealt)}",
            f"[{VERDICT_STYLE[verdict]}]{verdict}[/]",
            _difference(one.contrast),
        )
    console.print(table)
    for one in results.drift:
        if one.threat == "threat_2":
            console.print(f"- {drift_told(one)}", highlight=False)


def drift_told(found: Drift) -> str:
    """What the control says of threat 2 in one arm, in a sentence."""
    if math.isnan(found.selected.mean) or math.isnan(found.dealt.mean):
        return f"{found.arm}: threat 2 could not be judged in both."
    seen = f"{found.arm}: threat 2 is {found.selected.mean:.2f} nats, and {found.dealt.mean:.2f}"
    verdict = {
        "moved": "selection moved it",
        "equivalent": "selection made no difference to it",
        "undecided": "whether selection moved it is undecided",
    }[found.contrast.decision.verdict]
    return f"{seen} where nothing was selected: {verdict}."


def _difference(found: Contrast) -> str:
    """A difference with its 95 % interval."""
    if math.isnan(found.difference):
        return "-"
    return escape(f"{found.difference:.2f} [{found.low:.2f}, {found.high:.2f}]")


def _number(value: float, digits: int = 3) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
