"""Curves against a dose: a dot an arm, in its colour, and a line through those that differ in
nothing else.

    curves = Curves.of(rows, "knowledge", arm_colours(arms))
    curves.panel("datum.threat=='threat_1'", rows, (0, 1), "threat 1 (share)").chart

Rows have the arm, its curve (`of`), its dose, a `mean` with `low` and `high`, and a `kind`. Where
there are several curves, or there is a before and an after, each is a few pixels beside the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import altair as alt

from rlhf_testbed.report import names
from rlhf_testbed.report.figures import Rows, dot, having
from rlhf_testbed.report.labels import MOST
from rlhf_testbed.report.names import End
from rlhf_testbed.report.palette import QUIET
from rlhf_testbed.report.sentences import symbol_of
from rlhf_testbed.tasks.base import SYMBOLS

SIZE = {"width": 340, "height": 280}
APART = 7
"""Pixels from one curve to the next where they have the same dose."""


class Panel(NamedTuple):
    """A panel, and the names at the ends of its curves."""

    chart: alt.LayerChart
    names: list[dict[str, Any]]


@dataclass(frozen=True)
class Curves:
    """What the panels of a picture have in common."""

    dial: str
    arms: Mapping[str, str]
    """A colour for each arm."""
    lines: Mapping[str, str]
    """A colour for each curve."""
    when: Sequence[str] = ("",)
    """What rows may be of, as their `policy` says; the last one has whole lines and full dots."""

    @classmethod
    def of(
        cls, rows: Rows, dial: str, colours: Mapping[str, str], when: Sequence[str] = ("",)
    ) -> Curves:
        """The curves that the rows name. One of several has the colour of its first arm; a single
        one has that of no arm.
        """
        arms = {row["arm"]: colours[row["arm"]] for row in rows}
        lines: dict[str, str] = {}
        for row in rows:
            lines.setdefault(row["of"], colours[row["arm"]])
        if len(lines) == 1:
            lines = dict.fromkeys(lines, QUIET)
        return cls(dial, arms, lines, when)

    def panel(
        self, where: str, rows: Rows, domain: tuple[float, float], heading: str, title: str = ""
    ) -> Panel:
        """The panel of the rows for which `where` holds, which are `rows`."""
        runs = sum(row["kind"] == "seed" for row in rows)
        named = self._names([row for row in rows if row["kind"] == "mean"], domain)
        scale = alt.Scale(domain=list(domain), nice=False, zero=False)
        y = alt.Y("mean:Q", title=heading, scale=scale)
        layers = []
        for when in self.when:
            here = f"{where} && {having('policy', when)}" if when else where
            layers += self._layers(when, here, y, runs)
        if named is None:
            layers[0] = layers[0].encode(color=self._colour("of", self.lines, legend=True))
        elif named:
            layers += names.at_the_side(self._x, y, self._colour("of", self.lines), where)
        chart = alt.layer(*layers, title=title).resolve_scale(color="independent")
        return Panel(chart.properties(**SIZE), named or [])

    def _shift(self, curve: str, when: str) -> float:
        """Pixels from a dose's own place to that of a curve."""
        place = len(self.when) * list(self.lines).index(curve) + self.when.index(when)
        return APART * (place - (len(self.lines) * len(self.when) - 1) / 2)

    def _layers(self, when: str, where: str, y: alt.Y, runs: int) -> list[alt.Chart]:
        """Lines, runs, whiskers and means of what is of that `when`."""
        last = when == self.when[-1]
        shifts = json.dumps({curve: self._shift(curve, when) for curve in self.lines})
        base = alt.Chart().transform_filter(where)
        base = base.transform_calculate(shift=f"{shifts}[datum.of]")
        base = base.encode(x=self._x, y=y, tooltip=self._told)
        of = {kind: base.transform_filter(f"datum.kind=='{kind}'") for kind in ("seed", "mean")}
        aside, arm = alt.ExprRef("datum.shift"), self._colour("arm", self.arms)
        low = alt.Y("low:Q", title=y["title"], scale=y["scale"])
        return [
            of["mean"]
            .mark_line(strokeWidth=2, xOffset=aside, strokeDash=[1, 0] if last else [5, 4])
            .encode(color=self._colour("of", self.lines)),
            of["seed"].mark_circle(xOffset=aside, **dot(runs, 45, 0.4)).encode(color=arm),
            of["mean"]
            .mark_rule(strokeWidth=2, clip=True, xOffset=aside)
            .encode(y=low, y2="high:Q", color=arm),
            of["mean"].mark_point(size=70, filled=last, opacity=1, xOffset=aside).encode(color=arm),
        ]

    def _names(self, rows: Rows, domain: tuple[float, float]) -> list[dict[str, Any]] | None:
        """Names where the curves end; none where one curve needs none, None without room."""
        dose = max((row[self.dial] for row in rows), default=None)
        ends = [row for row in rows if row[self.dial] == dose]
        one = len(self.lines) == 1
        if not one:
            ends = [row for row in ends if row.get("policy", "") == self.when[-1]]
        elif len(self.when) == 1:
            return []
        if len(ends) > MOST:
            return None
        told = [End(row["policy"] if one else row["of"], row["mean"]) for row in ends]
        found = names.at_ends(told, domain, SIZE["height"])
        return found and [
            {**row, **name, "from_x": self._shift(row["of"], row.get("policy", ""))}
            for row, name in zip(ends, found, strict=True)
        ]

    @property
    def _x(self) -> alt.X:
        axis = alt.Axis(labelAngle=0)
        return alt.X(f"{self.dial}:O", title=titled(self.dial), axis=axis)

    @property
    def _told(self) -> list[alt.Tooltip]:
        return [
            alt.Tooltip("arm:N"),
            alt.Tooltip(f"{self.dial}:Q"),
            alt.Tooltip("mean:Q", format=".3f"),
        ]

    @staticmethod
    def _colour(field: str, colours: Mapping[str, str], *, legend: bool = False) -> alt.Color:
        scale = alt.Scale(domain=list(colours), range=list(colours.values()))
        told = alt.Legend(title=None, labelLimit=300) if legend else None
        return alt.Color(f"{field}:N", scale=scale, legend=told)


def titled(dial: str) -> str:
    """A dial with its symbol, an option in words.

    >>> titled("diversity"), titled("liars_in_sight")
    ('δ (diversity)', 'liars in sight')
    """
    return f"{symbol_of(dial)} ({dial})" if dial in SYMBOLS else symbol_of(dial)


def named(panels: Sequence[Panel]) -> dict[str, Any]:
    """What a figure of these panels is told of their names."""
    found = [name for panel in panels for name in panel.names]
    return {"names": found, "around": names.around(found)}
