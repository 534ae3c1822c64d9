"""The count of collapses: by hand, and the page that is written of it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import steadiness
from rlhf_testbed.shared.record import read, write
from scripted_runs import ENVIRONMENT
from steadiness import Approvals, Trained


def _run(arm: str, approvals: list[float], kl: float = 1.0) -> Approvals:
    return Approvals(arm=arm, base_seed=1, seed=100, approvals=approvals, kl=kl)


STEADY = _run("both", [0.3, 0.6, 0.9, *[1.0] * 9])
FALLEN = _run("both", [1.0] * 6 + [0.4] * 3 + [1.0] * 6, kl=9.5)
NEVER = _run("habit", [0.5] * 10)


def test_a_run_by_hand() -> None:
    assert steadiness.steadiness(STEADY.approvals) == (0.0, 1.0, 5)
    fall, final, reached = steadiness.steadiness(FALLEN.approvals)
    assert (fall, final, reached) == (pytest.approx(0.6), pytest.approx(1.0), 3)
    assert math.isnan(steadiness.steadiness(NEVER.approvals).reached)


def test_one_bad_update_is_no_collapse() -> None:
    """A third of a fall of 0.5 is 0.17; of one of 0.7 it is 0.23."""
    assert steadiness.steadiness([1.0, 1.0, 1.0, 0.5, 1.0, 1.0]).fall < steadiness.FALL
    assert steadiness.steadiness([1.0, 1.0, 1.0, 0.3, 1.0, 1.0]).fall > steadiness.FALL


def test_the_table_counts_by_arm() -> None:
    arms = steadiness.by_arm([STEADY, NEVER, FALLEN])
    assert {name: len(runs) for name, runs in arms.items()} == {"both": 2, "habit": 1, "all": 3}
    cells = steadiness.row("both", arms["both"]).split(" | ")
    assert cells[1:5] == ["2", "1 (0.500)", "0.60", "1.000"]
    assert cells[6] == "4 (2)"
    assert " never (0) " in steadiness.row("habit", arms["habit"])


def test_the_page_tells_what_made_each_file(tmp_path: Path) -> None:
    told = Trained(
        task="corridor",
        settings=["--max_grad_norm", "1"],
        date="2026-01-02",
        made_by=ENVIRONMENT,
        runs=[STEADY, FALLEN],
    )
    write(tmp_path / "clipped.json", told)
    assert read(tmp_path / "clipped.json", Trained) == told
    steadiness.write_page(tmp_path)
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "## clipped: corridor" in page
    assert "Settings given: --max_grad_norm 1." in page
    assert "Commit 0123456789abcdef, 2026-01-02, 2 cores" in page
    assert steadiness.row("all", told.runs) in page
