"""Where the names in a picture stand: beside what they name, never on each other, never cut.

    beside([Spot("neither", 18, 330), Spot("goal_only", 18, 330)], width=270, height=360)
    one_under_another([80, 82, 300], [16, 16, 16], height=360)      [73.0, 89.0, 300.0]

Pixels from the top left. A picture in a page is as wide as the page, and as high as ever. So names
are laid out for the narrowest picture in such a way that they stand apart in a wider one, too: two
that are side by side are in the order of what they name, and more width only parts them. (Libraries
that place labels do so for one size, and for Matplotlib.)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from scipy.optimize import isotonic_regression

from rlhf_testbed.shared.arrays import Floats

SIZE = 13
"""Of the letters, in pixels."""
LINE = 16
"""From one line of a name to the next."""
LONGEST = 20
"""Letters of a line of a name, after which it is broken between words."""
GAP = 4
"""What is kept free between what is named and its name, and from the frame."""
LED = 8
"""Names that are farther off have a line that leads to them."""
WIDTHS = {**dict.fromkeys("fijlrtI.,:;|'()[] ", 0.42), **dict.fromkeys("mwMW@%", 1.0)}
SMALL, CAPITAL = 0.66, 0.8
"""How wide letters are, of their size, in the widest font that systems show pages in (DejaVu Sans):
in which one a page is shown can't be known here."""
MOST = 12
"""Names that a picture has beside what they name; of more, a legend tells."""
RINGS = (0, 8, 18, 30, 44, 60, 78, 100, 130, 170, 220)
"""Distances at which room is looked for, the nearest first."""
TURNS = 24
"""Directions in which it is looked for."""
UPRIGHT = 0.98
"""Sine of a direction from which on a name stands above or below its spot, and not at a side."""
CROSSING = 60
"""Pixels of distance that a name takes upon itself so that no line crosses a name or a mark."""


EDGE = 0.75
"""Of its radius, where the edge of a diamond is at about."""
COVERING = 2
"""Square pixels of a mark that a name goes as many pixels farther off for, so as not to cover."""


Align: TypeAlias = Literal["left", "center", "right"]


class Spot(NamedTuple):
    """What is to be named, in the narrowest picture."""

    name: str
    x: float
    y: float
    radius: float = 8.0
    """Of what is drawn there."""


class Label(NamedTuple):
    """A name beside its spot, and the line that leads there; all in pixels from the spot."""

    text: str
    """Its lines, with a line break between them."""
    dx: float
    """To the end of the text that is nearer, or to its middle, as `align` says."""
    dy: float
    """To the middle of the text."""
    from_x: float = 0.0
    """To where a line to the name begins."""
    from_y: float = 0.0
    to_x: float = 0.0
    """To where it ends; the same where the name is near enough without one."""
    to_y: float = 0.0
    align: Align = "left"


class Box(NamedTuple):
    """A place that is taken, and the x of what it belongs to, with which it moves."""

    left: float
    top: float
    right: float
    bottom: float
    anchor: float

    def meets(self, other: Box) -> bool:
        """Whether they overlap, in the narrowest picture or in a wider one."""
        if self.bottom <= other.top or other.bottom <= self.top:
            return False
        first, second = (self, other) if self.left < other.left else (other, self)
        return first.right > second.left or first.anchor > second.anchor

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """Its point that is nearest to a place."""
        return min(max(x, self.left), self.right), min(max(y, self.top), self.bottom)

    def crossed(self, x: float, y: float, to_x: float, to_y: float) -> bool:
        """Whether a line from one place to another goes through it."""
        along = np.linspace(0, 1, 33)
        across, down = x + along * (to_x - x), y + along * (to_y - y)
        inside = (across > self.left) & (across < self.right)
        return bool(np.any(inside & (down > self.top) & (down < self.bottom)))


def beside(
    spots: Sequence[Spot], width: float, height: float, marks: Sequence[Sequence[float]] = ()
) -> list[Label] | None:
    """A label for each spot, in a frame of this size; None where there is no room for all.

    `marks`: left, top, right and bottom of what is better left free, such as a whisker.
    """
    dots = [_around(spot) for spot in spots]
    drawn = np.array(marks, dtype=float).reshape(-1, 4)
    placed: list[Box] = []
    for spot in spots:
        taken = [*dots, *placed]
        others = [box for box in taken if box.nearest(spot.x, spot.y) != (spot.x, spot.y)]
        leads = list(zip(spots, placed, strict=False))
        best, least = None, math.inf
        for box in sorted(_rooms(spot, width, height), key=lambda box: _far(spot, box)):
            if _far(spot, box) >= least:
                break  # no farther one can cost less
            if any(map(box.meets, taken)):
                continue
            cost = _far(spot, box) + CROSSING * _crossings(spot, box, others, leads)
            cost += _covered(box, drawn) / COVERING
            if cost < least:
                best, least = box, cost
        if best is None:
            return None
        placed.append(best)
    return [_label(spot, box, spots) for spot, box in zip(spots, placed, strict=True)]


