"""Dose and response: a threat against a dial; a heat map where two dials were varied.

Drawn for experiments with `vary`: means over training seeds with 95 % intervals, a dot a seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt

from rlhf_testbed.contrasts import SYMBOLS
from rlhf_testbed.files import written_whole

THREATS = {"threat_1": "threat 1 (share)", "threat_2": "threat 2 (nats)"}
FORMATS = ("png", "svg")


def varied_dials(results: Mapping[str, Any]) -> list[str]:
    """The dials that take more than one value within an arm."""
    return [
        dial
        for dial in SYMBOLS
        if len({arm["dials"][dial] for arm in results["arms"].values()}) > 1
        and any(f"{dial}=" in name for name in results["arms"])
    ]


def draw(results: Mapping[str, Any], folder: Path) -> list[Path]:
    """Writes the pictures of an experiment with one or two varied dials; returns the files."""
    dials = varied_dials(results)
    if len(dials) not in (1, 2):
        return []
    chart = _curves(results, dials[0]) if len(dials) == 1 else _maps(results, dials)
    files = [folder / f"dose_and_response.{ending}" for ending in FORMATS]
    for file, ending in zip(files, FORMATS, strict=True):
        with written_whole(file) as aside:
            chart.save(str(aside), format=ending, scale_factor=2)
    return files


def _curves(results: Mapping[str, Any], dial: str) -> alt.HConcatChart:
    panels = []
    for threat, heading in THREATS.items():
        means = [
            {"dial": arm["dials"][dial], **arm[threat]}
            for arm in results["arms"].values()
            if arm[threat] is not None
        ]
        seeds = [
            {"dial": arm["dials"][dial], "mean": seed[threat]}
            for arm in results["arms"].values()
            for seed in arm["seeds"]
            if seed[threat] is not None
        ]
        across = alt.X("dial:O", title=f"{SYMBOLS[dial]} ({dial})", axis=alt.Axis(labelAngle=0))
        centre = alt.Chart(alt.Data(values=means)).encode(x=across)
        up = alt.Y("mean:Q", title=heading)
        panels.append(
            alt.layer(
                alt.Chart(alt.Data(values=seeds))
                .mark_circle(size=45, opacity=0.4)
                .encode(x=across, y=up),
                centre.mark_rule(strokeWidth=2).encode(
                    y=alt.Y("low:Q", title=heading), y2="high:Q"
                ),
                centre.mark_line(point=True).encode(y=up),
            ).properties(width=340, height=280)
        )
    return _titled(alt.hconcat(*panels), results, [dial])


def _maps(results: Mapping[str, Any], dials: Sequence[str]) -> alt.HConcatChart:
    panels = []
    for threat, heading in THREATS.items():
        cells = [
            {dial: arm["dials"][dial] for dial in dials} | {"mean": arm[threat]["mean"]}
            for arm in results["arms"].values()
            if arm[threat] is not None
        ]
        base = alt.Chart(alt.Data(values=cells), title=heading).encode(
            x=alt.X(f"{dials[0]}:O", title=SYMBOLS[dials[0]], axis=alt.Axis(labelAngle=0)),
            y=alt.Y(f"{dials[1]}:O", title=SYMBOLS[dials[1]], sort="descending"),
        )
        shade = alt.Color("mean:Q", scale=alt.Scale(scheme="viridis"), legend=None)
        number = base.mark_text(stroke="black", strokeWidth=0.2, fill="white")
        panels.append(
            alt.layer(
                base.mark_rect().encode(color=shade),
                number.encode(text=alt.Text("mean:Q", format=".2f")),
            ).properties(width=300, height=300)
        )
    return _titled(alt.hconcat(*panels).resolve_scale(color="independent"), results, dials)


def _titled(
    chart: alt.HConcatChart, results: Mapping[str, Any], dials: Sequence[str]
) -> alt.HConcatChart:
    seeds = len(results["about"]["seeds"])
    names = " and ".join(f"{SYMBOLS[dial]} ({dial})" for dial in dials)
    title = alt.TitleParams(
        f"{results['task']}: both threats by {names}",
        subtitle=f"means over {seeds} training seeds, with 95 % intervals where there is room",
        anchor="start",
    )
    return chart.properties(title=title).configure_axis(titleFontWeight="normal")
