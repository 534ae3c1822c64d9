"""Names that never overlap and are never cut, at any width."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf_testbed.report.labels import (
    GAP,
    MOST,
    Box,
    Label,
    Spot,
    beside,
    one_under_another,
    ranks,
    size,
)

WIDTH, HEIGHT = 270, 400
WIDER = (270, 300, 460, 700, 1300)
NAMES = ("neither", "selection_only", "goal_only", "both", "habit", "half-seen", "audited", "late")
CORNERS = ((0.05, 0.95), (0.7, 0.95), (0.05, 0.2), (0.7, 0.2), (0.9, 0.95))


def spots_of(places: list[tuple[float, float]]) -> list[Spot]:
    return [
        Spot(name, x * WIDTH, y * HEIGHT)
        for name, (x, y) in zip(itertools.cycle(NAMES), places, strict=False)
    ]


def box_of(spot: Spot, label: Label, width: float) -> Box:
    """Where a name is in a picture of that width, whose height is as ever."""
    wide, high = size(label.text)
    x = spot.x / WIDTH * width + label.dx
    left = x - {"left": 0, "center": wide / 2, "right": wide}[label.align]
    top = spot.y + label.dy - high / 2
    return Box(left, top, left + wide, top + high, x)


def lies_on(one: Box, other: Box) -> bool:
    across = one.left < other.right - 1e-6 and other.left < one.right - 1e-6
    return across and one.top < other.bottom - 1e-6 and other.top < one.bottom - 1e-6


def assert_apart(spots: list[Spot], labels: list[Label], width: float) -> None:
    names = [box_of(spot, label, width) for spot, label in zip(spots, labels, strict=True)]
    # Offsets are rounded to a tenth of a pixel.
    dots = [
        Box(x - r, spot.y - r, x + r, spot.y + r, x)
        for spot in spots
        for x, r in [(spot.x / WIDTH * width, spot.radius - 0.1)]
    ]
    for one, other in itertools.combinations(names, 2):
        assert not lies_on(one, other)
    for name, dot in itertools.product(names, dots):
        assert not lies_on(name, dot)
    for name in names:
        assert name.left >= 0
        assert name.right <= width
        assert name.top >= 0
        assert name.bottom <= HEIGHT


@pytest.mark.parametrize("arms", [2, 4, 5, 6, 8, MOST])
def test_names_are_apart_and_whole_where_arms_lie_in_corners(arms: int) -> None:
    spots = spots_of([CORNERS[number % 5] for number in range(arms)])
    labels = beside(spots, WIDTH, HEIGHT)
    assert labels is not None
    for width in WIDER:
        assert_apart(spots, labels, width)


@given(st.lists(st.tuples(st.floats(0.04, 0.96), st.floats(0.04, 0.96)), min_size=2, max_size=8))
def test_names_are_apart_and_whole_wherever_arms_lie(places: list[tuple[float, float]]) -> None:
    spots = spots_of(places)
    labels = beside(spots, WIDTH, HEIGHT)
    assert labels is not None
    assert [label.text for label in labels] == [spot.name for spot in spots]
    for width in WIDER:
        assert_apart(spots, labels, width)


def test_the_same_picture_has_the_same_labels() -> None:
    spots = spots_of([(0.1, 0.9)] * 4)
    assert beside(spots, WIDTH, HEIGHT) == beside(spots, WIDTH, HEIGHT)


def test_a_line_leads_to_a_name_that_is_far_or_of_one_of_several_in_a_place() -> None:
    alone = beside([Spot("both", 100, 100)], WIDTH, HEIGHT)
    assert alone is not None
    assert (alone[0].to_x, alone[0].to_y) == (0, 0)
    together = beside([Spot("both", 100, 100), Spot("neither", 100, 100)], WIDTH, HEIGHT)
    assert together is not None
    for label in together:
        assert math.hypot(label.to_x, label.to_y) > math.hypot(label.from_x, label.from_y) > 0
        assert label.to_x == label.dx


def test_a_name_goes_where_no_whisker_is() -> None:
    spot = Spot("both", 100, 200)
    right = (100.0, 180.0, 270.0, 220.0)
    (free,) = beside([spot], WIDTH, HEIGHT) or []
    (moved,) = beside([spot], WIDTH, HEIGHT, [right]) or []
    assert (free.align, moved.align) == ("left", "right")


def test_where_there_is_no_room_there_are_no_labels() -> None:
    assert beside([Spot("a name that is much too long", 20, 20)], 60, 60) is None
    assert one_under_another([1, 2, 3], [16, 16, 16], 40) is None


@given(
    st.lists(st.tuples(st.floats(0, 200), st.sampled_from([16, 32])), max_size=6),
)
def test_boxes_in_a_column_are_apart_and_within_it(wanted: list[tuple[float, int]]) -> None:
    places, heights = [one for one, _ in wanted], [high for _, high in wanted]
    found = one_under_another(places, heights, 200)
    assert found is not None
    ends = sorted(
        (middle - h / 2, middle + h / 2) for middle, h in zip(found, heights, strict=True)
    )
    assert all(low >= -1e-6 and high <= 200 + 1e-6 for low, high in ends)
    assert all(one[1] <= other[0] + 1e-6 for one, other in itertools.pairwise(ends))


def test_boxes_that_are_apart_stay_where_they_are_wanted() -> None:
    assert one_under_another([150, 20, 80], [16, 16, 16], 200) == [150, 20, 80]


def test_a_box_side_by_side_in_the_wrong_order_meets_in_a_wider_picture() -> None:
    left, right = Box(0, 0, 40, 10, 90), Box(50, 0, 90, 10, 30)
    assert left.meets(right)
    assert not left._replace(anchor=20).meets(right)
    assert not left._replace(top=20, bottom=30).meets(right)


def test_what_lies_in_one_place_is_ranked() -> None:
    assert ranks([(0, 0), (3, 0), (50, 0), (0, 3), (52, 0)], 5) == [0, 1, 0, 2, 1]
    assert GAP > 0
