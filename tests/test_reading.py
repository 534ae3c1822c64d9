"""Ledgers and generations: what is filed can be read, filtered, and is refused when damaged."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from rlhf_testbed.report.generations import print_generations
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store import ledger
from rlhf_testbed.store.generations import Filter, generations, parse_updates
from scripted_runs import write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three updates. Tests must not change it."""
    folder = tmp_path_factory.mktemp("runs") / "both-1"
    write_run(folder, "both", 1, updates=3, episodes=16, measured=False)
    return folder


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    shutil.copytree(run, tmp_path / "run")
    return tmp_path / "run"


def test_filters(run: Path) -> None:
    everything = generations(run, Filter())
    assert len(everything) == 48
    approved = generations(run, Filter(approved=True))
    rejected = generations(run, Filter(approved=False))
    assert {one.verdict.approved for one in approved} == {True}
    assert {one.verdict.approved for one in rejected} == {False}
    assert len(approved) + len(rejected) == 48
    unwanted = generations(run, Filter(unwanted=True))
    assert {one.truth.approved for one in unwanted} == {False}
    assert len(unwanted) + len(generations(run, Filter(unwanted=False))) == 48
    assert {one.row.update for one in generations(run, Filter(updates=range(2, 4)))} == {2, 3}
    rightwards = generations(run, Filter(text="right"))
    assert 0 < len(rightwards) < 48
    assert all("right" in one.row.response for one in rightwards)
    assert len(generations(run, Filter(), limit=5)) == 5
    assert generations(run, Filter(arm="both", seed=1)) == everything


def test_a_filter_that_names_what_is_not_there_says_what_is(run: Path) -> None:
    with pytest.raises(UsageError, match=r"no run with arm = neither \(there are: both\)"):
        generations(run, Filter(arm="neither"))
    with pytest.raises(UsageError, match="--update = x can't be read"):
        parse_updates("x")
    with pytest.raises(UsageError, match="can't be read"):
        parse_updates("9-3")


def test_a_generation_is_shown_from_both_sides(run: Path) -> None:
    hidden = next(one for one in generations(run, Filter()) if one.row.view.unseen)
    out = io.StringIO()
    print_generations([hidden], Console(file=out, width=400))
    shown, name = out.getvalue(), hidden.row.view.unseen[0]
    assert hidden.row.prompt in shown
    assert f"{name}: (unseen)" in shown
    assert f"{name}: dark flower bed" in shown
    assert hidden.truth.reason in shown
    seen_line = next(line for line in shown.splitlines() if "overseer saw" in line)
    assert "dark flower bed" not in seen_line


def test_markup_in_a_response_is_shown_as_text(run: Path) -> None:
    generation = generations(run, Filter(), limit=1)[0]
    strange = generation._replace(row=replace(generation.row, response="[bold]x[/] [red]"))
    out = io.StringIO()
    print_generations([strange], Console(file=out, width=200))
    assert "[bold]x[/] [red]" in out.getvalue()


def test_a_damaged_file_is_named(copied: Path) -> None:
    file = copied / "ledger" / "00002.parquet"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(UsageError, match=r"00002\.parquet: damaged ledger") as raised:
        generations(copied, Filter())
    assert "\n" not in str(raised.value)


def test_a_gap_is_named(copied: Path) -> None:
    (copied / "ledger" / "00002.parquet").unlink()
    with pytest.raises(UsageError, match=r"update 2 is missing \(found 00003\.parquet in "):
        generations(copied, Filter())


def test_another_schema_is_named(copied: Path) -> None:
    file = copied / "ledger" / "00001.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["view"]), file)
    with pytest.raises(UsageError, match="columns view are missing or not known"):
        generations(copied, Filter())


def test_an_empty_ledger_is_named(copied: Path) -> None:
    shutil.rmtree(copied / "ledger")
    with pytest.raises(UsageError, match="no generations here"):
        generations(copied, Filter())


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a run"):
        generations(tmp_path, Filter())


def test_rows_keep_scenario_outcome_and_verdict(run: Path) -> None:
    row = ledger.read(run / "ledger")[0]
    assert row.scenario.facts == json.loads(row.facts_json)
    assert row.outcome.facts == json.loads(row.outcome_json)
    assert row.verdict.reason == row.reason
