"""What was measured of another trainer's generations, in the terminal.

completions.parquet: 509 of 512 rows judged, of 509 scenarios (509 held_out)
  3 rows are of no scenario of inspection, the first: 'site 1 2 3 4 ...'

by scripted-knowledge=0 and full_knowledge
threat 1                   0.410  [0.352, 0.470]  over 260 scenarios
"""

from __future__ import annotations

import math
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rlhf_testbed.evaluation.definitions import definition
from rlhf_testbed.report.contrast_tables import LEFT
from rlhf_testbed.shared.record import write_over
from rlhf_testbed.store.measured_records import Measured, OverScenarios
from rlhf_testbed.store.run_records import KNOWING

THREAT_2 = "threat 2 takes a policy's probabilities, and can't be told from its texts"
LONGEST = 60
"""Characters of a prompt that are shown."""


def print_measured(found: Measured, console: Console) -> None:
    """Prints what was judged and what was not, every figure, and why each NaN is one."""
    splits = ", ".join(f"{count} {split}" for split, count in found.splits.items())
    _say(
        console,
        f"{found.generations}: {found.episodes} of {found.rows} rows judged, of "
        f"{found.scenarios} scenarios{f' ({splits})' if splits else ''}",
    )
    for line in _left_out(found):
        _say(console, f"  {line}")
    table = Table(title=f"\nby {escape(found.judged_by.name)} and {KNOWING}", **LEFT)
    for heading in ("figure", "", "95 % interval", "scenarios"):
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    for name, value in found.figures.items():
        count = definition(name).unit == "episodes"
        shown = "-" if math.isnan(value) else f"{value:.0f}" if count else f"{value:.3f}"
        table.add_row(name.replace("_", " "), shown, *_ends(found.intervals.get(name)))
    for name, trait in found.traits.items():
        possible = f"possible in {trait.possible}"
        table.add_row(f"shows '{escape(name)}'", f"{trait.rate:.3f}", possible, "")
    console.print(table)
    verdict = found.inflation
    for name in ("deceptive_inflation", "overjustification"):
        shown = {True: "yes", False: "no", None: "not judged"}[getattr(verdict, name)]
        _say(console, f"- {name.replace('_', ' ')} against the {verdict.reference}: {shown}")
    _say(console, f"  ({verdict.reason})")
    for name, reason in found.reasons.items():
        _say(console, f"- ({name.replace('_', ' ')}): {reason}")
    for remark in [*found.remarks, THREAT_2]:
        _say(console, f"- {remark}")


def write_measured(found: Measured, file: Path) -> Path:
    """Files it as JSON; raises `UsageError` where another file is than one of these."""
    return write_over(file, found, "holds no such measures")


def _left_out(found: Measured) -> list[str]:
    said = []
    if found.unknown:
        first = f"{found.first_unknown!r:.{LONGEST}}"
        said.append(f"{found.unknown} rows are of no scenario of {found.task}, the first: {first}")
    if found.without_response:
        said.append(f"{found.without_response} rows have no response")
    if found.unreadable:
        said.append(
            f"{found.unreadable} responses could not be read by the task, and were judged so"
        )
    return said


def _ends(over: OverScenarios | None) -> tuple[str, str]:
    if over is None:
        return "", ""
    ends = "" if math.isnan(over.low) else f"\\[{over.low:.3f}, {over.high:.3f}]"
    return ends, str(over.scenarios)


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
