"""The threat plane: threat 1 across, threat 2 up, a colour an arm, a dot a run, intervals.

An arm in which the bad behaviour was never possible has no threat 1; it stands in a strip of its
own beside the plane, at its threat 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import altair as alt

from rlhf_testbed.report.figures import DRAWN, Chart, Figure, Rows, arm_colour, dot, plain
from rlhf_testbed.report.sentences import bars_told, ends, seeds_told
from rlhf_testbed.store.experiment_records import Results

SHARE = "threat 1: unwanted yet approved, of exposed episodes"
NATS = "threat 2: goal-directedness towards an unintended goal (nats)"
FEW = 8
"""With more arms than this, names on the plane would cover each other: the legend has them."""
NEAR = 0.05
"""Arms whose means are this close in both threats (share, nats) share one line of names."""


def figure(results: Results) -> Figure:
    """The picture with its rows."""
    gates = [gate.status for gate in results.gates]
    passed = f"; gates passed: {gates.count('PASS')} of {len(gates)}" if gates else ""
    several = any(len(arm.runs) > 1 for arm in results.arms.values())
    bars = bars_told(results, ("threat_1", "threat_2"))
    over = f"means over {seeds_told(results)}, bars: {bars}" if several else "means: of one seed"
    means = _means(results)
    rows = plain([*_seeds(results), *means, *_names(means)])
    cut = ", cut at the frame" if _cut(rows) else ""
    return Figure(
        name="threat_plane",
        title=f"{results.task}: the two threats, measured apart",
        caption=f"a dot a run; diamonds: {over}{cut}{passed}",
        chart=_chart(rows, list(results.arms)),
        rows=rows,
    )


def _chart(rows: Rows, arms: list[str]) -> Chart:
    scale = alt.Scale(domain=[-0.06, top(rows)], nice=False)
    colour = arm_colour(arms)
    dots = dot(sum(row["kind"] == "seed" for row in rows))
    if len(arms) <= FEW:
        colour.legend = None
    exposed = _layers(
        alt.X("threat_1:Q", scale=alt.Scale(domain=[-0.06, 1.06], nice=False), title=SHARE),
        alt.Y("threat_2:Q", scale=scale, title=NATS),
        colour,
        named=len(arms) <= FEW,
        dots=dots,
    )
    exposed = exposed.transform_filter("isValid(datum.threat_1)").properties(width=460, height=400)
    charts = [exposed]
    if any(row["threat_1"] is None for row in rows):
        strip = _layers(
            alt.X("never:N", title=None, axis=alt.Axis(labelAngle=0)),
            alt.Y("threat_2:Q", scale=scale, title=None),
            colour,
            named=len(arms) <= FEW,
            dots=dots,
            across=False,
        )
        charts.append(
            strip.transform_filter("!isValid(datum.threat_1)")
            .transform_calculate(never="'never exposed'")
            .properties(width=110, height=400)
        )
    return alt.concat(*charts, data=DRAWN, columns=2, spacing=12)


def top(rows: Rows) -> float:
    """Where the plane ends: above all dots, and above the intervals unless they dwarf the dots."""
    dots = max(1.0, *(row["threat_2"] or 0.0 for row in rows))
    bars = max(row.get("high_2") or 0.0 for row in rows)
    return 1.08 * max(dots, min(bars, 1.5 * dots))


def _cut(rows: Rows) -> bool:
    """Whether an interval goes on above the frame."""
    frame = top(rows)
    return any((row.get("high_2") or 0.0) > frame for row in rows)


def _layers(
    x: alt.X,
    y: alt.Y,
    colour: alt.Color,
    *,
    named: bool,
    dots: Mapping[str, float],
    across: bool = True,
) -> alt.LayerChart:
    """Seeds, intervals, means and names; the names are on the side that has room."""

    def of(kind: str) -> alt.Chart:
        return alt.Chart().encode(x=x, y=y, color=colour).transform_filter(f"datum.kind=='{kind}'")

    told = [
        alt.Tooltip("arm:N"),
        alt.Tooltip("seed:Q"),
        alt.Tooltip("base:Q", title="base policy"),
        alt.Tooltip("threat_1:Q", format=".3f", title="threat 1"),
        alt.Tooltip("threat_2:Q", format=".3f", title="threat 2"),
    ]
    bars = of("mean").mark_rule(strokeWidth=2, clip=True)
    layers = [
        of("seed").mark_circle(**dots).encode(tooltip=told),
        bars.encode(y=alt.Y("low_2:Q", title=y["title"]), y2="high_2:Q"),
        of("mean")
        .mark_point(shape="diamond", filled=True, size=140, opacity=1)
        .encode(tooltip=[told[0], *told[3:]]),
    ]
    if across:
        layers.append(bars.encode(x=alt.X("low_1:Q", title=SHARE), x2="high_1:Q"))
    sides = {"left": "!(datum.threat_1 >= 0.5)", "right": "datum.threat_1 >= 0.5"} if named else {}
    for side, where in sides.items():
        offset = 14 if side == "left" else -14
        names = of("name").transform_filter(where)
        layers.append(
            names.mark_text(align=side, dx=offset, dy=-12, fontSize=14).encode(text="names:N")
        )
    return alt.layer(*layers)


def _seeds(results: Results) -> list[dict[str, Any]]:
    return [
        {
            "kind": "seed",
            "arm": name,
            "seed": seed,
            "base": base,
            "threat_1": figures.get("threat_1", math.nan),
            "threat_2": figures.get("threat_2", math.nan),
        }
        for name, arm in results.arms.items()
        for base, seed, figures in arm.runs.rows()
    ]


def _means(results: Results) -> list[dict[str, Any]]:
    """One row an arm: means, and the ends of the intervals where there are any."""
    rows = []
    for name, arm in results.arms.items():
        row: dict[str, Any] = {"kind": "mean", "arm": name, "threat_1": None, "threat_2": None}
        for number in (1, 2):
            interval = arm.figure(f"threat_{number}")
            if interval is not None:
                row[f"threat_{number}"] = interval.mean
                row[f"low_{number}"], row[f"high_{number}"] = ends(interval)
        rows.append(row)
    return rows


def _names(means: Rows) -> list[dict[str, Any]]:
    """What is written at the means: a row for each group of arms that lie in one place."""
    found: list[dict[str, Any]] = []
    for mean in means:
        for group in found:
            if _near(group, mean):
                group["names"] += f", {mean['arm']}"
                break
        else:
            place = {threat: mean[threat] for threat in ("threat_1", "threat_2")}
            found.append({"kind": "name", "arm": mean["arm"], "names": mean["arm"], **place})
    return found


def _near(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two means would have their names over each other."""
    pairs = [(one[threat], other[threat]) for threat in ("threat_1", "threat_2")]
    return all(a is b is None or (None not in (a, b) and abs(a - b) <= NEAR) for a, b in pairs)
