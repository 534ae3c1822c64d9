"""Many runs: a table beside `results.json`, the same figures from both, and a report of some."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlhf_testbed.experiment.contrasts import contrasts
from rlhf_testbed.report import contents, page, run_record, sources, threat_plane
from rlhf_testbed.report.publish import publish, tables
from rlhf_testbed.report.run_record import drawn
from rlhf_testbed.report.sources import Source
from rlhf_testbed.settings.parsing import parse_seeds
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.record import read
from rlhf_testbed.store import runs_table
from rlhf_testbed.store.experiment_records import Results
from rlhf_testbed.store.run_columns import as_ranges
from rlhf_testbed.store.runs_table import TABLE, read_results, read_runs, tabled
from scripted_runs import write_experiment, write_results
from test_words import ROOT

PUBLISHED = sorted((ROOT / "docs/results").glob("*/results.json"))
BOUNDS = {"threat_1": 0.1, "threat_2": 0.3}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """An experiment whose results hold every run whole."""
    folder = write_experiment(
        tmp_path / "x", ("neither", "both", "habit"), (0, 1, 2), updates=1, episodes=2
    )
    write_results(folder)
    return folder


def in_table(results: Results) -> Results:
    """The same results as an experiment of many runs has them."""
    return results.model_copy(
        update={"arms": {name: tabled(arm) for name, arm in results.arms.items()}}
    )


def plainly(results: Results) -> Mapping[str, object]:
    """All but the runs themselves, as it is filed."""
    arms = {"arms": {"__all__": {"seeds", "tabled"}}}
    found: dict[str, object] = json.loads(results.model_dump_json(exclude=arms))
    return found


def columns(results: Results) -> dict[str, object]:
    """Each arm's runs with their figures, so that NaN equals NaN."""
    return {
        name: json.loads(json.dumps([arm.runs.named, list(arm.runs.rows())]).replace("NaN", "null"))
        for name, arm in results.arms.items()
    }


@pytest.mark.parametrize("file", PUBLISHED, ids=lambda file: file.parent.name)
def test_published_results_tell_the_same_from_a_table(file: Path, tmp_path: Path) -> None:
    """Older ones, which know of no table, stay readable; what is told stays the same."""
    whole = read_results(file.parent)
    runs_table.write_results(tmp_path, in_table(whole))
    filed = read(tmp_path / Results.file, Results)
    assert not any(arm.seeds for arm in filed.arms.values())
    again = read_results(tmp_path)
    assert plainly(again) == plainly(whole)
    assert columns(again) == columns(whole)
    assert tables(again) == tables(whole)
    made, anew = (contrasts(one.arms, whole.bounds) for one in (whole, again))
    assert [one.model_dump_json() for one in made] == [one.model_dump_json() for one in anew]
    assert threat_plane.figure(again).rows == threat_plane.figure(whole).rows


def test_published_results_are_found() -> None:
    assert len(PUBLISHED) > 10


def test_the_table_has_a_row_a_run_and_null_where_nothing_was_judged(small: Path) -> None:
    results = read_results(small)
    runs_table.write_results(small, results)
    rows = pq.read_table(small / TABLE).to_pylist()
    assert len(rows) == 9
    row = next(one for one in rows if (one["arm"], one["seed"]) == ("both", 2))
    assert (row["method"], row["base_seed"], row["knowledge"]) == ("ppo", 0, 0.0)
    assert (row["threat_1"], row["threat_2_by_goal"]) == (0.92, {"right_end": 1.0})
    assert {one["threat_1"] for one in rows if one["arm"] == "habit"} == {None}


def test_a_small_experiment_keeps_its_runs_in_the_results_and_needs_no_table(small: Path) -> None:
    results = read_results(small)
    runs_table.write_results(small, results)
    (small / TABLE).write_bytes(b"cut")
    assert columns(read_results(small)) == columns(results)
    assert len(read(small / Results.file, Results).arms["both"].seeds) == 3


