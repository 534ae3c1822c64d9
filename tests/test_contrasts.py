"""Contrasts and varied dials: which arms are compared, and what is said of them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from rlhf_testbed.experiment.contrasts import contrasts
from rlhf_testbed.experiment.over_seeds import arm_results
from rlhf_testbed.experiment.plan import plan
from rlhf_testbed.report import dose
from rlhf_testbed.report.figures import save
from rlhf_testbed.store.experiment_records import About, ArmResults, Decision, Results
from rlhf_testbed.store.run_records import JudgedBy, Measures, ProxyAndGold
from rlhf_testbed.tasks.base import Dials
from scripted_runs import ENVIRONMENT

BOUNDS = {"threat_1": 0.1, "threat_2": 0.3}


def arm_with(knowledge: float, randomised: float, threats: list[tuple[float, float]]) -> ArmResults:
    dials = Dials(knowledge, randomised)
    seeds = [
        Measures(
            arm=None,
            seed=seed,
            dials=dials,
            judged_by=JudgedBy(overseer="full_knowledge"),
            figures={"threat_1": one, "threat_2": two},
        )
        for seed, (one, two) in enumerate(threats)
    ]
    return arm_results("", seeds, [ProxyAndGold(curves={})] * len(seeds))


ARMS = {
    "neither": arm_with(1, 1, [(0.0, 0.0), (0.01, 0.01), (0.0, 0.02)]),
    "selection_only": arm_with(0, 1, [(1.0, 0.0), (0.99, 0.02), (0.98, 0.01)]),
    "both": arm_with(0, 0, [(1.0, 1.0), (0.99, 1.2), (0.98, 1.1)]),
}


def test_only_arms_that_differ_in_one_dial_are_compared() -> None:
    found = contrasts(ARMS, BOUNDS)
    assert [(c.dial, c.arms, c.threat) for c in found] == [
        ("knowledge", ("neither", "selection_only"), "threat_1"),
        ("knowledge", ("neither", "selection_only"), "threat_2"),
        ("randomised", ("selection_only", "both"), "threat_1"),
        ("randomised", ("selection_only", "both"), "threat_2"),
    ]
    assert [c.decision.verdict for c in found] == ["moved", "equivalent", "equivalent", "moved"]
    assert found[0].difference == pytest.approx((1.0 + 0.98 + 0.98) / 3)


def test_one_seed_is_undecided() -> None:
    arms = {name: _with(arm, arm.seeds[:1]) for name, arm in ARMS.items()}
    every = contrasts(arms, BOUNDS)
    assert len(every) == 4
    for found in every:
        assert found.decision == Decision(verdict="undecided", reason="1 seed")
        assert found.seeds_for_equivalence is None


def _with(arm: ArmResults, seeds: list[Measures]) -> ArmResults:
    return arm.model_copy(update={"seeds": seeds})


def test_seeds_are_matched_by_number() -> None:
    arm = ARMS["selection_only"]
    shuffled = _with(arm, arm.seeds[::-1])
    assert contrasts(ARMS | {"selection_only": shuffled}, BOUNDS) == contrasts(ARMS, BOUNDS)
    # Only seeds that both arms have are compared: here 1 and 2, in which threat 1 is 0.98 higher.
    fewer = contrasts(ARMS | {"selection_only": _with(arm, arm.seeds[1:])}, BOUNDS)
    assert fewer[0].difference == pytest.approx(0.98)


def test_a_threat_that_could_not_be_judged_is_undecided() -> None:
    unexposed = arm_with(0, 1, [(math.nan, 0.0)] * 3)
    found = contrasts({"neither": ARMS["neither"], "selection_only": unexposed}, BOUNDS)
    assert found[0].decision == Decision(
        verdict="undecided", reason="3 of 3 seeds could not be judged"
    )
    assert math.isnan(found[0].difference)
    assert found[1].decision.verdict == "equivalent"


def test_only_neighbours_are_compared() -> None:
    threats = [(0.5, 0.5), (0.6, 0.6)]
    arms = {f"both knowledge={k}": arm_with(k, 0, threats) for k in (0, 0.5, 1)}
    pairs = {c.values for c in contrasts(arms, BOUNDS)}
    assert pairs == {(0.5, 0), (1, 0.5)}


def test_vary_multiplies_the_arms(tmp_path: Path) -> None:
    config = tmp_path / "x.yaml"
    config.write_text("arms: [both]\nvary: ['knowledge=0,0.5', 'randomised=0,0.02']\nseeds: 0-1\n")
    planned = plan(str(config))
    assert [setting.name for setting in planned.settings] == [
        "both knowledge=0 randomised=0",
        "both knowledge=0 randomised=0.02",
        "both knowledge=0.5 randomised=0",
        "both knowledge=0.5 randomised=0.02",
    ]
    last = planned.settings[-1]
    assert (last.dials.knowledge, last.dials.randomised, last.dials.diversity) == (0.5, 0.02, 1)
    assert planned.of_base(last, 0).dials.randomised == 0.02
    assert planned.honest.name == "neither"


@pytest.mark.parametrize(("dials", "kind"), [(1, "line"), (2, "rect")])
def test_dose_pictures(dials: int, kind: str, tmp_path: Path) -> None:
    threats = [(0.5, 0.5), (0.6, 0.6)]
    alphas = (0, 0.1) if dials == 2 else (0,)
    arms = {
        f"both knowledge={k}" + (f" randomised={a}" if dials == 2 else ""): arm_with(k, a, threats)
        for k in (0, 0.5, 1)
        for a in alphas
    }
    found = dose.figure(_results(arms))
    assert found is not None
    png, svg = save(found, tmp_path)
    assert png.read_bytes().startswith(b"\x89PNG")
    assert f"mark-{kind}" in svg.read_text()


def test_no_dose_picture_where_nothing_was_varied() -> None:
    assert dose.figure(_results(ARMS)) is None


def _results(arms: dict[str, ArmResults]) -> Results:
    about = About(config="x.yaml", date="2026-01-02", seeds=[0, 1], **ENVIRONMENT.model_dump())
    return Results(task="corridor", gates=[], arms=arms, contrasts=[], about=about)
