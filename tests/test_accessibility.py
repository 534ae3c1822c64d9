"""The page by axe-core's rules of accessibility, wide and narrow, in light and in dark.

Needs Playwright's Python package and Chromium (`CHROMIUM=/usr/bin/chromium`), and axe-core, which
the package axe-playwright-python brings; skipped, with the reason, where they are missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from chromium import CHROMIUM, Opened, becomes, launched
from rlhf_testbed.report import figures
from rlhf_testbed.report.page import write_report
from scripted_runs import write_experiment, write_results, write_run

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if not Path(CHROMIUM).exists():
    pytest.skip(f"no browser at {CHROMIUM} (Debian: chromium)", allow_module_level=True)
AXE = find_spec("axe_playwright_python")
if AXE is None or AXE.origin is None:
    pytest.skip("axe-playwright-python is not installed", allow_module_level=True)

pytestmark = [pytest.mark.timeout(900), pytest.mark.slow]
SCRIPT = Path(AXE.origin).with_name("axe.min.js").read_text(encoding="utf-8")
PLAIN = ".scrolls, .dt-layout-table { background: none !important }"
"""Axe-core tells no contrast where there is a gradient, as behind what scrolls."""
DRAWN = "() => [...document.querySelectorAll('.picture')].every(p => p.dataset.drawn)"
LOOKS = [(width, scheme) for width in (1400, 400) for scheme in ("light", "dark")]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The reports of a small experiment in which a gate failed, and of a run of another task."""
    folder = tmp_path_factory.mktemp("runs")
    write_experiment(folder / "x", ("neither", "selection_only", "both", "habit"), updates=2)
    write_results(folder / "x", failing="panel")
    write_run(folder / "run", updates=2, task_name="inspection")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "save", lambda figure, folder: [])
        return {name: write_report(folder / name) for name in ("x", "run")}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with launched() as browser:
        yield browser


def violations(page: Any) -> list[tuple[str, str]]:
    """What axe-core finds: rules, with a place each."""
    page.add_style_tag(content=PLAIN)
    page.evaluate(SCRIPT)
    found = page.evaluate("() => axe.run({ resultTypes: ['violations'] })")
    assert len(found["passes"]) > 20
    return [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]]


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
@pytest.mark.parametrize("name", ["x", "run"])
def test_axe_finds_nothing(
    chromium: Any, reports: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    size = {"width": width, "height": 900}
    opened = Opened(chromium, reports[name], color_scheme=scheme, viewport=size)
    page = opened.go()
    becomes(page, DRAWN)
    assert violations(page) == []
    page.evaluate("testbed.openFolds()")
    assert violations(page) == []
    opened.context.close()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_axe_finds_nothing_in_an_open_generation(
    chromium: Any, reports: dict[str, Path], width: int, scheme: str
) -> None:
    size = {"width": width, "height": 900}
    opened = Opened(chromium, reports["x"], color_scheme=scheme, viewport=size)
    page = opened.go("#generation/both/0/training/2/4")
    page.locator("#generation[open]").wait_for()
    assert violations(page) == []
    opened.context.close()


def test_axe_would_find_what_is_wrong(chromium: Any, reports: dict[str, Path]) -> None:
    opened = Opened(chromium, reports["x"])
    page = opened.go()
    page.evaluate(
        "() => document.getElementById('filters').append(document.createElement('input'))"
    )
    assert "label" in [rule for rule, _ in violations(page)]
    opened.context.close()
