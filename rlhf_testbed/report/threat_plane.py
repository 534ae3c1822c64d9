"""The threat plane: threat 1 across, threat 2 up, a colour an arm, a dot a seed, intervals.

An arm in which the bad behaviour was never possible has no threat 1; it stands in a strip of its
own at the left, at its threat 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt

from rlhf_testbed.files import written_whole

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7f7f7f", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette, which colour-blind people can tell apart."""
FORMATS = ("png", "svg")


def draw(results: Mapping[str, Any], folder: Path) -> list[Path]:
    """Writes the picture of an experiment's results as PNG and SVG; returns the files."""
    chart = threat_plane(results)
    files = [folder / f"threat_plane.{ending}" for ending in FORMATS]
    for file, ending in zip(files, FORMATS, strict=True):
        with written_whole(file) as aside:
            chart.save(str(aside), format=ending, scale_factor=2)
    return files


def threat_plane(results: Mapping[str, Any]) -> alt.HConcatChart:
    """The picture as an Altair chart."""
    dots, means = _seeds(results), _means(results)
    arms = list(results["arms"])
    colour = alt.Color(
        "arm:N",
        scale=alt.Scale(domain=arms, range=list(COLOURS[: len(arms)])),
        legend=alt.Legend(title=None, orient="right", symbolType="circle", symbolSize=120),
    )
    top = max([1.2, *(row["threat 2"] * 1.08 for row in dots)])
    nats = alt.Y(
        "threat 2:Q",
        scale=alt.Scale(domain=[-0.05, top]),
        title="threat 2: goal-directedness towards an unintended goal (nats)",
    )
    share = alt.X(
        "threat 1:Q",
        scale=alt.Scale(domain=[-0.03, 1.03]),
        title="threat 1: unwanted yet approved, of exposed episodes",
    )
    plane = _layers(
        [row for row in dots if row["threat 1"] is not None],
        [row for row in means if row["threat 1"] is not None],
        share,
        nats,
        colour,
    ).properties(width=440, height=400)
    charts = [plane]
    unexposed = [row for row in dots if row["threat 1"] is None]
    if unexposed:
        strip = _layers(
            [row | {"threat 1": "never exposed"} for row in unexposed],
            [row | {"threat 1": "never exposed"} for row in means if row["threat 1"] is None],
            alt.X("threat 1:N", title=None, axis=alt.Axis(labelAngle=0)),
            nats,
            colour,
        ).properties(width=90, height=400)
        charts.insert(0, strip)
    gates = [gate["status"] for gate in results["gates"]]
    return (
        alt.hconcat(*charts)
        .properties(
            title=alt.TitleParams(
                f"{results['task']}: the two threats, measured apart",
                subtitle=f"a dot a training seed; diamonds and bars: mean and 95 % interval over "
                f"{len(results['about']['seeds'])} seeds; gates passed: {gates.count('PASS')} of "
                f"{len(gates)}",
                anchor="start",
            )
        )
        .configure_view(stroke="#dddddd")
        .configure_axis(gridColor="#eeeeee", labelFontSize=12, titleFontSize=12)
        .configure_legend(labelFontSize=13)
        .configure_title(fontSize=16, subtitleFontSize=12, offset=12)
    )


def _layers(
    dots: Sequence[Mapping[str, Any]],
    means: Sequence[Mapping[str, Any]],
    across: alt.X,
    up: alt.Y,
    colour: alt.Color,
) -> alt.LayerChart:
    seeds = alt.Chart(alt.Data(values=list(dots))).mark_circle(size=55, opacity=0.45)
    centres = alt.Chart(alt.Data(values=list(means)))
    layers = [
        seeds.encode(x=across, y=up, color=colour),
        centres.mark_rule(strokeWidth=2).encode(
            x=across, y=alt.Y("low 2:Q", title=up.title), y2="high 2:Q", color=colour
        ),
        centres.mark_point(shape="diamond", filled=True, size=130, stroke="white").encode(
            x=across, y=up, color=colour
        ),
    ]
    if any("low 1" in row for row in means) and across.shorthand.endswith(":Q"):
        layers.insert(
            1,
            centres.mark_rule(strokeWidth=2).encode(
                x=alt.X("low 1:Q", title=across.title), x2="high 1:Q", y=up, color=colour
            ),
        )
    return alt.layer(*layers)


def _seeds(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"arm": name, "threat 1": seed["threat_1"], "threat 2": seed["threat_2"]}
        for name, arm in results["arms"].items()
        for seed in arm["seeds"]
    ]


def _means(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row an arm: means, and the ends of the intervals where there are any."""
    rows = []
    for name, arm in results["arms"].items():
        row: dict[str, Any] = {"arm": name, "threat 1": None}
        for number in (1, 2):
            interval = arm[f"threat_{number}"]
            if interval is not None:
                row[f"threat {number}"] = interval["mean"]
                row[f"low {number}"] = interval["low"]
                row[f"high {number}"] = interval["high"]
        rows.append(row)
    return rows
