"""One plane of the two threats: dots of runs, an arm's mean with its whiskers, and its name.

    threat 2 |  ◆ goal_only       ◆ both      |
             |                                |
             |  ◆ neither   selection_only ◆  |    ◆ habit
             +--------------------------------+----------------
               0          threat 1         1    never exposed

An arm in which the bad behaviour was never possible has no threat 1; it stands beside the plane, at
its threat 2. Where the means of arms lie in one place, one is drawn around the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import altair as alt

from rlhf_testbed.report import labels, names
from rlhf_testbed.report.figures import Rows, dot
from rlhf_testbed.report.labels import MOST, Spot
from rlhf_testbed.report.palette import QUIET

LEFT, RIGHT = -0.06, 1.06
"""Of threat 1, a share: what lies at its ends is whole."""
BORDER, NEVER, BEYOND = 1.1, 1.25, 1.42
"""Where arms begin that were never exposed, where they stand, and where the picture ends then."""
NEAR = 9
"""Pixels in the narrowest picture at which two means would cover each other."""
DIAMOND = 11
"""How wide the diamond of a mean is, in pixels."""
AROUND = {"seed": 4, "mean": 10}
"""How much wider each is that is around others."""
CELL = 8
"""Dots that are nearer to each other are one obstacle to a name."""


class Frame(NamedTuple):
    """Where a plane ends; planes that are compared have one."""

    right: float
    """Of threat 1: with a strip for arms that were never exposed, if there are any."""
    top: float
    """Of threat 2, in nats."""


def frame_of(rows: Rows) -> Frame:
    """A frame with room for all rows."""
    never = any(row["threat_1"] is None and row["threat_2"] is not None for row in rows)
    return Frame(BEYOND if never else RIGHT, top(rows))


def top(rows: Rows) -> float:
    """Where the plane ends: above all dots, and above the intervals unless they dwarf the dots."""
    dots = max(1.0, *(row["threat_2"] or 0.0 for row in rows))
    bars = max(row.get("high_2") or 0.0 for row in rows)
    return 1.08 * max(dots, min(bars, 1.5 * dots))


@dataclass(frozen=True)
class Plane:
    """A plane of rows of the kinds `seed` and `mean`, and the size for which it is laid out."""

    rows: Rows
    frame: Frame
    width: float
    """The narrowest that it may be, in pixels."""
    height: float

    def place(self, row: Mapping[str, Any]) -> tuple[float, float]:
        """Pixels from the top left, in the narrowest picture."""
        share = NEVER if row["threat_1"] is None else row["threat_1"]
        across = (share - LEFT) / (self.frame.right - LEFT)
        up = (row["threat_2"] - LEFT) / (self.frame.top - LEFT)
        return across * self.width, (1 - up) * self.height

    def ranked(self) -> list[Mapping[str, Any]]:
        """Its rows with the rank of their arm among those whose means lie in one place.

        The first arm of them has the highest: what is around others is drawn before them.
        """
        means = self._means(self.rows)[::-1]
        found = labels.ranks([self.place(row) for row in means], NEAR)
        rank = {row["arm"]: of for row, of in zip(means, found, strict=True)}
        return [{**row, "rank": rank.get(row["arm"], 0)} for row in self.rows]

    def named(self) -> list[dict[str, Any]] | None:
        """A row for each arm's name, laid out beside its mean; None where there is no room."""
        means = self._means(self.ranked())
        if len(means) > MOST:
            return None
        spots = [Spot(row["arm"], *self.place(row), _radius(row["rank"])) for row in means]
        drawn = [*self._whiskers(), *self._dots()]
        found = labels.beside(spots, self.width, self.height, drawn)
        if found is None:
            return None
        kept = ("arm", "threat_1", "threat_2")
        return [
            {**{name: row[name] for name in kept}, **names.row(label)}
            for row, label in zip(means, found, strict=True)
        ]

    @staticmethod
    def _means(rows: Rows) -> Rows:
        """Those of means that have a place."""
        return [row for row in rows if row["kind"] == "mean" and row["threat_2"] is not None]

    def _whiskers(self) -> list[tuple[float, float, float, float]]:
        """Where whiskers lie, and the line beside the plane."""
        found = []
        for row in self._means(self.rows):
            for number in (1, 2):
                ends = [row.get(f"{end}_{number}") for end in ("low", "high")]
                if None not in ends:
                    low, high = (self.place({**row, f"threat_{number}": end}) for end in ends)
                    found.append((low[0] - 4, high[1] - 4, high[0] + 4, low[1] + 4))
        if self.frame.right > RIGHT:
            border, _ = self.place({"threat_1": BORDER, "threat_2": 0.0})
            found.append((border - 2, 0, border + 2, self.height))
        return found

    def _dots(self) -> list[tuple[float, float, float, float]]:
        """Where dots lie, in cells: there may be thousands of them."""
        cells = {
            tuple(round(part / CELL) * CELL for part in self.place(row))
            for row in self.rows
            if row["kind"] == "seed" and row["threat_2"] is not None
        }
        return [(x - 4, y - 4, x + 4, y + 4) for x, y in sorted(cells)]

    def layers(
        self,
        colour: alt.Color,
        titles: Sequence[str | list[str]],
        where: str = "true",
        *,
        named: bool,
    ) -> list[alt.Chart]:
        """Runs, whiskers, means and names of those rows for which `where` holds."""
        across = alt.Scale(domain=[LEFT, self.frame.right], nice=False)
        up = alt.Scale(domain=[LEFT, self.frame.top], nice=False)
        strip = self.frame.right > RIGHT
        x = alt.X("across:Q", title=titles[0], scale=across, axis=_shares(strip=strip))
        y = alt.Y("threat_2:Q", title=titles[1], scale=up)
        drawn = alt.Chart().transform_filter(where).transform_calculate(across=ACROSS)
        layers = self._marks(drawn.encode(x=x, y=y), colour)
        if strip:
            border = alt.Chart().transform_aggregate(rows="count()")  # one line, not one a row
            border = border.mark_rule(strokeDash=[3, 3], color=QUIET)
            layers.insert(0, border.encode(x=alt.X(datum=BORDER, scale=across)))
        return [*layers, *names.layers(x, y, colour, where, across=ACROSS)] if named else layers

    def _marks(self, drawn: alt.Chart, colour: alt.Color) -> list[alt.Chart]:
        """Runs, whiskers and means: full, or hollow and larger where they are around others."""
        thin = dot(sum(row["kind"] == "seed" for row in self.rows))
        sides = {"seed": thin["size"] ** 0.5, "mean": DIAMOND}
        own = {"scale": colour["scale"], "legend": None}
        full = alt.condition("datum.rank == 0", alt.Fill("arm:N", **own), alt.value("transparent"))
        hollow = {"stroke": alt.Stroke("arm:N", **own), "fill": full}
        seeds, means = (
            drawn.transform_filter(f"datum.kind=='{kind}'")
            .transform_calculate(size=f"pow({side} + {AROUND[kind]} * datum.rank, 2)")
            .encode(size=alt.Size("size:Q", scale=None), **hollow)
            for kind, side in sides.items()
        )
        bars = drawn.transform_filter("datum.kind=='mean'").mark_rule(clip=True)
        bars = bars.encode(color=colour, strokeWidth=WHISKER)
        low, left = (drawn.encoding[axis].copy() for axis in ("y", "x"))
        low.shorthand, left.shorthand = "low_2:Q", "low_1:Q"
        seeds = seeds.mark_point(shape="circle", strokeWidth=1.5, opacity=thin["opacity"])
        means = means.mark_point(shape="diamond", strokeWidth=2, opacity=1)
        return [
            seeds.encode(tooltip=list(TOLD.values())),
            bars.encode(y=low, y2="high_2:Q"),
            bars.encode(x=left, x2="high_1:Q"),
            means.encode(tooltip=[TOLD[name] for name in ("arm", "threat_1", "threat_2")]),
        ]


