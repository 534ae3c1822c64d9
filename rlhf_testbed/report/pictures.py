"""Screenshots of a report, for the README: its head, the table of generations, one generation.

    make pictures                                                 of runs/corridor-demo
    python -m rlhf_testbed.report.pictures runs/corridor --to docs/pictures

    docs/pictures/report.png        what was asked, the verdicts, and the threat plane
    docs/pictures/generations.png   generations that were approved though unwanted
    docs/pictures/generation.png    one of them from every side, with its drawing

Writes the report anew, and opens it in Chromium by Playwright (`CHROMIUM` names another browser).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rlhf_testbed.report.page import write_report
from rlhf_testbed.shared.errors import UsageError, reported
from rlhf_testbed.shared.files import written_whole
from rlhf_testbed.store.experiment_records import Results
from rlhf_testbed.store.generations import Filter, Generation, found

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
WIDTH, HEIGHT = 1100, 760
"""The window, in CSS pixels: at a README's width its text can still be read."""
SHARPNESS = 2
"""Pixels of a picture to one of CSS."""
MARGIN = 16
EDGES = """element => {
  const { x, y, width, height } = element.getBoundingClientRect();
  return { x, y: y + scrollY, width, height };
}"""
FILTER = """values => new Promise((drawn) => {
  const seen = new MutationObserver(() => { seen.disconnect(); drawn(); });
  seen.observe(document.querySelector("#generations tbody"), { childList: true });
  const form = document.getElementById("filters");
  for (const [name, value] of Object.entries(values)) form.elements[name].value = value;
  form.dispatchEvent(new Event("input"));
})"""
"""Sets filters, all at once, and waits until the table is drawn with them."""
ROWS = 8
"""Rows of the table that are shown."""
PATIENCE = 120_000
"""Milliseconds until a page that does not answer is given up."""


def take_pictures(experiment: Path, folder: Path) -> list[Path]:
    """Takes the pictures of a finished experiment; returns their files.

    Raises `UsageError` where the experiment is not there or unfinished, where nothing in it was
    approved though unwanted, and where Playwright or Chromium are not.
    """
    if not (experiment / Results.file).is_file():
        raise UsageError(
            f"{experiment}: no {Results.file}: not a finished experiment "
            "(make demo writes runs/corridor-demo)"
        )
    shown = telling(experiment)
    address = f"generation/{shown.arm}/{shown.seed}/training/{shown.row.update}"
    with _opened(write_report(experiment)) as page:
        return [  # one after another, in the same page
            _head(page, folder / "report.png"),
            _table(page, shown.arm, folder / "generations.png"),
            _generation(page, f"{address}/{shown.row.episode}", folder / "generation.png"),
        ]


def telling(experiment: Path) -> Generation:
    """The last generation that was approved though unwanted, of the arm `both` where there is one.

    Of the last update that has any, the one that shows most traits. Raises `UsageError` for none.
    """
    caught = list(found(experiment, Filter(approved=True, unwanted=True)))
    if not caught:
        raise UsageError(f"{experiment}: no generation was approved though unwanted")

    def rank(one: Generation) -> tuple[bool, int, int]:
        shown = sum(bool(trait) for trait in one.traits.values())
        return one.arm == "both", one.row.update, shown

    return max(caught, key=rank)


@contextmanager
def _opened(report: Path) -> Iterator[Page]:
    """The page in a window of the README's width, in light colours."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise UsageError("pictures need Playwright (pip install playwright)") from None
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        raise UsageError("pictures need Chromium (apt-get install chromium, or CHROMIUM=PATH)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT},
            device_scale_factor=SHARPNESS,
            color_scheme="light",
        )
        page.set_default_timeout(PATIENCE)
        page.goto(report.resolve().as_uri())
        page.wait_for_selector("html[data-ready]")
        yield page
        browser.close()


def _head(page: Page, file: Path) -> Path:
    """From the title down to the verdicts, with the threat plane drawn."""
    page.locator("figure[data-chart=threat_plane] [data-drawn] svg").first.wait_for()
    return _save(
        page, file, page.locator("body"), page.locator("header.page"), page.locator("#verdicts")
    )


def _table(page: Page, arm: str, file: Path) -> Path:
    """The table's filters and its first rows, of the arm, approved though unwanted."""
    page.evaluate(FILTER, {"arm": arm, "approved": "yes", "unwanted": "yes"})
    rows = page.locator("#generations tbody tr")
    last = rows.nth(min(ROWS, rows.count()) - 1)
    return _save(page, file, page.locator("body"), page.locator("#browser h2"), last)


def _generation(page: Page, address: str, file: Path) -> Path:
    """One generation from every side, in a window that is high enough for all of it."""
    page.set_viewport_size({"width": WIDTH, "height": 2 * HEIGHT})
    page.evaluate("address => { location.hash = address }", address)
    opened = page.locator("#generation[open]")
    opened.locator("svg").first.wait_for()
    page.evaluate("document.activeElement.blur()")  # no button is to look chosen
    return _save(page, file, opened, opened.locator("header"), opened.locator(".sides"))


def _save(page: Page, file: Path, frame: Locator, first: Locator, last: Locator) -> Path:
    """A picture as wide as the frame, from the top of its first element to the end of its last."""
    boxes = [element.evaluate(EDGES) for element in (frame, first, last)]
    around, top, bottom = boxes
    start = max(around["y"], top["y"] - MARGIN)
    height = bottom["y"] + bottom["height"] - start
    clip = {"x": around["x"], "y": start, "width": around["width"], "height": height}
    with written_whole(file) as aside:
        page.screenshot(path=aside, type="png", full_page=True, clip=clip)
    return file


def main(
    experiment: Annotated[
        Path, typer.Argument(help="A finished experiment.", metavar="EXPERIMENT")
    ] = Path("runs/corridor-demo"),
    to: Annotated[Path, typer.Option(help="Where to write.")] = Path("docs/pictures"),
) -> None:
    """Write the README's pictures from a finished experiment's report."""
    with reported():
        for file in take_pictures(experiment, to):
            print(file)


if __name__ == "__main__":
    typer.run(main)
