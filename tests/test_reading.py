"""Ledgers and generations: what is filed can be read, filtered, and is refused when damaged."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from rlhf_testbed import ledger
from rlhf_testbed.errors import UsageError
from rlhf_testbed.reading import Filter, generations, parse_updates
from rlhf_testbed.report.generations import print_generations


def _copy(run: Path, to: Path) -> Path:
    shutil.copytree(run, to)
    return to


def test_filters(trained: Path) -> None:
    everything = generations(trained, Filter())
    assert len(everything) == 48
    approved = generations(trained, Filter(approved=True))
    rejected = generations(trained, Filter(approved=False))
    assert len(approved) + len(rejected) == 48
    assert all(generation.verdict.approved for generation in approved)
    unwanted = generations(trained, Filter(unwanted=True))
    assert all(not generation.truth.approved for generation in unwanted)
    assert {g.row["update"] for g in generations(trained, Filter(updates=range(2, 4)))} == {2, 3}
    rightwards = generations(trained, Filter(text="right"))
    assert all("right" in generation.row["response"] for generation in rightwards)
    assert len(generations(trained, Filter(), limit=5)) == 5
    assert generations(trained, Filter(arm="both", seed=1)) == everything


def test_a_filter_that_names_what_is_not_there_says_what_is(trained: Path) -> None:
    with pytest.raises(UsageError, match=r"no run with arm = neither \(there are: both\)"):
        generations(trained, Filter(arm="neither"))
    with pytest.raises(UsageError, match="--update = x can't be read"):
        parse_updates("x")
    with pytest.raises(UsageError, match="can't be read"):
        parse_updates("9-3")


def test_a_generation_is_shown_from_both_sides(trained: Path) -> None:
    hidden = next(g for g in generations(trained, Filter()) if g.unseen)
    out = io.StringIO()
    print_generations([hidden], Console(file=out, width=400))
    shown = out.getvalue()
    assert hidden.row["prompt"] in shown
    assert f"{hidden.unseen[0]}: (unseen)" in shown
    assert f"{hidden.unseen[0]}: dark flower bed" in shown
    assert hidden.truth.reason in shown
    seen_line = next(line for line in shown.splitlines() if "overseer saw" in line)
    assert "dark flower bed" not in seen_line


def test_markup_in_a_response_is_shown_as_text(trained: Path) -> None:
    generation = generations(trained, Filter(), limit=1)[0]
    strange = generation._replace(row=generation.row | {"response": "[bold]x[/] [red]"})
    out = io.StringIO()
    print_generations([strange], Console(file=out, width=200))
    assert "[bold]x[/] [red]" in out.getvalue()


def test_a_damaged_file_is_named(trained: Path, tmp_path: Path) -> None:
    run = _copy(trained, tmp_path / "run")
    file = run / "ledger" / "00002.parquet"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(UsageError, match=r"00002\.parquet: damaged ledger") as raised:
        generations(run, Filter())
    assert "\n" not in str(raised.value)


def test_a_gap_is_named(trained: Path, tmp_path: Path) -> None:
    run = _copy(trained, tmp_path / "run")
    (run / "ledger" / "00002.parquet").unlink()
    with pytest.raises(UsageError, match=r"00002\.parquet is missing"):
        generations(run, Filter())


def test_another_schema_is_named(trained: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    run = _copy(trained, tmp_path / "run")
    file = run / "ledger" / "00001.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["view"]), file)
    with pytest.raises(UsageError, match="columns view are missing or not known"):
        generations(run, Filter())


def test_an_empty_ledger_is_named(trained: Path, tmp_path: Path) -> None:
    run = _copy(trained, tmp_path / "run")
    shutil.rmtree(run / "ledger")
    with pytest.raises(UsageError, match="no generations here"):
        generations(run, Filter())


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a run"):
        generations(tmp_path, Filter())


def test_rows_keep_scenario_outcome_and_verdict(trained: Path) -> None:
    row = ledger.read(trained / "ledger")[0]
    assert ledger.scenario_of(row).facts == json.loads(row["facts"])
    assert ledger.verdict_of(row).reason == row["reason"]
