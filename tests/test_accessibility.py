"""The page by axe-core's rules of accessibility, in light and in dark.

Needs Playwright's Python package and Chromium (`CHROMIUM=/usr/bin/chromium`), and npm for axe-core;
skipped, with the reason, where they are missing.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chromium import CHROMIUM, Opened, launched
from rlhf_testbed.report import figures
from rlhf_testbed.report.page import write_report
from scripted_runs import write_experiment, write_results

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if not Path(CHROMIUM).exists():
    pytest.skip(f"no browser at {CHROMIUM} (Debian: chromium)", allow_module_level=True)

pytestmark = [pytest.mark.timeout(900), pytest.mark.slow]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a small experiment."""
    path = write_experiment(tmp_path_factory.mktemp("runs") / "x", updates=2)
    write_results(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "save", lambda figure, folder: [])
        return write_report(path)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: axe-core can't be fetched")
    folder = tmp_path_factory.mktemp("axe")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "axe-core@4"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"axe-core can't be fetched: {done.stderr.strip()[:200]}")
    return (folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


def serious(page: Any, axe: str, part: str = "html") -> list[tuple[str, str]]:
    """What axe-core finds serious or critical in a part of the page: rules, with a place each."""
    page.evaluate(axe)
    return [
        (one["id"], one["nodes"][0]["html"][:200])
        for one in page.evaluate("part => axe.run(part)", part)["violations"]
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(chromium: Any, report: Path, axe: str, scheme: str) -> None:
    opened = Opened(chromium, report, color_scheme=scheme)
    page = opened.go("#generation/both/0/training/2/4")
    assert serious(page, axe) == []
    page.keyboard.press("Escape")
    assert serious(page, axe) == []
    opened.context.close()


def test_axe_finds_nothing_serious_in_a_picture(chromium: Any, report: Path, axe: str) -> None:
    opened = Opened(chromium, report)
    page = opened.go()
    page.locator("figure[data-chart]").first.scroll_into_view_if_needed()
    page.locator(".picture[data-drawn] svg").first.wait_for()
    assert serious(page, axe, "figure[data-chart]") == []
    opened.context.close()