def one_under_another(
    wanted: Sequence[float], heights: Sequence[float], height: float
) -> list[float] | None:
    """Middles of boxes in a column, as near as can be to where they are wanted; None where they are
    higher than the column.

    The sum of squared distances is least (isotonic regression, once the heights are taken off).

    >>> one_under_another([80, 82, 300], [16, 16, 16], 360)
    [73.0, 89.0, 300.0]
    >>> one_under_another([360, 2], [16, 16], 360)
    [352.0, 8.0]
    """
    if not wanted:
        return []
    order = sorted(range(len(wanted)), key=lambda at: wanted[at])
    high = [heights[at] for at in order]
    steps = [0.0, *((one + other) / 2 for one, other in itertools.pairwise(high))]
    down = np.cumsum(steps)
    least, most = high[0] / 2, height - high[-1] / 2 - float(down[-1])
    if most < least:
        return None
    free = isotonic_regression(np.array([wanted[at] for at in order]) - down).x
    middles = np.clip(free, least, most) + down
    return [float(middles[order.index(at)]) for at in range(len(wanted))]


def ranks(places: Sequence[tuple[float, float]], near: float) -> list[int]:
    """For each place, how many before it lie within `near` of each other and of it: 0 for one that
    is alone. What is drawn in the same place is drawn larger by its rank, and so is seen.

    >>> ranks([(0, 0), (100, 0), (1, 0), (0, 1)], 5)
    [0, 0, 1, 2]
    """
    found: list[int] = []
    for at, place in enumerate(places):
        close = [found[one] for one in range(at) if math.dist(places[one], place) <= near]
        found.append(1 + max(close) if close else 0)
    return found


def broken(name: str, longest: int = LONGEST) -> str:
    """A name in lines, broken between words where a line would be longer than that.

    >>> broken("both learning_rate=0.0001")
    'both\\nlearning_rate=0.0001'
    """
    lines = [""]
    for word in name.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > longest:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def size(text: str) -> tuple[float, float]:
    """Width and height of a name's lines in pixels, at most.

    >>> size("both")
    (31.2, 16)
    """
    lines = text.split("\n")
    wide = max(sum(_wide(letter) for letter in line) for line in lines)
    return round(SIZE * wide, 2), LINE * len(lines)


def _wide(letter: str) -> float:
    return WIDTHS.get(letter, CAPITAL if letter.isupper() else SMALL)


def _around(spot: Spot) -> Box:
    x, y, radius = spot.x, spot.y, spot.radius
    return Box(x - radius, y - radius, x + radius, y + radius, x)


def _rooms(spot: Spot, width: float, height: float) -> Iterator[Box]:
    """Places for the name within the frame; it grows away from its spot."""
    wide, high = size(broken(spot.name))
    for ring, turn in itertools.product(RINGS, range(TURNS)):
        angle, away = 2 * math.pi * turn / TURNS, spot.radius + GAP + ring
        across, down = math.cos(angle), math.sin(angle)
        upright = abs(down) > UPRIGHT
        left = spot.x + across * away - (wide / 2 if upright else wide if across < 0 else 0)
        top = spot.y + down * away - (high / 2 if not upright else high if down < 0 else 0)
        box = Box(left, top, left + wide, top + high, spot.x)
        inside = box.left >= GAP and box.right <= width - GAP
        if inside and box.top >= GAP and box.bottom <= height - GAP:
            yield box


def _far(spot: Spot, box: Box) -> float:
    """From what is drawn at a spot to its name."""
    return math.dist(box.nearest(spot.x, spot.y), (spot.x, spot.y)) - spot.radius


def _end(spot: Spot, box: Box) -> tuple[float, float, Align]:
    """Where a line to a name ends, and which end of the text is there."""
    middle = (box.top + box.bottom) / 2
    if box.left > spot.x:
        return box.left, middle, "left"
    if box.right < spot.x:
        return box.right, middle, "right"
    return (box.left + box.right) / 2, box.top if box.top > spot.y else box.bottom, "center"


def _crossings(
    spot: Spot, box: Box, others: Sequence[Box], leads: Sequence[tuple[Spot, Box]]
) -> int:
    """How many names and marks a line to the name would cross, and how many lines the name."""
    found = sum(other.crossed(spot.x, spot.y, *_end(spot, box)[:2]) for other in others)
    return found + sum(box.crossed(one.x, one.y, *_end(one, named)[:2]) for one, named in leads)


def _covered(box: Box, marks: Floats) -> float:
    """How much of the marks a name would lie on, in square pixels. Shape of `marks`: [marks, 4]."""
    left, top, right, bottom = marks.T
    wide = np.minimum(box.right, right) - np.maximum(box.left, left)
    high = np.minimum(box.bottom, bottom) - np.maximum(box.top, top)
    return float(np.sum(np.clip(wide, 0, None) * np.clip(high, 0, None)))


def _label(spot: Spot, box: Box, spots: Sequence[Spot]) -> Label:
    """The label, with a line to it where it is far, or where several spots lie in one place."""
    x, y, align = _end(spot, box)
    place = (round(x - spot.x, 1), round((box.top + box.bottom) / 2 - spot.y, 1))
    shared = sum(math.dist((one.x, one.y), (spot.x, spot.y)) < spot.radius for one in spots) > 1
    if _far(spot, box) <= LED and not shared:
        return Label(broken(spot.name), *place, align=align)
    begun = spot.radius * EDGE / math.dist((x, y), (spot.x, spot.y))
    to_x, to_y = place[0], round(y - spot.y, 1)
    begins = (round(begun * to_x, 1), round(begun * to_y, 1))
    return Label(broken(spot.name), *place, *begins, to_x, to_y, align)
