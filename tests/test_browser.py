"""The page in a browser: opened from disk, used by hand and by keyboard, in light and in dark.

Needs Playwright's Python package and Chromium (`CHROMIUM=/usr/bin/chromium`); skipped, with the
reason, where they are missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chromium import CHROMIUM, Opened, await_count, becomes, launched
from rlhf_testbed.report import figures
from rlhf_testbed.report.page import write_browser, write_report
from rlhf_testbed.store.generations import Filter, generations
from scripted_runs import write_experiment, write_results, write_run

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if not Path(CHROMIUM).exists():
    pytest.skip(f"no browser at {CHROMIUM} (Debian: chromium)", allow_module_level=True)

pytestmark = pytest.mark.timeout(900)
EVIL = "<script>window.ran = 1</script></script>{{ 7*7 }}\x1b[31m\u202ethgir"
LONG = "x" * 100_000
ARABIC = "اذهب إلى اليمين"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report and the browser's page of a small experiment."""
    path = write_experiment(
        tmp_path_factory.mktemp("runs") / "x",
        arms=("neither", "selection_only", "both"),
        updates=6,
        episodes=16,
        responses={0: EVIL, 1: LONG, 2: ARABIC, 3: "<img src=x onerror='window.ran=1'>"},
    )
    write_results(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "save", lambda figure, folder: [])
        write_report(path)
        write_browser(path)
    return path


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with launched() as browser:
        yield browser


@pytest.fixture
def opened(chromium: Any, folder: Path) -> Iterator[Opened]:
    found = Opened(chromium, folder / "report" / "index.html")
    yield found
    assert found.complaints == []
    found.context.close()


def rows(page: Any) -> int:
    return int(page.locator("#generations tr[data-row]").count())


def shows(page: Any, start: str) -> None:
    """Waits until the line above the table begins so."""
    info = "document.getElementById('generations_info').textContent.trim()"
    becomes(page, f"start => {info}.startsWith(start)", start)


def focuses(page: Any, row: str) -> None:
    """Waits until the link of that row has the focus."""
    becomes(page, "row => document.activeElement.closest('tr')?.dataset.row === row", row)


def draw_all(page: Any) -> None:
    """Has every picture drawn, which they are when they come into view."""
    for figure in page.locator("figure[data-chart]").all():
        figure.scroll_into_view_if_needed()
        figure.locator(".picture[data-drawn] svg").first.wait_for()


def turning(page: Any, name: str) -> Any:
    """What turns the page."""
    return page.get_by_role("navigation", name="pagination").get_by_text(name, exact=True)


def test_it_opens_from_disk_and_asks_for_nothing(opened: Opened) -> None:
    page = opened.go()
    draw_all(page)
    assert opened.requests == [opened.file.as_uri()]
    assert opened.complaints == []
    assert page.locator("figure[data-chart]").count() == 7


def test_filters_say_what_the_terminal_says(opened: Opened, folder: Path) -> None:
    page = opened.go()
    wanted = {
        "arm": ("both", Filter(arm="both")),
        "seed": ("1", Filter(seed=1)),
        "approved": ("yes", Filter(approved=True)),
        "unwanted": ("no", Filter(unwanted=False)),
        "trait": ("heads right", Filter(trait="heads right")),
    }
    page.select_option("#filters [name=which]", "training")
    for name, (value, same) in wanted.items():
        page.select_option(f"#filters [name={name}]", value)
        count = len(generations(folder, same))
        await_count(page, count)
        page.select_option(f"#filters [name={name}]", "")
    page.fill("#filters [name=from]", "2")
    page.fill("#filters [name=to]", "3")
    page.fill("#filters [name=text]", "RIGHT WALK")
    count = len(generations(folder, Filter(updates=range(2, 4), text="right walk")))
    await_count(page, count)
    page.click("#filters button[type=reset]")
    page.fill("#filters [name=search]", "no such word")
    page.locator("#generations_info", has_text="no generation matches").wait_for()
    assert rows(page) == 0
    assert page.locator("#generations tbody").inner_text() == "No generation passes these filters."


def test_sorting_is_by_the_column_and_back(opened: Opened) -> None:
    page = opened.go()
    button = page.locator("th.of-score").get_by_role("button")
    scores = "() => [...document.querySelectorAll('td.of-score')].map(td => td.textContent)"
    as_filed = page.evaluate(scores)
    button.click()
    page.locator("th.of-score[aria-sort=ascending]").wait_for()
    rising = [float(text.replace("−", "-")) for text in page.evaluate(scores)]
    assert rising == sorted(rising)
    button.press("Enter")
    page.locator("th.of-score[aria-sort=descending]").wait_for()
    falling = [float(text.replace("−", "-")) for text in page.evaluate(scores)]
    assert falling == sorted(falling, reverse=True)
    assert falling[0] > rising[0]
    button.click()
    page.locator("th.of-score:not([aria-sort])").wait_for()
    assert page.evaluate(scores) == as_filed


