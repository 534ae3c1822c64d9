"""Panels of lines: seeds thin, means thick with bands of their intervals, and names at the ends.

    chart = line_panels([Panel("threat 1", "datum.of=='threat 1'", (0, 1))], colour, size)

Rows have a `kind` (seed, mean, onset), an `update` and a `value`; those of means `low` and `high`.
Where lines coincide, they take turns: each shows through the gaps of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import altair as alt
import numpy as np

from rlhf_testbed.report import names
from rlhf_testbed.report.figures import Rows, arm_colour, having
from rlhf_testbed.report.labels import MOST
from rlhf_testbed.report.names import End

WHOLE = alt.Axis(format="d", labelExpr="datum.value % 1 ? '' : datum.label")
"""An axis of whole numbers: Vega puts ticks at halves where there are few, and rounds labels."""
STRETCHED = 0.3
"""How much higher and lower than its lines a panel may get, of their range, by bands."""
DASH = 6
"""Pixels of a line until it is the turn of one that coincides with it."""
NATS = (0.0, 0.5)
"""What an axis of threat 2 has in any case; below 0.3 nats it counts as none."""
BAND, FULL = 0.16, 0.8
"""Opacity of a band, and of those of all arms together: of many arms each is thinner."""
ALIKE = 0.012
"""Of a panel's height, how near lines are that can't be told apart."""
TOLD = [
    alt.Tooltip("arm:N"),
    alt.Tooltip("seed:Q"),
    alt.Tooltip("base:Q", title="base policy"),
    alt.Tooltip("update:Q"),
    alt.Tooltip("of:N", title="what"),
    alt.Tooltip("value:Q", format=".3f"),
]


class Panel(NamedTuple):
    """One panel: which rows it shows, and what its vertical axis does."""

    title: str | list[str]
    where: str
    """An expression of Vega."""
    domain: tuple[float, float]
    span: tuple[float, float]
    """The first update and the last."""
    heading: str | None = None
    dashes: Mapping[str, Sequence[float]] = {}
    """Of lines that coincide."""
    bands: float = BAND
    """Their opacity."""
    by: str = "arm"
    """What has a line of its own."""


class ArmPanels(NamedTuple):
    """Panels with a line an arm."""

    charts: list[alt.LayerChart]
    panels: list[Panel]
    names: list[dict[str, Any]]
    """At the ends of the lines; none where a legend tells the arms."""


def arm_panels(
    rows: Rows, domains: Mapping[str, tuple[float, float]], colours: Mapping[str, str], size: Any
) -> ArmPanels:
    """A panel for each `of`, with its domain, and a line for each arm in its colour."""
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    named: list[dict[str, Any]] = []
    for of, domain in domains.items():
        last = _last([row for row in rows if row["of"] == of])
        ends = [End(end["arm"], end["value"]) for end in last]
        found = names.at_ends(ends, domain, size["height"]) if len(arms) <= MOST else None
        if found is None:
            named = []
            break
        named += [{**end, **name} for end, name in zip(last, found, strict=True)]
    colour = arm_colour(colours, arms, told=bool(named))
    span, panels = span_of(rows), []
    for of, domain in domains.items():
        dashes = taking_turns(means([row for row in rows if row["of"] == of], "arm"), domain)
        bands = min(BAND, FULL / len(arms))
        panels.append(Panel(of, having("of", of), domain, span, dashes=dashes, bands=bands))
    charts = [line_panel(one, colour, size, named=bool(named)) for one in panels]
    return ArmPanels(charts, panels, named)


def line_panel(
    panel: Panel, colour: alt.Color, size: Any, *, named: bool = False
) -> alt.LayerChart:
    """A panel's bands, seeds, means, onsets and names."""
    x = alt.X("update:Q", title="update", axis=WHOLE, scale=_exactly(panel.span))
    y = alt.Y("value:Q", title=panel.heading, scale=_exactly(panel.domain))
    base = alt.Chart().transform_filter(panel.where).encode(x=x, y=y, color=colour, tooltip=TOLD)
    of = {kind: base.transform_filter(f"datum.kind=='{kind}'") for kind in ("seed", "mean")}
    bands = of["mean"].transform_filter("isValid(datum.low)")
    low = alt.Y("low:Q", title=panel.heading, scale=y["scale"])
    lines = of["mean"].mark_line(strokeWidth=2.5)
    if panel.dashes:
        turns = alt.Scale(domain=list(panel.dashes), range=[*map(list, panel.dashes.values())])
        lines = lines.encode(strokeDash=alt.StrokeDash(f"{panel.by}:N", scale=turns, legend=None))
    onsets = base.transform_filter("datum.kind=='onset'")
    drawn = [
        bands.mark_area(opacity=panel.bands, clip=True).encode(y=low, y2="high:Q"),
        of["seed"].mark_line(strokeWidth=1, opacity=0.55).encode(detail=["base:N", "seed:N"]),
        lines,
        onsets.mark_point(shape="diamond", filled=True, size=70, opacity=0.8),
    ]
    if named:
        drawn += names.at_the_side(x, y, colour, panel.where)
    return alt.layer(*drawn, title=panel.title).properties(**size)


