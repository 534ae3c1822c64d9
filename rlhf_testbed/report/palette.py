"""Colours of the pictures: a thing has one, in every picture of a page.

    arm_colours(["neither", "both"])["both"]      light-dark(#d55e00, #e8702a)
    on_white("light-dark(#d55e00, #e8702a)")      #d55e00

A colour is written as CSS writes it that depends on the page: that for white paper, then that for
dark. A browser chooses by itself, also where a page is printed; files are always on white.

Arms, training overseer and full knowledge each have colours that the others never use. Arms that
are named have hues of their own. Of arms that a sweep made, `both kl_coef=0.1` for one, the hue
says which arm was varied and the shade which value it is; where nothing else was varied, there is
one scale from the first value to the last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

HUES = (
    ("#0072b2", "#3d94d6"),
    ("#d55e00", "#e8702a"),
    ("#009e73", "#5fd3a6"),
    ("#c67bb6", "#c92970"),
    ("#9e71fd", "#bcb3fa"),
    ("#8d0e41", "#ba8990"),
    ("#0a5470", "#19799d"),
    ("#2e3f06", "#6c6610"),
)
"""Of arms: the first three of Okabe and Ito's palette for colour-blind readers, and five that were
searched for, as were those for dark paper. tests/test_palette.py holds what for: any two of them,
and of them and the colours below, are as far apart as the closest two of that palette or farther,
for normal sight and for each kind of colour blindness; and each stands out from its paper by 3 to 1
(WCAG 2.2, 1.4.11). Okabe and Ito's others can hardly be seen on white."""
FEW = len(HUES)
"""Arms that have hues of their own, and names beside what is theirs; of more, a legend tells."""
SCALE = ("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30")
"""Viridis from one end nearly to the other: its order can be seen in grey, too."""
ON_WHITE, ON_DARK = (0.0, 0.6), (0.45, 1.0)
"""The parts of it that stand out from white and from dark paper."""
SHADE = 0.5
"""How far the last of several shades goes, to black on white paper and to white on dark."""
PAIR = re.compile(r"light-dark\((#\w+), #\w+\)")


def _pair(light: str, dark: str) -> str:
    return f"light-dark({light}, {dark})"


OVERSEER = _pair("#7b5600", "#edb417")
"""What the training overseer says: its approval, its score (the proxy)."""
KNOWING = _pair("#1d2125", "#e4e7ea")
"""What full knowledge says: its approval, its score (gold)."""
TEACHER = _pair("#80868d", "#8a9097")
"""What the teacher says from whom a training overseer learned."""
QUIET = _pair("#5a626b", "#a1a9b1")
"""What is no thing of its own: a line that divides, or joins the doses of many arms."""


def arm_colours(arms: Sequence[str]) -> dict[str, str]:
    """A colour for each arm, by its place among all arms of a page.

    >>> arm_colours(["neither", "both"])["neither"] == _pair(*HUES[0])
    True
    >>> found = arm_colours(["a x=0", "a x=1", "b x=0", "b x=1"])
    >>> found["b x=0"] == _pair(*HUES[1]), len(set(found.values()))
    (True, 4)
    """
    groups: dict[str, list[str]] = {}
    names = list(dict.fromkeys(arms))
    for arm in names:
        groups.setdefault(stem(arm), []).append(arm)
    if len(groups) == 1 and len(names) > 1:
        return {arm: _along(at / (len(names) - 1)) for at, arm in enumerate(names)}
    found = {}
    for number, group in enumerate(groups.values()):
        # With more arms than hues the hues come again, in another shade.
        again, hue = divmod(number, FEW)
        for at, arm in enumerate(group):
            place = at / max(1, len(group) - 1) if len(group) > 1 else again / (again + 1)
            found[arm] = _shaded(*HUES[hue], SHADE * place)
    return found


def stem(arm: str) -> str:
    """An arm's name without what was varied.

    >>> stem("both kl_coef=0.01 method=ppo")
    'both'
    """
    return " ".join(word for word in arm.split() if "=" not in word)


def on_white(text: str) -> str:
    """A spec, or any text, with the colours that white paper has."""
    return PAIR.sub(r"\1", text)


def _along(share: float) -> str:
    """A colour of the scale of one sweep, from its first value (0) to its last (1)."""
    places = [low + share * (high - low) for low, high in (ON_WHITE, ON_DARK)]
    ends = np.linspace(0, 1, len(SCALE))
    parts = np.array([_parts(one) for one in SCALE])
    return _pair(*(_hex([np.interp(at, ends, part) for part in parts.T]) for at in places))


def _shaded(light: str, dark: str, share: float) -> str:
    """A hue, darker on white paper and lighter on dark: it stands out more than before."""
    mixed = [
        [part + share * (end - part) for part in _parts(colour)]
        for colour, end in ((light, 0), (dark, 255))
    ]
    return _pair(*map(_hex, mixed))


def _parts(colour: str) -> tuple[int, ...]:
    """Red, green and blue, of 255 each.

    >>> _parts("#ff8000")
    (255, 128, 0)
    """
    return tuple(bytes.fromhex(colour.removeprefix("#")))


def _hex(parts: Sequence[float]) -> str:
    return "#" + bytes(round(part) for part in parts).hex()
