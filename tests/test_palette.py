"""Colours that can be told apart, by everybody, on white paper and on dark."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from rlhf_testbed.report import palette
from rlhf_testbed.report.palette import HUES, KNOWING, OVERSEER, QUIET, TEACHER, arm_colours
from rlhf_testbed.shared.arrays import Floats

PAPER = {"light": "#ffffff", "dark": "#14171a"}
"""Of the page, in assets/page.css."""
OKABE_ITO = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
SIGHT = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
"""What is seen of linear red, green and blue, by Machado, Oliveira and Fernandes (2009)."""


def linear(colour: str) -> Floats:
    """Red, green and blue as amounts of light, in [0, 1]."""
    parts = np.frombuffer(bytes.fromhex(colour[1:]), dtype=np.uint8) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """Of two colours, by WCAG 2.2: 1 to 21."""
    lights = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def oklab(light: Floats) -> Floats:
    """A place in Ottosson's (2020) space, in which distances are about as large as they look."""
    cones = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    space = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.array(space) @ np.cbrt(np.clip(np.array(cones) @ light, 0, None))


def closest(colours: list[str]) -> float:
    """The least distance of any two, by whoever sees it least."""
    return min(
        float(np.linalg.norm(oklab(np.clip(sight @ linear(a), 0, 1)) - oklab(sight @ linear(b))))
        for a, b in itertools.combinations(colours, 2)
        for sight in map(np.array, SIGHT.values())
    )


def on(scheme: str, colour: str) -> str:
    """What a colour is on one of the two papers."""
    found = re.fullmatch(r"light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", colour)
    assert found, colour
    return found[1 if scheme == "light" else 2]


def test_contrast_and_distance_by_hand() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert oklab(linear("#ffffff")) == pytest.approx([1, 0, 0], abs=1e-6)
    assert closest(["#ffffff", "#000000"]) == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_arms_and_judges_are_as_far_apart_as_okabe_and_ito_s_colours(scheme: str) -> None:
    named = arm_colours([f"arm-{number}" for number in range(len(HUES))])
    colours = [on(scheme, colour) for colour in (*named.values(), OVERSEER, KNOWING)]
    assert len(colours) == 10
    assert closest(colours) >= closest(list(OKABE_ITO))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_colour_stands_out_from_its_paper(scheme: str) -> None:
    sweep = arm_colours([f"both kl_coef={at}" for at in range(40)])
    several = arm_colours([f"{arm} x={at}" for arm in "abcdefgh" for at in range(5)])
    many = arm_colours([f"arm-{number}" for number in range(20)])
    drawn = {*sweep.values(), *several.values(), *many.values()}
    drawn |= {OVERSEER, KNOWING, TEACHER, QUIET}
    assert len(drawn) > 80
    weak = {one for one in drawn if contrast(on(scheme, one), PAPER[scheme]) < 3}
    assert not weak


@pytest.mark.parametrize(
    "arms",
    [
        ["neither", "both"],
        [f"arm-{number}" for number in range(12)],
        [f"both kl_coef={at}" for at in range(30)],
        [f"{arm} method={method}" for arm in ("both", "neither") for method in ("ppo", "grpo")],
    ],
)
def test_each_arm_has_a_colour_that_nothing_else_has(arms: list[str]) -> None:
    colours = arm_colours(arms)
    assert list(colours) == arms
    assert len({*colours.values(), OVERSEER, KNOWING, TEACHER, QUIET}) == len(arms) + 4


def test_an_arm_that_comes_later_changes_no_colour_of_those_before() -> None:
    arms = [f"arm-{number}" for number in range(len(HUES))]
    assert arm_colours(arms[:3]) == {arm: arm_colours(arms)[arm] for arm in arms[:3]}


@pytest.mark.parametrize("arms", [["both"], ["neither", "both"], ["both x=0", "both x=1"]])
def test_an_arm_that_is_named_twice_has_the_colour_that_it_had(arms: list[str]) -> None:
    assert arm_colours([*arms, *arms]) == arm_colours(arms)


def test_the_values_of_a_sweep_are_in_order() -> None:
    colours = arm_colours([f"both kl_coef={at}" for at in range(6)])
    for scheme in PAPER:
        lights = [float(oklab(linear(on(scheme, one)))[0]) for one in colours.values()]
        assert lights == sorted(lights)


def test_files_are_on_white() -> None:
    text = palette.on_white(f'["{OVERSEER}", "light-dark", "{KNOWING}"]')
    assert text == '["#7b5600", "light-dark", "#1d2125"]'
