"""Selection methods side by side: a small threat plane each, and both threats at the same KL.

method             judged episodes   KL at the end   threat 1 at a KL of 1.8   threat 2
both, ppo                     3840            2.10                      0.97       0.93
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rlhf_testbed.experiment.methods import METHOD
from rlhf_testbed.report.contrast_tables import LEFT
from rlhf_testbed.report.figures import DRAWN, THREATS, Figure, arm_colour, having, plain
from rlhf_testbed.report.palette import arm_colours
from rlhf_testbed.report.plane import Plane, frame_of
from rlhf_testbed.report.sentences import bars_told, n_told, seeds_told, told_figure
from rlhf_testbed.report.threat_plane import RINGED, arm_rows
from rlhf_testbed.store.experiment_records import Results

SIZE = {"width": 270, "height": 240}
LEAST = 230
"""Pixels for which names are laid out."""


def figure(results: Results, colours: Mapping[str, str] | None = None) -> Figure | None:
    """The picture with its rows; None where there is one method. `colours`: of the page's arms."""
    methods = list(dict.fromkeys(arm.method for arm in results.arms.values()))
    if len(methods) < 2:
        return None
    of_arms = colours or arm_colours(list(results.arms))
    every = {method: _rows(results, method) for method in methods}
    frame = frame_of([row for rows in every.values() for row in rows])  # one: they are compared
    planes = {method: Plane(rows, frame, LEAST, SIZE["height"]) for method, rows in every.items()}
    named = {method: plane.named() for method, plane in planes.items()}
    told = all(found is not None for found in named.values())
    panels = []
    for method, plane in planes.items():
        of = {_short(name): of_arms[name] for name in _arms(results, method)}
        colour, where = arm_colour(of, list(of), told=told), having("method", method)
        layers = plane.layers(colour, tuple(THREATS.values()), where, named=told)
        panels.append(alt.layer(*layers).properties(title=_titled(results, method), **SIZE))
    rows = [row for plane in planes.values() for row in plane.ranked()]
    ringed = RINGED if any(row["rank"] for row in rows) else ""
    return Figure(
        name="threat_plane_by_method",
        title=f"{results.task}: both threats under each selection method",
        caption=f"a dot a run; diamonds: means over {seeds_told(results)}, "
        f"{bars_told(results, THREATS)}{ringed}",
        chart=alt.concat(*panels, data=DRAWN, columns=3).resolve_scale(
            color="independent", fill="independent", stroke="independent"
        ),
        rows=rows,
        names=[
            {**name, "method": method}
            for method, found in named.items()
            for name in (found if told and found else ())
        ],
        least=LEAST,
    )


def _arms(results: Results, method: str) -> list[str]:
    """The arms with that method."""
    return [name for name, arm in results.arms.items() if arm.method == method]


def _titled(results: Results, method: str) -> str:
    """A method, and over how many runs its figures are where that is the same in all its arms."""
    runs = [results.arms[name].runs for name in _arms(results, method)]
    told = {n_told(len(set(one.base_seeds)), len(one)) for one in runs}
    return f"{method} ({told.pop()})" if len(told) == 1 else method


def _short(arm: str) -> str:
    """An arm's name without its method."""
    return arm.partition(METHOD)[0]


def _rows(results: Results, method: str) -> list[dict[str, Any]]:
    return plain(
        [
            row
            for name in _arms(results, method)
            for row in arm_rows(results.arms[name], arm=_short(name), method=method)
        ]
    )


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
