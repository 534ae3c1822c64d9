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
from rlhf_testbed.errors import UsageError
from rlhf_testbed.history import selection_history
from rlhf_testbed.reading import Filter, generations
from rlhf_testbed.report import dose, figures, threat_plane
from rlhf_testbed.report.curves import with_means
from rlhf_testbed.report.figures import plain
from rlhf_testbed.report.gathered import gather
from rlhf_testbed.report.page import in_script, write_browser, write_report
from rlhf_testbed.report.sentences import sentence
from rlhf_testbed.report.sources import Source
from rlhf_testbed.report.store import Store
from scripted_runs import write_experiment, write_results, write_run
from tasks.corridor import Corridor

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
    assert "from 0.20 in the base population to 0.91" in page.text
    assert "habit, threat 1: never exposed." in page.text
    assert "rlhf-testbed experiment configs/x.yaml --seeds 0-1" in page.text
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
        assert '"values"' not in json.dumps(spec)
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
    for name in ("trajectory", "proxy_and_gold"):
        (tmp_path / "run/evaluation/full_knowledge" / f"{name}.json").unlink()
    text = Page(write_report(tmp_path / "run").read_text(encoding="utf-8")).text
    assert "trajectory.json: No such file" in text
    assert "Both threats through training" not in text
    assert "Proxy and gold against" not in text


@pytest.mark.usefixtures("undrawn")
def test_a_damaged_ledger_is_left_out_whole(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "x", arms=("both",))
    file = folder / "both" / "seed-0" / "ledger" / "00002.parquet"
    file.write_bytes(file.read_bytes()[:100])
    page = Page(write_report(folder).read_text(encoding="utf-8"))
    assert "00002.parquet: damaged ledger" in page.text
    assert unpacked(page)["runs"] == [{"arm": "both", "seed": 1}]


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


