"""Pictures as a browser draws them: no text on another or cut, in any width, light and dark.

Needs Playwright's Python package and Chromium (`CHROMIUM=/usr/bin/chromium`); skipped, with the
reason, where they are missing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chart_examples import PLACES, figures_of
from chromium import CHROMIUM, Opened, becomes, launched
from rlhf_testbed.report import page
from rlhf_testbed.report.figures import DRAWERS, Figure
from rlhf_testbed.report.palette import HUES

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if not Path(CHROMIUM).exists():
    pytest.skip(f"no browser at {CHROMIUM} (Debian: chromium)", allow_module_level=True)

pytestmark = [pytest.mark.timeout(900), pytest.mark.slow]
COUNTS = (2, 4, 5, 6, 8)
TEXTS = """
picture => {
  const frame = picture.getBoundingClientRect();
  return [...picture.querySelectorAll("text")]
    .filter((text) => text.textContent !== "")
    .map((text) => {
      const { left, right, top, bottom } = text.getBoundingClientRect();
      const across = [left, right].map((at) => at - frame.left);
      const down = [top, bottom].map((at) => at - frame.top);
      return [text.textContent, across[0], down[0], across[1], down[1]];
    });
}
"""


class Text(NamedTuple):
    """A text of a picture and where it is, in pixels from the picture's top left."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    def lies_on(self, other: Text) -> bool:
        """Whether two overlap by more than the room that a browser keeps above letters."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return wide > 0.5 and high > 1.5


def page_of(figures: list[Figure], file: Path) -> Path:
    """A page with these pictures, drawn by the report's own scripts and style."""
    own = "\n".join(page._asset(f"{name}.js") for name in page.SCRIPTS if name != "main")
    scripts = "".join(f"<script>{page._script(text).text}</script>" for text in (page._vega(), own))
    drawn = "".join(
        f'<figure data-chart="{figure.name}"><div class="picture"></div>'
        f'<script type="application/json">{page._spec(figure)}</script></figure>'
        for figure in figures
    )
    begun = "testbed.watchCharts(); document.documentElement.dataset.ready = 'true';"
    file.write_text(
        f"<!doctype html><meta charset=utf-8><style>{page._asset('page.css')}</style>"
        f"<main>{drawn}</main>{scripts}<script>{begun}</script>",
        encoding="utf-8",
    )
    return file


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """A page for each number of arms."""
    folder = tmp_path_factory.mktemp("charts")
    return {count: page_of(figures_of(count), folder / f"{count}.html") for count in COUNTS}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with launched() as browser:
        yield browser


def drawn_in(opened: Opened) -> dict[str, Any]:
    """The pictures of a page by name, once all are drawn."""
    for figure in opened.page.locator("figure").all():
        figure.scroll_into_view_if_needed()
        figure.locator("svg").first.wait_for()
    becomes(opened.page, "document.querySelectorAll('.picture[data-drawn]').length === 7")
    pictures = opened.page.locator("figure").all()
    return {str(one.get_attribute("data-chart")): one.locator("svg") for one in pictures}


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("count", COUNTS)
def test_no_text_lies_on_another_or_is_cut(
    chromium: Any, pages: dict[int, Path], count: int, width: int
) -> None:
    opened = Opened(chromium, pages[count], viewport={"width": width, "height": 900})
    opened.go()
    arms = list(PLACES)[:count]
    for name, picture in drawn_in(opened).items():
        texts = [Text(*told) for told in picture.evaluate(TEXTS)]
        box = picture.bounding_box()
        for one, other in itertools.combinations(texts, 2):
            assert not one.lies_on(other), (name, one, other)
        for one in texts:
            assert one.left > -1 < one.top, (name, one)
            assert one.right < box["width"] + 1, (name, one)
            assert one.bottom < box["height"] + 1, (name, one)
        if name in ("threat_plane", "threat_1_in_training", "selection_differential"):
            told = [one.text for one in texts if one.text in arms]
            exposed = [arm for arm in arms if PLACES[arm][0] is not None]
            expected = {"threat_plane": arms, "threat_1_in_training": exposed}.get(name, arms * 2)
            assert sorted(told) == sorted(expected), name
    assert opened.complaints == []
    opened.context.close()


@pytest.mark.parametrize("width", [400, 800, 1400])
def test_pictures_are_as_wide_as_the_page(
    chromium: Any, pages: dict[int, Path], width: int
) -> None:
    opened = Opened(chromium, pages[5], viewport={"width": width, "height": 900})
    opened.go()
    for name, picture in drawn_in(opened).items():
        room = picture.evaluate("svg => svg.closest('.picture').clientWidth")
        drawn = float(picture.get_attribute("width"))
        assert 0.85 * room < drawn <= room + 2, name
    opened.context.close()


def test_a_picture_follows_the_page_from_light_to_dark(
    chromium: Any, pages: dict[int, Path]
) -> None:
    opened = Opened(chromium, pages[5], color_scheme="light")
    opened.go()
    plane = drawn_in(opened)["threat_plane"]
    seen = {}
    for scheme in ("light", "dark"):
        opened.page.emulate_media(color_scheme=scheme)
        fills = plane.evaluate(
            "svg => [...svg.querySelectorAll('.mark-symbol path, text')]"
            ".map((mark) => getComputedStyle(mark)).flatMap((style) => [style.fill, style.stroke])"
        )
        seen[scheme] = set(fills)
    for at, scheme in enumerate(("light", "dark")):
        hues = {f"rgb({', '.join(map(str, bytes.fromhex(hue[at][1:])))})" for hue in HUES[:5]}
        assert hues <= seen[scheme]
    ink = {"light": "rgb(29, 33, 37)", "dark": "rgb(228, 231, 234)"}
    assert all(ink[scheme] in seen[scheme] for scheme in ink)
    assert ink["light"] not in seen["dark"]
    opened.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_paper_every_picture_is_drawn_and_fits(
    chromium: Any, pages: dict[int, Path], tmp_path: Path, scheme: str
) -> None:
    size = {"width": 1400, "height": 300}
    opened = Opened(chromium, pages[4], viewport=size, color_scheme=scheme)
    sheet = opened.go()
    assert sheet.locator("svg").count() < 7, "some are not in view, and not drawn"
    sheet.evaluate(
        """matchMedia("print").addEventListener("change", ({ matches }) => {
          if (!matches) return;
          window.widths = [...document.querySelectorAll("figure")].map(
            (one) => Number(one.querySelector("svg")?.getAttribute("width") ?? 0));
          window.inks = [...document.querySelectorAll("text, .mark-symbol path")].map(
            (mark) => getComputedStyle(mark).fill);
        })"""
    )
    sheet.pdf(path=tmp_path / "sheet.pdf", format="A4")
    widths = sheet.evaluate("window.widths")
    assert len(widths) == 7
    assert all(400 < width <= 720 for width in widths), widths
    paper = {f"rgb({', '.join(map(str, bytes.fromhex(light[1:])))})" for light, _ in HUES[:4]}
    assert {*paper, "rgb(29, 33, 37)"} <= set(sheet.evaluate("window.inks"))
    opened.context.close()


def test_files_are_on_white_and_in_the_same_colours() -> None:
    for figure in figures_of(5):
        svg = DRAWERS["svg"](figure.printed()).decode()
        assert "light-dark" not in svg
        assert "n = 3" in svg or "3 training seeds" in svg
        if figure.name == "threat_plane":
            assert all(light in svg for light, _ in HUES[:5])