ACROSS = f"isValid(datum.threat_1) ? datum.threat_1 : {NEVER}"
WHISKER = alt.StrokeWidth("rank:Q", scale=alt.Scale(domain=[0, 1], range=[2, 4]), legend=None)
"""Of whiskers in one place, one shows at both sides of the other."""
TOLD = {
    "arm": alt.Tooltip("arm:N"),
    "seed": alt.Tooltip("seed:Q"),
    "base": alt.Tooltip("base:Q", title="base policy"),
    "threat_1": alt.Tooltip("threat_1:Q", format=".3f", title="threat 1"),
    "threat_2": alt.Tooltip("threat_2:Q", format=".3f", title="threat 2"),
}
"""What is told of a mark."""


def _radius(rank: int) -> float:
    """Half of what a diamond of that rank is wide, in pixels."""
    return (DIAMOND + AROUND["mean"] * rank) / 2


def _shares(*, strip: bool) -> alt.Axis:
    """The axis of threat 1, with the name of the strip where there is one."""
    values = [round(0.2 * at, 1) for at in range(6)]
    if not strip:
        return alt.Axis(values=values, grid=True)
    told = "datum.value > 1 ? ['never', 'exposed'] : datum.label"
    return alt.Axis(values=[*values, NEVER], labelExpr=told, labelOverlap=False, grid=True)
