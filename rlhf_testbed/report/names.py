"""Names in a chart, beside what they name: rows of `figures.NAMES`, and the marks that draw them.

    row(Label("both", 12.0, -9.0))                {"text": "both", "dx": 12.0, "dy": -9.0, ...}
    at_ends([End("both", 0.9)], (0, 1), 200)      the rows of names at the right ends of lines
    layers(x, y, colour)                          names, and a line to each that is farther off

Distances are pixels, and stay so in a picture of any width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import altair as alt

from rlhf_testbed.report.figures import AXIS, NAMES, Rows
from rlhf_testbed.report.labels import LINE, SIZE, Label, broken, one_under_another, size

TO_SIDE = 12
"""Pixels from a panel's edge to the names at its right."""
APART = 3
"""Pixels from the end of the line that leads to a name to the name."""


class End(NamedTuple):
    """The right end of a line, and its name."""

    name: str
    y: float
    """In the unit of the axis."""


def row(label: Label) -> dict[str, Any]:
    """A label as its marks read it: `dy` is that of the first of its lines."""
    above = label.text.count("\n") * LINE / 2
    return {**label._asdict(), "dy": label.dy - above}


def at_ends(
    ends: Sequence[End], domain: tuple[float, float], height: float
) -> list[dict[str, Any]] | None:
    """Rows of names in a column at a panel's right, each near its end; None without room for all.

    `domain` is what the panel's axis shows, and `height` how high it is in pixels.
    """
    low, high = domain
    places = [height * (high - end.y) / (high - low) for end in ends]
    texts = [broken(end.name) for end in ends]
    middles = one_under_another(places, [size(text)[1] for text in texts], height)
    if middles is None:
        return None
    return [
        row(Label(text, TO_SIDE + APART, middle - place, 0, 0, TO_SIDE, middle - place))
        for text, middle, place in zip(texts, middles, places, strict=True)
    ]


def around(rows: Rows, axis: float = AXIS) -> float:
    """Pixels that a panel takes beside its width, with names in a column at its right."""
    return axis + max((row["dx"] + size(row["text"])[0] for row in rows), default=0)


def layers(
    x: alt.X, y: alt.Y, colour: alt.Color, where: str = "true", **calculated: str
) -> list[alt.Chart]:
    """The names, in ink, and a line to each that is farther off, in its arm's colour."""
    here = alt.Chart(NAMES).transform_filter(where).transform_calculate(**calculated)
    here = here.encode(x=x, y=y)
    leads = here.transform_filter("datum.to_x != 0 || datum.to_y != 0")
    return [_leads(leads, y).encode(x2=_field(x), color=colour), _texts(here)]


def at_the_side(x: alt.X, y: alt.Y, colour: alt.Color, where: str) -> list[alt.Chart]:
    """Names in a column at a panel's right, and from each end of a line a line to its name."""
    here = alt.Chart(NAMES).transform_filter(where).encode(y=y)
    leads = _leads(here, y).encode(x=x, x2=alt.X2Value("width"), color=colour)
    return [leads, _texts(here.encode(x=alt.value("width")))]


def _field(axis: alt.X | alt.Y) -> str:
    return str(axis["shorthand"]).partition(":")[0]


def _leads(here: alt.Chart, y: alt.Y) -> alt.Chart:
    """Lines from what is named to the names."""
    return here.mark_rule(
        xOffset=alt.ExprRef("datum.from_x"),
        yOffset=alt.ExprRef("datum.from_y"),
        x2Offset=alt.ExprRef("datum.to_x"),
        y2Offset=alt.ExprRef("datum.to_y"),
    ).encode(y2=_field(y))


def _texts(here: alt.Chart) -> alt.Chart:
    written = here.mark_text(
        align=alt.ExprRef("datum.align"),
        baseline="middle",
        fontSize=SIZE,
        lineHeight=LINE,
        lineBreak="\n",
        dx=alt.ExprRef("datum.dx"),
        dy=alt.ExprRef("datum.dy"),
    )
    return written.encode(text="text:N")
