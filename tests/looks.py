"""Pictures of the report in all its forms, to be looked at: two arms and eight, wide and narrow,
light, dark and printed.

    make looks TO=build/looks                       python tests/looks.py build/looks
    python tests/looks.py build/looks runs/corridor-demo     that experiment's report as well

    build/looks/eight-400-dark.png     the whole page, in a window of 400 px
    build/looks/eight-paper.png        as it is on paper, without its ends of pages
    build/looks/eight.pdf              printed, on A4

Scripted policies stand in for trained ones.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chromium import Opened, launched
from rlhf_testbed.report.page import write_report
from scripted_runs import write_experiment, write_results

ARMS = {
    "two": ("neither", "both"),
    "eight": (
        *("neither", "selection_only", "goal_only", "both", "habit"),
        *("both knowledge=0.5", "both randomised=0.5", "neither diversity=0.5"),
    ),
}
WIDTHS = (1400, 400)
SCHEMES = ("light", "dark")
A4 = 718
"""Pixels of CSS between the margins of a page of paper."""
DRAWN = "() => [...document.querySelectorAll('.picture')].every(p => p.dataset.drawn)"


def reports(scratch: Path, more: list[Path]) -> Iterator[tuple[str, Path]]:
    """The reports by name: of the experiments that are written for this, and of more."""
    for name, arms in ARMS.items():
        folder = write_experiment(scratch / name, arms, seeds=(0, 1, 2), updates=8, episodes=16)
        write_results(folder, failing="panel" if name == "eight" else "")
        yield name, write_report(folder)
    for folder in more:
        yield folder.name, write_report(folder)


def take(browser: Any, name: str, page: Path, to: Path) -> Iterator[Path]:
    """Takes all pictures of one report."""
    for width in WIDTHS:
        for scheme in SCHEMES:
            size = {"width": width, "height": 900}
            opened = Opened(browser, page, viewport=size, color_scheme=scheme)
            shown = opened.go()
            shown.wait_for_function(DRAWN)
            file = to / f"{name}-{width}-{scheme}.png"
            shown.screenshot(path=file, full_page=True)
            if (width, scheme) == (WIDTHS[0], "light"):
                shown.pdf(path=to / f"{name}.pdf", format="A4", print_background=True)
            opened.context.close()
            for complaint in opened.complaints:
                print(f"{file.name}: {complaint}", file=sys.stderr)
            yield file
    opened = Opened(browser, page, viewport={"width": A4, "height": 900})
    shown = opened.go()
    shown.wait_for_function(DRAWN)
    shown.emulate_media(media="print")
    shown.evaluate("testbed.openFolds()")
    file = to / f"{name}-paper.png"
    shown.screenshot(path=file, full_page=True)
    opened.context.close()
    yield file


def main(to: Path, more: list[Path]) -> None:
    """Takes them all, and names each."""
    to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, launched() as browser:
        for name, page in reports(Path(scratch), more):
            for file in take(browser, name, page, to):
                print(file, flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python tests/looks.py FOLDER [EXPERIMENT...]")
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