@pytest.mark.parametrize("content", [None, b"", b"PAR1 cut"])
def test_a_missing_or_damaged_table_is_told_and_the_report_has_the_rest(
    small: Path, content: bytes | None
) -> None:
    whole = read_results(small)
    runs_table.write_results(small, in_table(whole))
    if content is None:
        (small / TABLE).unlink()
    else:
        (small / TABLE).write_bytes(content)
    says = "is not there" if content is None else "damaged: not a table of runs"
    with pytest.raises(UsageError, match=f"{TABLE}: {says}|{TABLE} {says}"):
        read_results(small)
    source = Source.of(small)
    assert any(TABLE in one.why for one in source.missing)
    assert source.results.arms["both"].runs.named == [(0, 0), (0, 1), (0, 2)]
    assert plainly(source.results) == plainly(whole)
    kinds = {row["kind"] for row in threat_plane.figure(source.results).rows if row["threat_2"]}
    assert kinds == {"mean"}


def test_a_table_without_its_columns_or_of_other_runs_is_refused(small: Path) -> None:
    whole = read_results(small)
    runs_table.write_results(small, in_table(whole))
    fewer = pq.read_table(small / TABLE).slice(1)
    pq.write_table(fewer, small / TABLE)
    with pytest.raises(UsageError, match="is not of the runs of both"):
        read_results(small)
    pq.write_table(pa.table({"arm": ["both"]}), small / TABLE)
    with pytest.raises(UsageError, match="damaged: not a table of runs"):
        read_runs(small / TABLE)


def test_what_is_published_of_many_runs_can_be_published_again(small: Path, tmp_path: Path) -> None:
    runs_table.write_results(small, in_table(read_results(small)))
    first = publish(small, tmp_path / "first").read_text()
    assert publish(tmp_path / "first", tmp_path / "again").read_text() == first
    runs_table.write_results(small, Source.of(small).results)
    assert (tmp_path / "again" / TABLE).is_file()


def test_the_report_of_many_runs_reads_some_and_shows_all(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs_table.write_results(small, in_table(read_results(small)))
    for module in (run_record, sources):
        monkeypatch.setattr(module, "CLOSE", 4)
    source = Source.of(small)
    assert [run.arm for run in source.runs] == ["both", "habit", "neither"]
    assert source.total == 9
    assert source.missing == ()
    assert contents.asked(source)["runs"] == "9 runs: 3 arms, seeds 0, 1, 2"
    assert len(contents.every_measure(source)) == 9
    dots = [row for row in threat_plane.figure(source.results).rows if row["kind"] == "seed"]
    assert len(dots) == 9
    text = page.write_report(small).read_text()
    assert text.count("Of 3 of the 9 runs, drawn at random from each arm") >= 2


def test_a_run_that_is_gone_is_missing_however_many_there_are(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (run_record, sources):
        monkeypatch.setattr(module, "CLOSE", 4)
    (small / "both" / "seed-1").rename(small.parent / "elsewhere")
    (lack,) = Source.of(small).missing
    assert "tells of both, seed 1, which is not here" in lack.why


def test_runs_are_drawn_evenly_and_always_the_same(small: Path) -> None:
    there = Source.of(small).runs
    runs = [run.directory for run in there]
    assert drawn(runs, 9) == runs
    some = drawn(runs, 7)
    assert drawn(runs, 7) == some
    arms = [run.path.parent.name for run in some]
    assert {arm: arms.count(arm) for arm in arms} == {"neither": 2, "both": 2, "habit": 2}
    assert len({run.path.parent.name for run in drawn(runs, 2)}) == 2


@pytest.mark.parametrize("seeds", [[0], [0, 1, 2, 7], [3, 5, 6], list(range(100))])
def test_ranges_are_read_as_they_are_told(seeds: list[int]) -> None:
    assert parse_seeds(as_ranges(seeds), "x") == seeds
