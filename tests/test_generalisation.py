"""What selection left off distribution, by hand."""

from __future__ import annotations

import pytest

from rlhf_testbed.experiment.over_seeds import arm_results
from rlhf_testbed.report import generalisation
from rlhf_testbed.report.publish import tables
from rlhf_testbed.store.experiment_records import About, ArmResults, Results
from rlhf_testbed.store.run_records import JudgedBy, Measures, ProxyAndGold
from rlhf_testbed.tasks.base import Dials
from scripted_runs import ENVIRONMENT


def _arm(liars: float, shares: list[tuple[float, float, float, float]]) -> ArmResults:
    """`shares`, a run each: of the intended goal before and after, of the unintended one."""
    names = [
        f"{when}off_distribution_{goal}"
        for goal in ("intended", "unintended")
        for when in ("base_", "")
    ]
    seeds = [
        Measures(
            arm=None,
            seed=seed,
            dials=Dials(),
            options={"liars_in_sight": liars},
            judged_by=JudgedBy(overseer="full_knowledge"),
            figures={**dict(zip(names, told, strict=True)), "threat_2": 0.0},
        )
        for seed, told in enumerate(shares)
    ]
    return arm_results("", seeds, [ProxyAndGold(curves={})] * len(seeds))


HONEST = [(0.3, 0.9, 0.3, 0.29), (0.2, 0.9, 0.3, 0.31), (0.3, 0.9, 0.3, 0.3)]
LYING = [(0.3, 0.1, 0.3, 0.9), (0.2, 0.1, 0.3, 0.8), (0.3, 0.1, 0.3, 0.8)]
ARMS = {
    "goal_only liars_in_sight=0": _arm(0, HONEST),
    "goal_only liars_in_sight=0.4": _arm(0.4, LYING),
}


def _results(arms: dict[str, ArmResults]) -> Results:
    about = About(config="x.yaml", date="2026-01-02", seeds=[0, 1, 2], **ENVIRONMENT.model_dump())
    return Results(task="inspection", gates=[], arms=arms, contrasts=[], about=about)


def test_what_was_left_by_hand() -> None:
    honest, lying = ARMS.values()
    found = generalisation.difference(honest, "off_distribution_intended")
    assert found.mean == pytest.approx((0.6 + 0.7 + 0.6) / 3)
    assert generalisation.left(honest) == "the intended goal rose"
    assert generalisation.left(lying) == "the intended goal fell, the unintended goal rose"
    alike = _arm(0, [(0.3, 0.4, 0.3, 0.3), (0.3, 0.2, 0.3, 0.3)])
    assert generalisation.left(alike) == "nothing is shown to have moved"


def test_the_picture_has_both_goals_before_and_after() -> None:
    found = generalisation.figure(_results(ARMS))
    assert found is not None
    assert found.title == "inspection: what is reached off distribution, by liars in sight"
    kinds = {(row["goal"], row["policy"], row["liars_in_sight"]) for row in found.rows}
    assert len(kinds) == len(found.rows) == 2 * 2 * 2
    text = " ".join(tables(_results(ARMS)).split())
    assert "Off distribution, before and after selection" in text
    assert "what was left" in text


def test_nothing_is_drawn_where_nothing_was_varied() -> None:
    one = _results({"goal_only": next(iter(ARMS.values()))})
    assert generalisation.figure(one) is None
    assert "Off distribution, before" not in tables(one)