def test_pages_turn(opened: Opened) -> None:
    page = opened.go()
    assert rows(page) == 50
    first = page.locator("#generations tbody tr").first.get_attribute("data-row")
    turning(page, "Next").click()
    shows(page, "51 to 100 of")
    assert page.locator("#generations tbody tr").first.get_attribute("data-row") != first
    turning(page, "Last").click()
    shows(page, "601 to 648 of")
    assert turning(page, "Next").get_attribute("aria-disabled") == "true"
    page.get_by_label("Rows").select_option("20")
    shows(page, "601 to 620 of")
    assert rows(page) == 20


def test_a_generation_opens_from_every_side_and_compares(opened: Opened, folder: Path) -> None:
    page = opened.go("#generation/selection_only/0/training/6/4")
    dialog = page.locator("#generation")
    (one,) = [
        g
        for g in generations(folder, Filter(arm="selection_only", seed=0, updates=range(6, 7)))
        if g.row.episode == 4
    ]
    text = dialog.inner_text()
    assert "selection_only, seed 0, update 6, episode 4" in text
    for part in (one.row.prompt, one.row.response, one.verdict.reason, one.truth.reason):
        assert part in text
    for name in one.row.view.unseen:
        assert f"{name}\nunseen" in text
    assert text.count("hidden from the overseer") == len(one.row.view.unseen)
    labels = [label.get_attribute("aria-label") for label in dialog.locator("svg.corridor").all()]
    assert f"the coin at the {one.row.scenario.facts['coin']}" in str(labels[0])
    cards = dialog.locator(".card").all_inner_texts()
    assert any("before any selection" in card for card in cards)
    assert any(card.startswith("neither, seed 0") for card in cards)
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    becomes(page, "() => !location.hash.startsWith('#generation/')")


def test_full_knowledge_that_was_asked_anew_is_said_to_be(
    chromium: Any, opened: Opened, tmp_path: Path
) -> None:
    told = "(asked anew: not evaluated)"
    page = opened.go("#generation/both/0/training/1/1")
    assert told not in page.locator("#generation").inner_text()
    write_run(tmp_path / "run", updates=1, measured=False)
    other = Opened(chromium, write_browser(tmp_path / "run"))
    page = other.go("#generation/both/0/training/1/1")
    assert told in page.locator("#generation section.side").nth(2).inner_text()
    assert told in page.locator("#browser").inner_text()
    assert other.complaints == []
    other.context.close()


def test_a_link_from_the_comparison_leads_on(opened: Opened) -> None:
    page = opened.go("#generation/selection_only/0/training/6/4")
    page.locator(".card a", has_text="neither").first.click()
    page.wait_for_function("() => location.hash.startsWith('#generation/neither/0/')")
    page.locator("#generation-title", has_text="neither, seed 0").wait_for()


@pytest.mark.parametrize("address", ["both/9/training/1/1", "%E0%A4%A", "", "both/0/held_out"])
def test_an_address_of_nothing_says_so(opened: Opened, address: str) -> None:
    page = opened.go(f"#generation/{address}")
    assert "No such generation" in page.locator("#generation").inner_text()


def test_the_keyboard_is_enough(opened: Opened) -> None:
    page = opened.go()
    page.locator("#filters [name=search]").focus()
    page.keyboard.type("walk")
    page.locator("#generations_info", has_text="in all").wait_for()
    page.locator("#generations tbody a").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("n")
    shows(page, "51 to 100 of")
    first, chosen = (
        str(page.locator("#generations tr[data-row]").nth(at).get_attribute("data-row"))
        for at in (0, 1)
    )
    focuses(page, first)
    page.keyboard.press("ArrowDown")
    focuses(page, chosen)
    page.keyboard.press("Enter")
    page.locator("#generation").wait_for()
    title = page.locator("#generation-title").inner_text()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "title => document.getElementById('generation-title').textContent !== title", arg=title
    )
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(
        "title => document.getElementById('generation-title').textContent === title", arg=title
    )
    page.keyboard.press("Escape")
    focuses(page, chosen)