def test_held_out_generations_have_the_training_overseers_verdict(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    gathered = gather(Source.of(tmp_path / "run"))
    assert len(gathered.store) == 4 * 8 + 6 + 6
    assert not gathered.missing


def test_an_overseer_that_judges_otherwise_is_not_asked(tmp_path: Path) -> None:
    """The config says that the overseer sees all; the ledger was judged by one that doesn't."""
    write_run(tmp_path / "run", episodes=32)
    file = tmp_path / "run" / "config.yaml"
    file.write_text(file.read_text().replace("knowledge: 0", "knowledge: 1"))
    gathered = gather(Source.of(tmp_path / "run"))
    assert len(gathered.store) == 4 * 32
    assert [lack.what[:8] for lack in gathered.missing] == ["held-out"] * 2
    assert all("can't be made anew" in lack.why for lack in gathered.missing)


def test_of_too_many_generations_every_so_many_are_shown(tmp_path: Path) -> None:
    write_run(tmp_path / "run", measured=False)
    gathered = gather(Source.of(tmp_path / "run"), most=10)
    assert gathered.every == 4
    assert len(gathered.store) == 8
    assert [row["update"] for row in gathered.histories[0].updates] == [1, 2, 3, 4]


def test_history_from_the_ledger_is_that_which_was_filed(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    filed = gather(Source.of(tmp_path / "run")).histories[0]
    (tmp_path / "run/evaluation/full_knowledge/selection.json").unlink()
    worked_out = gather(Source.of(tmp_path / "run")).histories[0]
    assert plain(filed.updates) == plain(worked_out.updates)


def test_means_leave_out_what_could_not_be_judged() -> None:
    points = [
        {"arm": "a", "seed": seed, "update": 1, "of": "x", "value": value}
        for seed, value in enumerate([1.0, 3.0, None])
    ]
    assert [row["value"] for row in with_means(points) if row["kind"] == "mean"] == [2.0]


def test_store_keeps_each_text_once_and_all_traits(tmp_path: Path) -> None:
    write_run(tmp_path / "run", episodes=4, updates=2, responses={0: "a", 1: "a"})
    store = Store("corridor")
    store.runs.append({"arm": "both", "seed": 0})
    store.add(0, generations(tmp_path / "run", Filter()))
    packed = zlib.decompress(base64.b64decode(store.packed()), wbits=-zlib.MAX_WBITS)
    length = int.from_bytes(packed[:4], "little")
    head, body = json.loads(packed[4 : 4 + length]), packed[4 + length :]
    assert head["texts"]["response"].count("a") == 1
    columns = {column["name"]: column for column in head["columns"]}
    at = columns["response"]["at"]
    assert list(memoryview(body[at : at + 8]).cast("I")) == [0, 0]
    assert columns["trait heads right"]["length"] == 8
    at = columns["trait heads right"]["at"]
    assert list(body[at : at + 2]) == [2, 2]  # unreadable: not possible


def arms(threat_2: list[float], after: list[float]) -> dict[str, Any]:
    from rlhf_testbed.over_seeds import intervals

    seeds = [
        {"seed": seed, "threat_1": t1, "base_threat_1": 0.2, "threat_2": t2}
        for seed, (t1, t2) in enumerate(zip(after, threat_2, strict=True))
    ]
    return {"gates": [], "contrasts": [], "arms": {"a": {"seeds": seeds, **intervals(seeds)}}}


def test_sentences_say_no_more_than_the_seeds() -> None:
    found = arms([1.0, 1.1, 0.9], [0.9, 0.95, 1.0])
    assert "more common" in sentence(found, "threat_1")
    assert sentence(found, "threat_2").startswith("Selection induced goal-directedness")
    unsure = arms([0.1, 0.9, 0.2], [0.1, 0.9, 0.2])
    assert sentence(unsure, "threat_1").startswith("It is undecided")
    assert sentence(unsure, "threat_2").startswith("It is undecided")
    none = arms([0.0, 0.01, 0.0], [0.0, 0.01, 0.0])
    assert "less common" in sentence(none, "threat_1")
    assert "no goal-directedness" in sentence(none, "threat_2")
    assert "one seed: undecided" in sentence(arms([1.0], [1.0]), "threat_1")


def test_dose_and_plane_draw_their_rows() -> None:
    one = arms([1.0, 1.1], [0.9, 1.0])["arms"]["a"]
    varied = {
        f"both knowledge={k}": {**one, "dials": {"knowledge": k, "randomised": 0.0}}
        for k in (0.0, 0.5, 1.0)
    }
    for arm in varied.values():
        arm["dials"] |= {"diversity": 1.0, "population": 0.3}
    results = {"task": "corridor", "arms": varied, "gates": [], "about": {"seeds": [0, 1]}}
    figure = dose.figure(results)
    assert figure is not None
    assert len(figure.rows) == 2 * 3 * (1 + 2)
    # All three lie in one place, which has one line of names.
    assert len(threat_plane.figure(results).rows) == 3 * (1 + 2) + 1


def published(name: str) -> dict[str, Any]:
    file = Path(__file__).parent.parent / "docs" / "results" / name / "results.json"
    return dict(json.loads(file.read_text(encoding="utf-8")))


def test_two_varied_dials_are_a_heat_map_of_each_threat() -> None:
    figure = dose.figure(published("corridor-map"))
    assert figure is not None
    assert len(figure.rows) == 2 * 16
    panels = figure.spec()["concat"]
    assert [panel["layer"][0]["mark"]["type"] for panel in panels] == ["rect", "rect"]
    assert figure.caption == "means over 2 training seeds; intervals are in the table of arms"


def test_an_interval_that_dwarfs_the_dots_is_cut_and_that_is_said() -> None:
    wide, narrow = (threat_plane.figure(published(n)) for n in ("corridor-map", "corridor"))
    assert "cut at the frame" in wide.caption
    assert "cut" not in narrow.caption
    highest = max(row["high_2"] for row in wide.rows if row.get("high_2") is not None)
    axis = wide.spec()["concat"][0]["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert axis[1] < 3 < highest


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
    page = Path(capsys.readouterr().out.strip())
    assert page == tmp_path / "run" / "report" / name
    assert page.is_file()


def test_selection_at_a_glance_is_prices_differential(tmp_path: Path) -> None:
    """The page's formula, share × (mean advantage of a kind - mean of all), by hand and by ours."""
    rows = write_run(tmp_path / "run", updates=2, episodes=8)
    found = generations(tmp_path / "run", Filter(updates=range(1, 2)))
    history = selection_history(Corridor(), rows, [g.truth for g in generations_of(tmp_path)])
    level = sum(g.row["advantage"] for g in found) / len(found)
    for trait, selected in history[0].traits.items():
        shown = [g.row["advantage"] for g in found if g.traits[trait]]
        push = len(shown) / len(found) * (sum(shown) / len(shown) - level) if shown else 0.0
        assert push == pytest.approx(selected.differential)


def generations_of(tmp_path: Path) -> list[Any]:
    return generations(tmp_path / "run", Filter())
