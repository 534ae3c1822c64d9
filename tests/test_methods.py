"""Selection methods side by side, by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rlhf_testbed.experiment.contrasts import contrasts
from rlhf_testbed.experiment.methods import matched
from rlhf_testbed.experiment.over_seeds import arm_results
from rlhf_testbed.experiment.plan import Run, plan
from rlhf_testbed.report import by_method
from rlhf_testbed.report.publish import tables
from rlhf_testbed.settings.sweeps import parse_methods
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store.experiment_records import About, ArmResults, Results
from rlhf_testbed.store.run_records import Checkpoint, JudgedBy, Measures, ProxyAndGold
from rlhf_testbed.tasks.base import Dials
from scripted_runs import ENVIRONMENT

RUNS = [Run(0, 0), Run(0, 1)]


def _path(*points: tuple[float, float]) -> list[Checkpoint]:
    """Checkpoints with these KL and threat 1; threat 2 is twice that."""
    return [
        Checkpoint(update=at, figures={"kl": kl, "threat_1": one, "threat_2": 2 * one}, goals={})
        for at, (kl, one) in enumerate(points)
    ]


def _arm(method: str, knowledge: float, ends: list[float]) -> ArmResults:
    seeds = [
        Measures(
            arm=None,
            seed=seed,
            dials=Dials(knowledge, 0),
            method=method,
            judged_by=JudgedBy(overseer="full_knowledge"),
            figures={"threat_1": one, "threat_2": 2 * one},
        )
        for seed, one in enumerate(ends)
    ]
    return arm_results("", seeds, [ProxyAndGold(curves={})] * len(seeds))


PATHS = {
    "both method=ppo": {run: _path((0, 0.2), (1, 0.4), (3, 1.0)) for run in RUNS},
    "both method=best_of_n": {
        RUNS[0]: _path((0, 0.2), (2, 0.6)),
        RUNS[1]: _path((0, 0.2), (1, 0.5)),
    },
}
ARMS = {
    "both method=ppo": _arm("ppo", 0, [1.0, 1.0]),
    "both method=best_of_n": _arm("best_of_n", 0, [0.6, 0.5]),
}


def test_threats_at_the_same_kl_by_hand() -> None:
    """Best of n ends at 2 and 1 nats; half-way from 1 to 3, and at 1, PPO has 0.7 and 0.4."""
    ppo, best = matched(PATHS, ARMS, {"both method=ppo": 3840, "both method=best_of_n": 64})
    assert (ppo.arm, ppo.method, best.method) == ("both", "ppo", "best_of_n")
    assert (ppo.episodes, best.episodes) == (3840, 64)
    assert ppo.level.mean == best.level.mean == 1.5
    assert ppo.kl.mean == 3
    assert ppo.threat_1.mean == pytest.approx((0.7 + 0.4) / 2)
    assert ppo.threat_2.mean == pytest.approx(2 * (0.7 + 0.4) / 2)
    assert best.threat_1.mean == pytest.approx((0.6 + 0.5) / 2)


def test_one_method_is_matched_with_nothing() -> None:
    alone = {"both method=ppo": ARMS["both method=ppo"]}
    assert matched(PATHS, alone, {"both method=ppo": 3840}) == []


def test_arms_are_contrasted_under_one_method_only() -> None:
    arms = {**ARMS, "neither method=ppo": _arm("ppo", 1, [0.0, 0.0])}
    found = {each.arms for each in contrasts(arms, {"threat_1": 0.1})}
    assert found == {("neither method=ppo", "both method=ppo")}


def test_the_picture_and_the_table_have_a_panel_and_a_row_each() -> None:
    about = About(config="x.yaml", date="2026-01-02", seeds=[0, 1], **ENVIRONMENT.model_dump())
    told = {"both method=ppo": 3840, "both method=best_of_n": 64}
    results = Results(
        task="corridor",
        gates=[],
        arms=ARMS,
        contrasts=[],
        matched=matched(PATHS, ARMS, told),
        about=about,
    )
    found = by_method.figure(results)
    assert found is not None
    assert {(row["arm"], row["method"]) for row in found.rows} == {
        ("both", "ppo"),
        ("both", "best_of_n"),
    }
    panels = json.dumps(found.chart.to_dict(validate=False))
    domains = set(re.findall(r'"domain": \[-0.06, [\d.]+\], "nice": false', panels))
    assert len(domains) == 2, "panels that are compared have one scale each for across and up"
    assert "Methods at the same KL from the base policy" in tables(results)
    one = results.model_copy(update={"arms": {"both": ARMS["both method=ppo"]}, "matched": []})
    assert by_method.figure(one) is None
    assert "Methods at the same KL" not in tables(one)


def test_methods_of_an_experiment_have_settings_of_their_own(tmp_path: Path) -> None:
    config = tmp_path / "x.yaml"
    config.write_text(
        "task: corridor\narms: [both]\nmethods:\n"
        "- grpo num_generations=4 beta=0.1\n- best_of_n completions=8\n"
    )
    first, second = plan(str(config)).settings
    assert (first.name, second.name) == ("both method=grpo", "both method=best_of_n")
    assert first.arguments == (
        *("--arm", "both", "--method", "grpo", "--num_generations", "4", "--beta", "0.1"),
    )


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ("grpo beta", r"methods = grpo beta can't be read \(right: grpo NAME=VALUE"),
        ("gpro", "gpro"),
        ("", "methods"),
    ],
)
def test_a_method_that_can_not_be_read_is_one_line(entry: str, line: str) -> None:
    with pytest.raises(UsageError, match=line) as told:
        parse_methods([entry], "x.yaml")
    assert "\n" not in str(told.value)


def test_a_setting_of_another_method_is_refused_before_anything_runs(tmp_path: Path) -> None:
    config = tmp_path / "x.yaml"
    config.write_text("task: corridor\nmethods:\n- grpo completions=8\n")
    with pytest.raises(UsageError, match="completions"):
        plan(str(config))


def test_the_share_of_an_experiment_is_that_of_its_arms(tmp_path: Path) -> None:
    config = tmp_path / "x.yaml"
    config.write_text("task: inspection\narms: [goal_only]\nunintended_share: 0.35\n")
    (setting,) = plan(str(config)).settings
    assert setting.dials == Dials(1, 0, 1, 0.35)
