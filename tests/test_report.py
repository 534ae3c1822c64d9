"""The report's page and its pictures, and what it says of what is missing."""

from __future__ import annotations

import base64
import csv
import html
import json
import re
import shutil
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from rlhf_testbed.cli import main
from rlhf_testbed.report import figures
from rlhf_testbed.report.page import in_script, write_browser, write_report
from rlhf_testbed.report.sources import Source
from rlhf_testbed.shared.errors import UsageError
from scripted_runs import write_experiment, write_results, write_run

pytestmark = pytest.mark.timeout(900)
EVIL = "<script>alert(1)</script></script>{{ 7*7 }}\x1b[31m\u202eright"


class Page(HTMLParser):
    """What a page says, and what its script elements hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.words: list[str] = []
        self.links: list[str] = []
        self.inside: dict[str, str | None] | None = None
        self.source = text
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.inside = found if tag in ("script", "style") else None
        self.links += [found[name] or "" for name in ("src", "href", "action") if name in found]

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self.inside = None

    def handle_data(self, data: str) -> None:
        if self.inside is None:
            self.words.append(data)
        else:
            self.scripts.append((self.inside, data))

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


def unpacked(page: Page) -> dict[str, Any]:
    """The head of a page's generations."""
    packed = next(text for attributes, text in page.scripts if attributes.get("id") == "packed")
    raw = zlib.decompress(base64.b64decode(packed), wbits=-zlib.MAX_WBITS)
    length = int.from_bytes(raw[:4], "little")
    return dict(json.loads(raw[4 : 4 + length]))


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_experiment(
        tmp_path_factory.mktemp("runs") / "x",
        arms=("neither", "both", "habit"),
        responses={0: EVIL, 1: "x" * 100_000, 2: ""},
    )
    write_results(folder)
    return folder


@pytest.fixture(scope="module")
def page(experiment: Path) -> Page:
    return Page(write_report(experiment).read_text(encoding="utf-8"))


def test_the_head_says_what_was_asked_and_found(page: Page) -> None:
    assert "6 runs: 3 arms, seeds 0, 1" in page.text
    assert "All 2 passed" in page.text
    assert "Selection made approved but unwanted responses more common, most in both" in page.text
    assert "from 0.20 in the base policy to 0.91" in page.text
    assert "habit, threat 1: never exposed." in page.text
    assert "ppo on 32 episodes a run, scored by the training overseer alone" in page.text
    assert "rlhf-testbed experiment configs/x.yaml --seeds 0-1" in page.text
    assert "commit0123456789abcdef" in page.text  # a term, and what it is
    assert "asked anew" not in page.text
    assert "What is missing here" not in page.text


def test_every_section_with_data_has_its_pictures_beside_the_page(
    experiment: Path, page: Page
) -> None:
    names = {file.name for file in (experiment / "report").iterdir()}
    for figure in (
        "threat_plane",
        "threats_through_training",
        "threat_1_in_training",
        "approval",
        "selection_differential",
        "response_to_selection",
        "proxy_and_gold",
    ):
        assert {f"{figure}.svg", f"{figure}.png", f"{figure}.csv"} <= names
    assert "measures.csv" in names


def test_the_csv_holds_what_is_drawn(experiment: Path, page: Page) -> None:
    specs = [json.loads(t) for a, t in page.scripts if a.get("type") == "application/json"]
    assert len(specs) == 7
    for spec in specs:
        drawn = spec["datasets"]["drawn"]
        assert '"data": {"values"' not in json.dumps(spec)
        names = [c.name for c in (experiment / "report").glob("*.csv") if _same(c, drawn)]
        assert len(names) == 1


def _same(file: Path, drawn: list[dict[str, Any]]) -> bool:
    """Whether a CSV's cells are those of the rows."""
    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    return len(rows) == len(drawn) and all(
        cell == ("" if one.get(name) is None else str(one[name]))
        for row, one in zip(rows, drawn, strict=True)
        for name, cell in row.items()
    )


