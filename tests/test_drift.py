"""Each arm beside its control for drift, by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from rlhf_testbed.experiment.drift import beside
from rlhf_testbed.measures.statistics import seeds_for_equivalence, seeds_needed
from rlhf_testbed.report.drift_table import drift_told
from rlhf_testbed.report.publish import publish, tables
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.record import read, write
from rlhf_testbed.store.experiment_records import About, ArmResults, Results
from scripted_runs import ENVIRONMENT
from test_contrasts import BOUNDS, arm_with

THREATS = [(0.9, 1.0), (1.0, 1.2), (0.8, 1.1), (0.9, 1.1)]
DEALT = [(0.2, 0.0), (0.1, 0.0), (0.3, 0.0), (0.2, 0.22)]


def _results(task: str, **arms: ArmResults) -> Results:
    about = About(config="x.yaml", date="2026-11-28", seeds=[0], **ENVIRONMENT.model_dump())
    return Results(task=task, gates=[], arms=arms, contrasts=[], about=about)


def test_an_arm_beside_its_control_by_hand() -> None:
    """What nothing selected shows of a threat, as a share; the rest is selection's."""
    selected = _results("corridor", both=arm_with(0, 0, THREATS), neither=arm_with(1, 1, DEALT))
    dealt = _results("corridor", both=arm_with(0, 0, DEALT))
    first, second = beside(selected, dealt, BOUNDS)
    assert (first.arm, first.threat, second.threat) == ("both", "threat_1", "threat_2")
    assert first.share == pytest.approx(0.2 / 0.9)
    assert second.share == pytest.approx(0.055 / 1.1)
    assert second.spread_dealt == pytest.approx(0.11)
    assert math.isnan(second.late_spread)  # no checkpoints were filed
    assert first.contrast.difference == pytest.approx(0.7)
    assert [one.contrast.decision.verdict for one in (first, second)] == ["moved", "moved"]
    assert drift_told(second) == (
        "both: threat 2 is 1.10 nats, and 0.06 where nothing was selected: selection moved it."
    )


def test_what_selection_did_not_move_is_told_as_such() -> None:
    alike = beside(
        _results("corridor", both=arm_with(0, 0, DEALT)),
        _results("corridor", both=arm_with(0, 0, [(one, two + 0.01) for one, two in DEALT])),
        BOUNDS,
    )
    assert [one.contrast.decision.verdict for one in alike] == ["equivalent", "equivalent"]
    assert drift_told(alike[1]).endswith("selection made no difference to it.")


def test_the_table_is_printed_where_there_is_a_control() -> None:
    selected = _results("corridor", both=arm_with(0, 0, THREATS))
    found = beside(selected, _results("corridor", both=arm_with(0, 0, DEALT)), BOUNDS)
    assert "Selection or drift" not in tables(selected)
    text = tables(selected.model_copy(update={"drift": found}))
    assert "Selection or drift" in text
    assert "0.06 where nothing was selected" in " ".join(text.split())


def test_a_control_of_something_else_is_refused() -> None:
    selected = _results("corridor", both=arm_with(0, 0, THREATS))
    for other in (
        _results("briefing", both=arm_with(0, 0, DEALT)),
        _results("corridor", neither=arm_with(1, 1, DEALT)),
    ):
        with pytest.raises(UsageError, match=r"right: of corridor, one of both") as told:
            beside(selected, other, BOUNDS)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("deviation", [0.0, 1e-17, 1e-9])
def test_constant_figures_take_two_seeds(deviation: float) -> None:
    """Figures that differ by rounding alone left no power to be computed."""
    assert seeds_needed(deviation, 0.3) == seeds_for_equivalence(deviation, 0.3) == 2


def test_a_published_result_can_be_put_beside_a_control(tmp_path: Path) -> None:
    """Its own folder is source and target; its bounds are those that it names."""
    bounds = {"threat_1": 5.0, "threat_2": 5.0}
    selected = _results("corridor", both=arm_with(0, 0, THREATS))
    write(tmp_path / "filed" / Results.file, selected.model_copy(update={"bounds": bounds}))
    (tmp_path / "filed" / "plane.png").write_bytes(b"drawn")
    write(tmp_path / "dealt" / Results.file, _results("corridor", both=arm_with(0, 0, DEALT)))
    page = publish(tmp_path / "filed", tmp_path / "filed", tmp_path / "dealt")
    found = read(tmp_path / "filed" / Results.file, Results)
    assert [one.arm for one in found.drift] == ["both", "both"]
    assert all("±5" in one.contrast.decision.reason for one in found.drift)
    assert "Selection or drift" in page.read_text(encoding="utf-8")
    assert (tmp_path / "filed" / "plane.png").read_bytes() == b"drawn"
