"""The page as it is shown, printed and taken whole: heading, dots, folds, drawings, edges, paper.

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
from rlhf_testbed.report.headline import headline
from rlhf_testbed.report.page import write_report
from rlhf_testbed.store.generations import Filter, found
from rlhf_testbed.store.run_directory import STAGES
from rlhf_testbed.store.runs_table import read_results
from scripted_runs import write_experiment, write_results

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if not Path(CHROMIUM).exists():
    pytest.skip(f"no browser at {CHROMIUM} (Debian: chromium)", allow_module_level=True)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
DOTS = "figure[data-chart=threat_plane] .picture [role=button]"
OUT_OF_SIGHT = "() => [...document.querySelectorAll('.picture')].every(p => p.dataset.drawn)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a small experiment."""
    path = write_experiment(
        tmp_path_factory.mktemp("runs") / "x",
        arms=("neither", "selection_only", "both"),
        updates=3,
        episodes=8,
    )
    write_results(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "save", lambda figure, folder: [])
        write_report(path)
    return path


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with launched() as browser:
        yield browser


@pytest.fixture
def opened(chromium: Any, folder: Path) -> Iterator[Opened]:
    one = Opened(chromium, folder / "report" / "index.html")
    yield one
    assert one.complaints == []
    one.context.close()


def plane(page: Any) -> Any:
    """The dots of the threat plane, once they can be operated."""
    page.locator(DOTS).first.wait_for()
    return page.locator(DOTS)


def filters(page: Any) -> dict[str, str]:
    """The filters that are set."""
    chosen: dict[str, str] = page.evaluate(
        "() => Object.fromEntries([...new FormData(document.getElementById('filters'))]"
        ".filter(([, value]) => value !== ''))"
    )
    return chosen


def test_the_finding_is_the_heading(opened: Opened, folder: Path) -> None:
    assert opened.go().locator("h1").inner_text() == headline(read_results(folder))


def test_a_click_on_a_dot_opens_the_generations_of_its_run(opened: Opened, folder: Path) -> None:
    page = opened.go()
    page.fill("#filters [name=search]", "no such word")
    dot = plane(page).and_(page.get_by_label("both, seed 1:"))
    dot.dispatch_event("click")
    assert filters(page) == {"arm": "both", "seed": "1"}
    await_count(page, every(folder, Filter(arm="both", seed=1)))
    assert page.locator("#chosen").inner_text() == "Chosen in the threat plane: both, seed 1."
    assert page.evaluate("document.activeElement.closest('#generations') !== null")
    becomes(page, "() => document.getElementById('browser').getBoundingClientRect().top < 100")
    page.select_option("#filters [name=arm]", "")
    becomes(page, "() => document.getElementById('chosen').textContent === ''")


def every(folder: Path, wanted: Filter) -> int:
    """How many generations of all stages there are."""
    return sum(len(list(found(folder, wanted, stage))) for stage in STAGES)