def test_nothing_is_asked_for_from_elsewhere(page: Page) -> None:
    local = {link for link in page.links if not link.startswith(("#", "data:"))}
    assert all(re.fullmatch(r"\w+\.(svg|png|csv)", link) for link in local)
    (policy,) = re.findall(r"default-src 'none'; script-src[^\"]*", html.unescape(page.source))
    assert "'unsafe-inline'" not in policy.split(";")[1]


def test_a_response_stays_text(page: Page) -> None:
    running = [t for a, t in page.scripts if a.get("type") is None and "id" not in a]
    assert not any("alert(1)" in text for text in running)
    assert "alert(1)" not in page.text
    head = unpacked(page)
    assert EVIL in head["texts"]["response"]
    assert "x" * 100_000 in head["texts"]["response"]


@pytest.mark.parametrize("text", ["</script>", "<!--<script>", "a&b", "\u2028", "{{ x }}"])
def test_json_in_a_script_element_cannot_end_it(text: str) -> None:
    found = in_script({"a": text})
    assert json.loads(found) == {"a": text}
    assert not re.search(r"[<>&\u2028\u2029]", found)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out PNG and SVG, which take most of a report's time."""
    monkeypatch.setattr(figures, "save", lambda figure, folder: [])


@pytest.mark.usefixtures("undrawn")
def test_names_from_files_are_escaped(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "x", arms=("both",), updates=1)
    write_results(folder)
    results = json.loads((folder / "results.json").read_text())
    results["gates"][0]["detail"] = "<img src=x onerror=alert(1)>"
    (folder / "results.json").write_text(json.dumps(results))
    text = write_report(folder).read_text(encoding="utf-8")
    assert "<img src=x" not in text
    assert "&lt;img src=x" in text


@pytest.mark.usefixtures("undrawn")
def test_a_failed_gate_stands_before_the_verdicts(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "x", arms=("both",), updates=1)
    write_results(folder, failing="panel")
    text = Page(write_report(folder).read_text(encoding="utf-8")).text
    assert 0 < text.index("Not passed: panel.") < text.index("Threat 1: selecting")
    assert "neither of these can be called deception" in text


@pytest.mark.usefixtures("undrawn")
def test_what_an_option_of_the_task_did_is_told_as_of_a_dial(tmp_path: Path) -> None:
    """A page about doses of an option had no symbol for it, and was not written."""
    folder = write_experiment(tmp_path / "x", arms=("neither", "selection_only"), updates=1)
    write_results(folder)
    results = json.loads((folder / "results.json").read_text())
    assert results["contrasts"]
    for contrast in results["contrasts"]:
        contrast["dial"] = "liars_in_sight"
    (folder / "results.json").write_text(json.dumps(results))
    text = Page(write_report(folder).read_text(encoding="utf-8")).text
    assert "liars in sight: " in text
    assert "liars in sight 1 → 0" in " ".join(text.split())


@pytest.mark.usefixtures("undrawn")
def test_a_single_run_has_a_report(tmp_path: Path) -> None:
    write_run(tmp_path / "run", "both", 3)
    text = Page(write_report(tmp_path / "run").read_text(encoding="utf-8")).text
    assert "one run: both, seed 3" in text
    assert "No gates were decided here" in text
    assert "one seed: undecided" in text


@pytest.mark.usefixtures("undrawn")
def test_what_is_missing_is_said_and_how_to_get_it(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "x", arms=("both",))
    shutil.rmtree(folder / "both" / "seed-0" / "evaluation")
    (folder / "both" / "seed-1" / "finished.json").unlink()
    text = Page(write_report(folder).read_text(encoding="utf-8")).text
    assert "results.json is not there: the experiment has not finished; 0 of the 2 runs" in text
    assert f"To get it: rlhf-testbed evaluate {folder}/both/seed-0" in text
    assert "seed-1: training has not finished here (no finished.json)" in text
    assert "No run has been measured." in text
    assert "Not judged: nothing is measured yet." in text
    # The ledgers are whole, so what they alone tell is there.
    assert "Threat 1 in the episodes of training" in text


