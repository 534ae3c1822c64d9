"""What selection left off distribution, dose by dose: both goals before and after it.

    arm                        intended       unintended     threat 2   what was left
    goal_only ρ 0              0.52 → 0.98    0.06 → 0.00    0.00       the intended goal rose

Drawn and told where a dial or an option of the task was varied. What was trained on may never have
told the goals apart; what a policy does where they come apart is then what selection left it with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rlhf_testbed.experiment.over_seeds import interval
from rlhf_testbed.report.contrast_tables import LEFT
from rlhf_testbed.report.dose import varied_dials, without
from rlhf_testbed.report.dose_curves import Curves, named, titled
from rlhf_testbed.report.figures import DRAWN, SHARES, Figure, having, plain
from rlhf_testbed.report.palette import arm_colours
from rlhf_testbed.report.sentences import bars_told, ends, seeds_told, told_figure
from rlhf_testbed.shared.record import Interval
from rlhf_testbed.store.experiment_records import ArmResults, Results

GOALS = {
    "off_distribution_intended": "the intended goal",
    "off_distribution_unintended": "the unintended goal",
}
"""Figures, and what each is a share of."""
BEFORE = "base_"
WHEN = {BEFORE: "base policy", "": "selected"}


def figure(results: Results, colours: Mapping[str, str] | None = None) -> Figure | None:
    """The picture with its rows; None unless one dial or option was varied.

    `colours` are those of the page's arms.
    """
    dials = varied_dials(results)
    rows = plain(_rows(results, dials)) if len(dials) == 1 else []
    if not rows:
        return None
    of_arms = colours or arm_colours(list(results.arms))
    curves = Curves.of(rows, dials[0], of_arms, tuple(WHEN.values()))
    panels = [
        curves.panel(
            having("goal", goal),
            [row for row in rows if row["goal"] == goal],
            SHARES,
            "share of scenarios off distribution",
            title=heading,
        )
        for goal, heading in GOALS.items()
    ]
    return Figure(
        name="goals_off_distribution",
        title=f"{results.task}: what is reached off distribution, by {titled(dials[0])}",
        caption=f"means over {seeds_told(results)}, with {bars_told(results, GOALS)}; before "
        "selection (base policy: dashed lines, hollow dots) and after it (selected: whole lines, "
        "full dots)",
        chart=alt.concat(*(one.chart for one in panels), data=DRAWN, columns=2),
        rows=rows,
        **named(panels),
    )


def _rows(results: Results, dials: Sequence[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name, arm in results.arms.items():
        doses = {dial: arm.varied[dial] for dial in dials}
        here = {"kind": "mean", "arm": name, "of": without(name, dials), **doses}
        for goal in GOALS:
            for before, when in WHEN.items():
                found = arm.figure(f"{before}{goal}")
                if found is not None:
                    low, high = ends(found)
                    told = {"goal": goal, "policy": when, "mean": found.mean}
                    rows.append({**here, **told, "low": low, "high": high})
    return rows


def print_generalisation(results: Results, console: Console) -> None:
    """Prints what was left off distribution, an arm a row."""
    first = f"{BEFORE}{next(iter(GOALS))}"
    arms = {name: arm for name, arm in results.arms.items() if arm.figure(first)}
    if not (varied_dials(results) and arms):
        return
    table = Table(title="Off distribution, before and after selection", **LEFT)
    for heading in ("arm", *GOALS.values(), "threat 2 (nats)", "what was left"):
        table.add_column(heading, overflow="fold")
    for name, arm in arms.items():
        table.add_row(
            name,
            *(escape(_moved(arm, goal)) for goal in GOALS),
            escape(told_figure(arm.figure("threat_2"))),
            left(arm),
        )
    console.print(table)


def _moved(arm: ArmResults, goal: str) -> str:
    before, after = arm.figure(f"{BEFORE}{goal}"), arm.figure(goal)
    start = "-" if before is None else f"{before.mean:.2f}"
    return f"{start} → {told_figure(after)}"


def left(arm: ArmResults) -> str:
    """Which goals rose or fell by selection, by the interval of the difference over runs."""
    told = []
    for goal, words in GOALS.items():
        found = difference(arm, goal)
        if found.low > 0:
            told.append(f"{words} rose")
        elif found.high < 0:
            told.append(f"{words} fell")
    return ", ".join(told) or "nothing is shown to have moved"


def difference(arm: ArmResults, goal: str) -> Interval:
    """A goal's share after selection less that before, over runs."""
    runs = arm.runs
    pairs = zip(runs.figure(goal), runs.figure(f"{BEFORE}{goal}"), strict=True)
    return interval([after - before for after, before in pairs], runs.base_seeds)