def test_the_keyboard_opens_an_arms_generations(opened: Opened, folder: Path) -> None:
    page = opened.go()
    assert "press Enter" in page.locator("figure[data-chart=threat_plane] .hint").inner_text()
    dots = plane(page)
    assert dots.count() == 3 + 6
    page.locator(f"{DOTS}[tabindex='0']").focus()  # strict: there is one
    for key in ("ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    label = str(page.evaluate("document.activeElement.getAttribute('aria-label')"))
    arm, _, rest = label.partition(", all seeds: threat 1 0.")
    assert rest[2:].startswith(", threat 2 ")
    page.keyboard.press("Enter")
    assert filters(page) == {"arm": arm}
    await_count(page, every(folder, Filter(arm=arm)))


def test_of_several_base_policies_a_dot_finds_its_own(chromium: Any, folder: Path) -> None:
    opened = Opened(chromium, folder / "report" / "index.html")
    page = opened.go()
    names = page.evaluate(
        """() => {
          const runs = [0, 1].flatMap((base) => [0, 1].map((seed) =>
            ({ arm: base ? "both, base policy 1" : "both", of: "both", base, seed, anew: false })));
          const store = Object.assign(Object.create(testbed.Store.prototype), { runs });
          return [store.wholeArms(), store.nameOf("both", 1), store.nameOf("both", 0),
                  store.nameOf("both", null), store.nameOf("both", 2), store.nameOf("habit", null)];
        }"""
    )
    whole = "both, every base policy"
    assert names == [[whole], "both, base policy 1", "both", whole, None, None]
    opened.context.close()


def test_what_shows_nothing_is_folded_and_counted(opened: Opened, folder: Path) -> None:
    page = opened.go()
    verdicts = [one.decision.verdict for one in read_results(folder).contrasts]
    undecided = verdicts.count("undecided")
    fold = page.locator("#arms details.fold").first
    assert 0 < undecided < len(verdicts)
    words = "contrast of which" if undecided == 1 else "contrasts of which"
    assert fold.locator("summary").inner_text() == f"{undecided} {words} nothing is shown"
    assert not fold.locator("tbody").is_visible()
    fold.locator("summary").click()
    assert fold.locator("tbody tr").count() == undecided
    assert set(fold.locator(".tag").all_inner_texts()) == {"undecided"}
    inflation = page.locator("details.fold", has_text="deceptive inflation")
    assert inflation.locator("tbody td:nth-child(5)").all_text_contents() == ["not shown"] * 5


def test_a_kind_that_was_not_pushed_is_folded(opened: Opened) -> None:
    page = opened.go()
    page.select_option("#glance-of [name=by]", "trait")
    for arm in ("both", "neither"):
        page.select_option("#glance-of [name=arm]", arm)
        lines = page.locator("#glance tbody td:nth-child(7)").all_inner_texts()
        folded = page.locator("#glance-rest li").count()
        assert "0.000" not in lines
        assert len(lines) + folded == 4


@pytest.mark.parametrize("width", [400, 1400])
def test_the_task_is_drawn_by_example(chromium: Any, folder: Path, width: int) -> None:
    size = {"width": width, "height": 900}
    opened = Opened(chromium, folder / "report" / "index.html", viewport=size)
    page = opened.go()
    examples = page.locator(".example")
    headings = ["In training", "Held out", "Off the training distribution"]
    assert examples.locator("h3").all_inner_texts() == headings
    for at in range(3):
        labels = [
            svg.get_attribute("aria-label")
            for svg in examples.nth(at).locator("svg.corridor").all()
        ]
        assert len(labels) == 2
        assert str(labels[0]).startswith("Corridor, the coin at the ")
        assert "unseen" not in str(labels[0])
        assert "unseen" in str(labels[1])
    assert opened.complaints == []
    opened.context.close()


def test_a_task_without_a_drawing_shows_its_facts(opened: Opened) -> None:
    page = opened.go()
    label = page.evaluate(
        """() => testbed.drawFacts({ facts: { pump: "sound", valve: "faulty" }, unseen: ["valve"] })
          .getAttribute("aria-label")"""
    )
    assert label == "The facts: pump: sound; valve: faulty (out of the overseer's sight)."
    many = page.evaluate(
        """() => {
          const named = Array.from({ length: 30 }, (_, at) => [`fact ${at}`, at]);
          const facts = Object.fromEntries(named);
          return testbed.drawFacts({ facts, unseen: ["fact 29"] }).getAttribute("aria-label");
        }"""
    )
    assert "fact 29: 29 (out of the overseer's sight); and 16 more." in many


def test_a_table_that_is_cut_shows_that_it_goes_on(chromium: Any, folder: Path) -> None:
    size = {"width": 400, "height": 900}
    opened = Opened(chromium, folder / "report" / "index.html", viewport=size)
    page = opened.go()
    wider = page.evaluate(
        """() => [...document.querySelectorAll(".scrolls, .dt-layout-table")]
          .filter((part) => part.scrollWidth > part.clientWidth)
          .map((part) => getComputedStyle(part).backgroundAttachment)"""
    )
    assert len(wider) >= 3
    assert set(wider) == {"local, local, scroll, scroll"}
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    opened.context.close()


def test_nothing_is_blank_that_was_never_scrolled_to(opened: Opened) -> None:
    page = opened.go()
    becomes(page, OUT_OF_SIGHT)
    assert page.evaluate("scrollY") == 0
    assert page.locator(".picture svg").count() == page.locator("figure[data-chart]").count() == 7


def test_on_paper_what_is_folded_is_open(opened: Opened) -> None:
    page = opened.go()
    becomes(page, OUT_OF_SIGHT)
    folded = page.locator("details:not([open])").count()
    assert folded > 3
    during = page.evaluate(
        """() => new Promise((told) => {
          addEventListener("beforeprint", () =>
            told(document.querySelectorAll("details:not([open])").length), { once: true });
          dispatchEvent(new Event("beforeprint"));
        })"""
    )
    assert during == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count() == folded


def test_paper_is_as_wide_as_all_tables(chromium: Any, folder: Path) -> None:
    """A4 with margins is 718 px wide."""
    size = {"width": 718, "height": 1000}
    opened = Opened(chromium, folder / "report" / "index.html", viewport=size)
    page = opened.go()
    page.emulate_media(media="print")
    page.evaluate("testbed.openFolds()")
    wide = page.evaluate(
        """() => [...document.querySelectorAll("table, figure, pre")]
          .filter((part) => part.getBoundingClientRect().right > innerWidth)
          .map((part) => part.outerHTML.slice(0, 80))"""
    )
    assert wide == []
    assert opened.complaints == []
    opened.context.close()


def test_what_is_dark_on_the_screen_is_light_on_paper(chromium: Any, folder: Path) -> None:
    opened = Opened(chromium, folder / "report" / "index.html", color_scheme="dark")
    page = opened.go()
    becomes(page, OUT_OF_SIGHT)
    inks = """() => [...new Set([...document.querySelectorAll(".picture svg *")].flatMap((part) =>
      [getComputedStyle(part).fill, getComputedStyle(part).stroke]))]"""
    light, dark = (
        {"rgb(29, 33, 37)", "rgb(0, 114, 178)"},
        {"rgb(228, 231, 234)", "rgb(61, 148, 214)"},
    )
    on_screen = page.evaluate(inks)
    assert dark <= set(on_screen)
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    on_paper = page.evaluate(inks)
    assert light <= set(on_paper)
    assert not dark & set(on_paper)
    page.emulate_media(media="screen", color_scheme="dark")
    assert page.evaluate(inks) == on_screen
    opened.context.close()
