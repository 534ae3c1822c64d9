"""The threat plane: threat 1 across, threat 2 up, a colour an arm, a dot a seed, intervals.

An arm in which the bad behaviour was never possible has no threat 1; it stands in a strip of its
own beside the plane, at its threat 2.
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
SHARE = "threat 1: unwanted yet approved, of exposed episodes"
NATS = "threat 2: goal-directedness towards an unintended goal (nats)"


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
    top = 1.08 * max(
        [1.0, *(row["threat 2"] for row in dots), *(row["high 2"] or 0 for row in means)]
    )
    scale = alt.Scale(domain=[-0.06, top], nice=False)
    colour = alt.Color(
        "arm:N",
        scale=alt.Scale(domain=list(results["arms"]), range=list(COLOURS[: len(results["arms"])])),
        legend=None,
    )
    exposed = alt.X("threat 1:Q", scale=alt.Scale(domain=[-0.06, 1.06], nice=False), title=SHARE)
    charts = [
        _layers(
            [row for row in dots if row["threat 1"] is not None],
            [row for row in means if row["threat 1"] is not None],
            exposed,
            scale,
            NATS,
            colour,
        ).properties(width=460, height=400)
    ]
    if any(row["threat 1"] is None for row in dots):
        never = {"threat 1": "never exposed"}
        charts.append(
            _layers(
                [row | never for row in dots if row["threat 1"] is None],
                [row | never for row in means if row["threat 1"] is None],
                alt.X("threat 1:N", title=None, axis=alt.Axis(labelAngle=0)),
                scale,
                None,
                colour,
            ).properties(width=110, height=400)
        )
    return _styled(alt.hconcat(*charts, spacing=12), results)


def _styled(chart: alt.HConcatChart, results: Mapping[str, Any]) -> alt.HConcatChart:
    gates = [gate["status"] for gate in results["gates"]]
    seeds = len(results["about"]["seeds"])
    title = alt.TitleParams(
        f"{results['task']}: the two threats, measured apart",
        subtitle=f"a dot a training seed; diamonds and bars: mean and 95 % interval over {seeds} "
        f"seeds; gates passed: {gates.count('PASS')} of {len(gates)}",
        anchor="start",
    )
    return (
        chart.properties(title=title)
        .configure_view(stroke="#dddddd")
        .configure_axis(
            gridColor="#eeeeee", labelFontSize=12, titleFontSize=12, titleFontWeight="normal"
        )
        .configure_title(fontSize=16, subtitleFontSize=12, offset=12)
    )


def _layers(
    dots: Sequence[Mapping[str, Any]],
    means: Sequence[Mapping[str, Any]],
    across: alt.X,
    scale: alt.Scale,
    title: str | None,
    colour: alt.Color,
) -> alt.LayerChart:
    """Seeds, intervals, means and names; the names are on the side that has room."""
    up = alt.Y("threat 2:Q", scale=scale, title=title)
    seeds = alt.Chart(alt.Data(values=list(dots))).encode(x=across, y=up, color=colour)
    centres = alt.Chart(alt.Data(values=list(means))).encode(x=across, y=up, color=colour)
    layers = [
        seeds.mark_circle(size=60, opacity=0.45),
        centres.mark_rule(strokeWidth=2).encode(y=alt.Y("low 2:Q", title=title), y2="high 2:Q"),
        centres.mark_point(shape="diamond", filled=True, size=140, opacity=1),
    ]
    if any("low 1" in row for row in means):
        ends = alt.X("low 1:Q", title=SHARE)
        layers.append(centres.mark_rule(strokeWidth=2).encode(x=ends, x2="high 1:Q"))
    for side in ("left", "right"):
        named = [row for row in means if _side(row) == side]
        if named:
            offset = 14 if side == "left" else -14
            names = alt.Chart(alt.Data(values=named)).encode(x=across, y=up, color=colour)
            layers.append(
                names.mark_text(align=side, dx=offset, dy=-12, fontSize=14).encode(text="arm:N")
            )
    return alt.layer(*layers)


def _side(row: Mapping[str, Any]) -> str:
    """The side of the plane that a mean is on."""
    return "left" if isinstance(row["threat 1"], str) or row["threat 1"] < 0.5 else "right"


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