def domain_of(
    rows: Rows, of: str = "value", least: tuple[float, float] | None = None
) -> tuple[float, float]:
    """An axis for these rows: with all of their lines, and of bands that don't dwarf those.

    `least`: what it has in any case, so that what is next to nothing looks like it.

    >>> domain_of([{"value": 1.0}, {"value": 2.0, "low": 1.5, "high": 9.0}])
    (0.95, 2.35)
    >>> domain_of([{"value": 0.0}, {"value": 1e-6}], least=NATS)
    (-0.025, 0.525)
    """
    values = [*(least or ()), *(row[of] for row in rows if row[of] is not None)]
    low, high = min(values, default=0.0), max(values, default=1.0)
    spread = (high - low) or 1.0
    lows = [row["low"] for row in rows if row.get("low") is not None]
    highs = [row["high"] for row in rows if row.get("high") is not None]
    low = min(low, max(min(lows, default=low), low - STRETCHED * spread))
    high = max(high, min(max(highs, default=high), high + STRETCHED * spread))
    room = 0.05 * spread
    return round(low - room, 6), round(high + room, 6)


def span_of(rows: Rows) -> tuple[float, float]:
    """The first update and the last of all rows."""
    updates = [row["update"] for row in rows]
    return min(updates, default=0), max(updates, default=1)


def _exactly(domain: tuple[float, float]) -> alt.Scale:
    return alt.Scale(domain=list(domain), nice=False, zero=False)


def cut(rows: Rows, domain: tuple[float, float]) -> bool:
    """Whether a band goes on beyond its axis."""
    return any(
        row.get("low") is not None and (row["low"] < domain[0] or row["high"] > domain[1])
        for row in rows
    )


def taking_turns(
    lines: Mapping[str, Mapping[float, float]], domain: tuple[float, float]
) -> dict[str, Sequence[float]]:
    """Dashes for lines (values by update) of which some coincide, mostly; none if all are apart.

    The first of those that coincide is whole, the others lie on it and leave a part of it free.

    >>> taking_turns({"a": {0: 0, 1: 0}, "b": {0: 0, 1: 0}, "c": {0: 1, 1: 1}}, (0, 1))
    {'a': [1, 0], 'b': [6, 6], 'c': [1, 0]}
    """
    near = ALIKE * (domain[1] - domain[0])
    groups: list[list[str]] = []
    for name, line in lines.items():
        for group in groups:
            if _coincide(lines[group[0]], line, near):
                group.append(name)
                break
        else:
            groups.append([name])
    if all(len(group) == 1 for group in groups):
        return {}
    return {name: _turn(at, len(group)) for group in groups for at, name in enumerate(group)}


def _turn(at: int, of: int) -> Sequence[float]:
    """The dashes of one of several lines that coincide.

    >>> _turn(0, 3), _turn(1, 3), _turn(2, 3)
    ([1, 0], [6, 12], [0, 6, 6, 6])
    """
    if at == 0:
        return [1, 0]
    begun = [0, DASH * (at - 1)] if at > 1 else []
    return [*begun, DASH, DASH * (of - at)]


def _coincide(one: Mapping[float, float], other: Mapping[float, float], near: float) -> bool:
    """Whether two lines lie on each other at most of the places that both have."""
    shared = [at for at in one if at in other]
    apart = [abs(one[at] - other[at]) for at in shared]
    return bool(apart) and float(np.mean(np.array(apart) <= near)) > 0.5


def means(rows: Rows, by: str) -> dict[str, dict[float, float]]:
    """Values by update of the means of each thing."""
    found: dict[str, dict[float, float]] = {}
    for row in rows:
        if row["kind"] == "mean":
            found.setdefault(row[by], {})[row["update"]] = row["value"]
    return found


def _last(rows: Rows) -> list[dict[str, Any]]:
    """Where each arm's mean ends."""
    ends = {row["arm"]: row for row in sorted(rows, key=_update) if row["kind"] == "mean"}
    kept = ("of", "arm", "update", "value")
    return [{name: row[name] for name in kept} for row in ends.values()]


def _update(row: Mapping[str, Any]) -> float:
    return float(row["update"])