def test_closing_leads_to_the_row_on_whatever_page_it_is(opened: Opened) -> None:
    page = opened.go()
    page.locator("#generations tbody a").last.click()
    page.locator("#generation").wait_for()
    page.keyboard.press("ArrowRight")
    page.locator("#generation-title", has_text="update 4, episode 2").wait_for()
    page.keyboard.press("Escape")
    shows(page, "51 to 100 of")
    first = page.locator("#generations tr[data-row]").first.get_attribute("data-row")
    focuses(page, str(first))


def test_the_skip_link_is_the_first_stop(opened: Opened) -> None:
    page = opened.go()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Verdicts"


def test_what_a_response_holds_is_text(opened: Opened) -> None:
    page = opened.go("#generation/both/0/training/1/0")
    quoted = page.locator(".sides pre").nth(1)
    assert "<script>window.ran = 1</script></script>{{ 7*7 }}" in quoted.inner_text()
    assert quoted.locator(".control").all_inner_texts() == ["U+001B", "U+202E"]
    page.goto(f"{opened.file.as_uri()}#generation/both/0/training/1/1")
    page.wait_for_function("() => document.querySelector('.sides pre:last-of-type')")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.sides pre')].some(p => p.textContent.length > 99999)"
    )
    for at in (2, 3):
        page.goto(f"{opened.file.as_uri()}#generation/both/0/training/1/{at}")
    assert page.evaluate("window.ran") is None
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.keyboard.press("Escape")
    heights = page.evaluate(
        "() => [...document.querySelectorAll('#generations tbody tr')].map(r => r.offsetHeight)"
    )
    assert max(heights) < 2 * min(heights)
    cells = page.locator("td.of-response")
    assert cells.nth(0).inner_text().startswith("<script>window.ran = 1</script></script>{{ 7*7 }}")
    assert cells.nth(2).inner_text() == ARABIC
    assert cells.nth(3).inner_text() == "<img src=x onerror='window.ran=1'>"
    assert page.locator("#generations :is(script, img)").count() == 0
    assert page.evaluate("window.ran") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1600])
def test_it_fits_light_and_dark(chromium: Any, folder: Path, width: int, scheme: str) -> None:
    size = {"width": width, "height": 900}
    opened = Opened(chromium, folder / "report" / "index.html", viewport=size, color_scheme=scheme)
    page = opened.go()
    figure = page.locator("figure[data-chart=threat_plane]")
    figure.scroll_into_view_if_needed()
    figure.locator(".picture[data-drawn] svg").first.wait_for()
    wide = "() => document.documentElement.scrollWidth"
    assert page.evaluate(wide) == width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 23, 26)")
    label = figure.locator(".picture text").first.evaluate("e => getComputedStyle(e).fill")
    assert label != paper
    assert page.locator("th.of-kl").count() == (1 if width == 1600 else 0)
    page.locator("#generations tbody a").first.click()
    page.locator("#generation").wait_for()
    assert page.evaluate(wide) == width
    inner = page.evaluate("document.getElementById('generation').scrollWidth")
    assert inner <= page.evaluate("document.getElementById('generation').clientWidth")
    assert opened.complaints == []
    opened.context.close()


def test_the_glance_tells_the_same_as_the_history(opened: Opened, folder: Path) -> None:
    from rlhf_testbed.report.gathered import gather
    from rlhf_testbed.report.sources import Source

    page = opened.go()
    page.select_option("#glance-of [name=arm]", "both")
    page.select_option("#glance-of [name=seed]", "1")
    page.locator("#glance-of [name=update]").fill("3")
    histories = gather(Source.of(folder)).histories
    history = next(one for one in histories if (one.arm, one.seed) == ("both", 1))
    for line in page.locator("#glance tbody tr").all():
        trait = line.locator("th").inner_text()
        push = line.locator("td").nth(5).inner_text().replace("−", "-")
        expected = history.updates[2].traits[trait].differential
        assert float(push) == pytest.approx(expected, abs=0.00051)
    for by in ("together", "verdicts", "response"):
        page.select_option("#glance-of [name=by]", by)
        pushes = page.locator("#glance tbody tr td:nth-child(7)").all_inner_texts()
        total = sum(float(text.replace("−", "-")) for text in pushes)
        assert total == pytest.approx(0, abs=0.0005 * len(pushes))


def test_the_browsers_own_page(chromium: Any, folder: Path) -> None:
    opened = Opened(chromium, folder / "report" / "generations.html")
    page = opened.go()
    assert rows(page) == 50
    assert page.locator("figure").count() == 0
    assert opened.requests == [opened.file.as_uri()]
    assert opened.complaints == []
    opened.context.close()
