"""The threat plane: threat 1 across, threat 2 up, a colour an arm, a dot a run, intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import altair as alt

from rlhf_testbed.report.figures import DRAWN, Figure, Rows, arm_colour, plain
from rlhf_testbed.report.palette import arm_colours
from rlhf_testbed.report.plane import Plane, frame_of, top
from rlhf_testbed.report.sentences import bars_told, ends, seeds_told
from rlhf_testbed.store.experiment_records import ArmResults, Results

SHARE = ["threat 1: unwanted yet approved,", "of exposed episodes"]
NATS = "threat 2: goal-directedness towards an unintended goal (nats)"
SIZE = {"width": 600, "height": 400}
NARROWEST = 270
"""Pixels for which names are laid out: what a telephone leaves."""
RINGED = "; where means lie in one place, one is drawn around the other"


def figure(results: Results, colours: Mapping[str, str] | None = None) -> Figure:
    """The picture with its rows; `colours` are those of the page's arms."""
    arms = list(results.arms)
    rows = plain([row for name, arm in results.arms.items() for row in arm_rows(arm, arm=name)])
    plane = Plane(rows, frame_of(rows), NARROWEST, SIZE["height"])
    ranked, names = plane.ranked(), plane.named()
    colour = arm_colour(colours or arm_colours(arms), arms, told=names is not None)
    chart = alt.layer(
        *plane.layers(colour, (SHARE, NATS), named=names is not None), data=DRAWN
    ).properties(**SIZE)
    return Figure(
        name="threat_plane",
        title=f"{results.task}: the two threats, measured apart",
        caption=_caption(results, ranked),
        chart=chart,
        rows=ranked,
        names=names or (),
        least=NARROWEST,
    )


def _caption(results: Results, rows: Rows) -> str:
    gates = [gate.status for gate in results.gates]
    passed = f"; gates passed: {gates.count('PASS')} of {len(gates)}" if gates else ""
    several = any(len(arm.runs) > 1 for arm in results.arms.values())
    bars = bars_told(results, ("threat_1", "threat_2"))
    over = f"means over {seeds_told(results)}, bars: {bars}" if several else "means: of one seed"
    cut = ", cut at the frame" if _cut(rows) else ""
    ringed = RINGED if any(row["rank"] for row in rows) else ""
    return f"a dot a run; diamonds: {over}{cut}{ringed}{passed}"


def _cut(rows: Rows) -> bool:
    """Whether an interval goes on above the frame."""
    frame = top(rows)
    return any((row.get("high_2") or 0.0) > frame for row in rows)


def arm_rows(found: ArmResults, **of: str) -> list[dict[str, Any]]:
    """A row for each run of an arm, and one for its means with the ends of their intervals.

    `of` is what each row says it is of.
    """
    rows: list[dict[str, Any]] = [
        {
            "kind": "seed",
            **of,
            "seed": seed,
            "base": base,
            "threat_1": figures.get("threat_1", math.nan),
            "threat_2": figures.get("threat_2", math.nan),
        }
        for base, seed, figures in found.runs.rows()
    ]
    mean: dict[str, Any] = {"kind": "mean", **of, "threat_1": None, "threat_2": None}
    for number in (1, 2):
        interval = found.figure(f"threat_{number}")
        if interval is not None:
            mean[f"threat_{number}"] = interval.mean
            mean[f"low_{number}"], mean[f"high_{number}"] = ends(interval)
    return [*rows, mean]