@pytest.mark.usefixtures("undrawn")
def test_through_training_is_left_out_where_it_was_not_filed(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    for name in ("checkpoints", "proxy_and_gold"):
        (tmp_path / "run/evaluation/full_knowledge" / f"{name}.json").unlink()
    text = Page(write_report(tmp_path / "run").read_text(encoding="utf-8")).text
    assert "checkpoints.json: No such file" in text
    assert "Both threats through training" not in text
    assert "Proxy and gold against" not in text


@pytest.mark.usefixtures("undrawn")
def test_a_damaged_ledger_is_left_out_whole(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "x", arms=("both",))
    file = folder / "both" / "seed-0" / "ledger" / "00002.parquet"
    file.write_bytes(file.read_bytes()[:100])
    page = Page(write_report(folder).read_text(encoding="utf-8"))
    assert "00002.parquet: damaged ledger" in page.text
    assert unpacked(page)["runs"] == [
        {"arm": "both", "of": "both", "base": 0, "seed": 1, "anew": False}
    ]


@pytest.mark.usefixtures("undrawn")
def test_an_older_ledger_is_named(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    write_run(tmp_path / "run", measured=False)
    file = tmp_path / "run/ledger/00001.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["view"]), file)
    page = Page(write_report(tmp_path / "run").read_text(encoding="utf-8"))
    assert "columns view are missing or not known" in page.text
    assert "There are none that can be read." in page.text


def test_an_empty_ledger_is_named(tmp_path: Path) -> None:
    write_run(tmp_path / "run", measured=False)
    shutil.rmtree(tmp_path / "run/ledger")
    assert "no generations here" in Page(write_browser(tmp_path / "run").read_text()).text


@pytest.mark.usefixtures("undrawn")
def test_a_damaged_record_is_no_figure(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    (tmp_path / "run/evaluation/full_knowledge/measures.json").write_text("{")
    text = Page(write_report(tmp_path / "run").read_text(encoding="utf-8")).text
    assert "measures.json: damaged" in text
    assert "No run has been measured." in text


@pytest.mark.usefixtures("undrawn")
def test_a_run_that_the_results_tell_of_and_that_is_gone_is_named(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "x", arms=("both",))
    write_results(folder)
    shutil.rmtree(folder / "both" / "seed-1")
    text = Page(write_report(folder).read_text(encoding="utf-8")).text
    assert "results.json tells of both, seed 1, which is not here" in text


@pytest.mark.usefixtures("undrawn")
def test_no_run_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such run or experiment"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="neither a run"):
        write_browser(tmp_path)


@pytest.mark.usefixtures("undrawn")
def test_full_knowledge_that_was_asked_anew_is_said_to_be(tmp_path: Path) -> None:
    write_run(tmp_path / "run", updates=1, measured=False)
    page = Page(write_report(tmp_path / "run").read_text(encoding="utf-8"))
    assert "Full knowledge was asked for this page alone (asked anew: not evaluated)" in page.text
    assert unpacked(page)["runs"] == [
        {"arm": "both", "of": "both", "base": 0, "seed": 0, "anew": True}
    ]


def test_of_several_runs_it_says_in_how_many(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "x", arms=("both",), updates=1)
    shutil.rmtree(folder / "both" / "seed-0" / "evaluation")
    page = Page(write_browser(folder).read_text(encoding="utf-8"))
    assert "In 1 of the 2 runs, full knowledge was asked for this page alone" in page.text
    assert [run["anew"] for run in unpacked(page)["runs"]] == [True, False]


def test_a_command_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "a b", arms=("both",), seeds=(0,), updates=1)
    shutil.rmtree(folder / "both" / "seed-0" / "evaluation")
    commands = [lack.command for lack in Source.of(folder).missing]
    assert f"rlhf-testbed evaluate '{folder}/both/seed-0'" in commands


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("words", "name"), [(["report"], "index.html"), (["inspect", "--web"], "generations.html")]
)
def test_the_commands_print_where_the_page_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    name: str,
) -> None:
    write_run(tmp_path / "run", updates=1)
    monkeypatch.setattr(sys, "argv", ["rlhf-testbed", *words, str(tmp_path / "run")])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    said = capsys.readouterr()
    page = Path(said.out.strip())
    assert page == tmp_path / "run" / "report" / name
    assert page.is_file()
    assert said.err.startswith("No gates were decided") == (name == "index.html")
