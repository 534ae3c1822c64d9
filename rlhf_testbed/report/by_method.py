"""Selection methods side by side: a small threat plane each, and both threats at the same KL.

method             judged episodes   KL at the end   threat 1 at a KL of 1.8   threat 2
both, ppo                     3840            2.10                      0.97       0.93
"""

from __future__ import annotations

from typing import Any

import altair as alt
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rlhf_testbed.experiment.methods import METHOD
from rlhf_testbed.report.contrast_tables import LEFT
from rlhf_testbed.report.figures import DRAWN, SMALL, THREATS, Figure, arm_colour, dot, plain
from rlhf_testbed.report.sentences import bars_told, ends, seeds_told, told_figure
from rlhf_testbed.report.threat_plane import top
from rlhf_testbed.store.experiment_records import Results


def figure(results: Results) -> Figure | None:
    """The picture with its rows; None where there is one method."""
    methods = list(dict.fromkeys(arm.method for arm in results.arms.values()))
    if len(methods) < 2:
        return None
    arms = list(dict.fromkeys(name.partition(METHOD)[0] for name in results.arms))
    across = alt.X("threat_1:Q", scale=alt.Scale(domain=[-0.06, 1.06]), title=THREATS["threat_1"])
    rows = plain(_rows(results))
    scale = alt.Scale(domain=[-0.06, top(rows)], nice=False)  # one for all: they are compared
    up = alt.Y("threat_2:Q", scale=scale, title=THREATS["threat_2"])
    base = alt.Chart().encode(x=across, y=up, color=arm_colour(arms))
    dots = dot(sum(row["kind"] == "seed" for row in rows), size=40, opacity=0.4)
    told = [alt.Tooltip(name) for name in ("arm:N", "method:N", "threat_1:Q", "threat_2:Q")]
    layers = alt.layer(
        base.transform_filter("datum.kind=='seed'").mark_circle(**dots),
        base.transform_filter("datum.kind=='mean'")
        .mark_rule(strokeWidth=2, clip=True)
        .encode(y=alt.Y("low_2:Q", title=THREATS["threat_2"]), y2="high_2:Q"),
        base.transform_filter("datum.kind=='mean'")
        .mark_rule(strokeWidth=2)
        .encode(x=alt.X("low_1:Q", title=THREATS["threat_1"]), x2="high_1:Q"),
        base.transform_filter("datum.kind=='mean'")
        .mark_point(shape="diamond", filled=True, size=90, opacity=1)
        .encode(tooltip=told),
    ).properties(**SMALL)
    panels = [
        layers.transform_filter(f"datum.method=='{method}'").properties(title=method)
        for method in methods
    ]
    return Figure(
        name="threat_plane_by_method",
        title=f"{results.task}: both threats under each selection method",
        caption=f"a dot a run; diamonds: means over {seeds_told(results)}, "
        f"{bars_told(results, THREATS)}; an arm that was never exposed has no place here",
        chart=alt.concat(*panels, data=DRAWN, columns=3),
        rows=rows,
    )


def _rows(results: Results) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name, arm in results.arms.items():
        here = {"arm": name.partition(METHOD)[0], "method": arm.method}
        rows += [
            {"kind": "seed", **here, **dict(zip(THREATS, pair, strict=True))}
            for pair in zip(*map(arm.runs.figure, THREATS), strict=True)
        ]
        found = {threat: arm.figure(threat) for threat in THREATS}
        if all(found.values()):
            row: dict[str, Any] = {"kind": "mean", **here}
            for number, (threat, one) in enumerate(found.items(), start=1):
                assert one is not None
                low, high = ends(one)
                row |= {threat: one.mean, f"low_{number}": low, f"high_{number}": high}
            rows.append(row)
    return rows


def print_matched(results: Results, console: Console) -> None:
    """Prints both threats of each arm and method at the same KL from the base policy."""
    if not results.matched:
        return
    table = Table(title="Methods at the same KL from the base policy", **LEFT)
    headings = ("arm", "method", "judged episodes", "KL at the end", "KL", "threat 1", "threat 2")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for one in results.matched:
        figures = (one.kl, one.level, one.threat_1, one.threat_2)
        table.add_row(
            one.arm, one.method, f"{one.episodes}", *(escape(told_figure(each)) for each in figures)
        )
    console.print(table)
