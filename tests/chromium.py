"""A page in Chromium, and all that it asked for or complained of.

    with launched() as browser:
        page = Opened(browser, folder / "report" / "index.html").go("#generations")

Needs Playwright's Python package and a Chromium (`CHROMIUM=/usr/bin/chromium`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@contextmanager
def launched() -> Iterator[Any]:
    """A browser of its own, closed afterwards."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Opened:
    """A page, and all that it asked for or complained of."""

    def __init__(self, browser: Any, file: Path, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(120_000)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda said: self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.file = file

    def go(self, address: str = "") -> Any:
        """Opens the page, at an address within it, and waits until it can be used."""
        self.page.goto(f"{self.file.as_uri()}{address}")
        self.page.wait_for_selector("html[data-ready]")
        return self.page


def await_count(page: Any, count: int) -> None:
    """Waits until the table says that so many generations pass the filters."""
    page.locator("#generations_info", has_text=f"of {count} gen").wait_for()


def becomes(page: Any, script: str, arg: object = None) -> None:
    """Waits until a script is true: what follows an action may follow after a moment."""
    page.wait_for_function(script, arg=arg, timeout=30_000)
