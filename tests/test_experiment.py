"""A whole experiment, small: what it files, and how it goes on after an interruption."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import yaml

from conftest import SMALL
from rlhf_testbed.errors import UsageError
from rlhf_testbed.experiment import Experiment, plan, plan_gates, run_experiment
from rlhf_testbed.over_seeds import intervals
from rlhf_testbed.report.contents import draw_headlines
from rlhf_testbed.report.publish import publish, tables
from rlhf_testbed.report.table import interval_text


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    folder = tmp_path_factory.mktemp("experiment")
    words = " ".join(SMALL).replace("--", "").split()
    settings = dict(zip(words[::2], map(yaml.safe_load, words[1::2]), strict=True))
    config = folder / "small.yaml"
    config.write_text(yaml.safe_dump({**settings, "arms": ["both", "habit"], "seeds": "0-1"}))
    return plan(str(config), output_dir=str(folder / "out"))


@pytest.fixture(scope="module")
def results(experiment: Experiment) -> dict[str, object]:
    return run_experiment(experiment)


def test_results_have_the_promised_form(experiment: Experiment, results: dict) -> None:
    filed = json.loads((experiment.folder / "results.json").read_text())
    assert filed["task"] == "corridor"
    assert len(filed["gates"]) == 6
    assert {gate["status"] for gate in filed["gates"]} <= {"PASS", "FAIL", "DEGENERATE"}
    assert list(filed["arms"]) == ["both", "habit"]
    both = filed["arms"]["both"]
    assert [seed["seed"] for seed in both["seeds"]] == [0, 1]
    for seed in both["seeds"]:
        assert {"threat_1", "threat_2", "threat_2_by_goal", "capability"} <= set(seed)
    assert set(both["threat_2"]) == {"mean", "low", "high"}
    assert both["threat_2"]["mean"] == pytest.approx(
        sum(seed["threat_2"] for seed in both["seeds"]) / 2
    )


def test_an_arm_that_is_never_exposed_has_no_threat_1_and_says_why(results: dict) -> None:
    habit = results["arms"]["habit"]
    assert habit["threat_1"] is None
    assert habit["threat_1_reason"].startswith("never exposed: 'tramples unseen' was possible in")
    assert habit["threat_2"]["mean"] >= 0


def test_the_honest_arm_is_run_for_gate_2_even_when_it_is_left_out(
    experiment: Experiment, results: dict
) -> None:
    assert (experiment.folder / "neither" / "seed-0" / "finished.json").exists()
    assert results["gates"][1]["figure"]["seeds"] == 1


def test_the_picture_is_drawn(results: dict, tmp_path: Path) -> None:
    png, svg = draw_headlines(results, tmp_path)
    assert png.read_bytes().startswith(b"\x89PNG")
    assert "never exposed" in svg.read_text()


def test_started_again_it_goes_on_with_what_is_missing(
    experiment: Experiment, results: dict
) -> None:
    """One run loses its end, another its measures; the rest must not be touched."""
    cut = experiment.directory("both", 1)
    before = (cut.ledger / "00003.parquet").read_bytes()
    cut.finished_file.unlink()
    unmeasured = experiment.directory("habit", 0).evaluation("full_knowledge")
    (cut.evaluation("full_knowledge") / "measures.json").unlink()
    (unmeasured / "measures.json").unlink()
    kept = experiment.directory("both", 0).finished_file
    stamp = kept.stat().st_mtime_ns
    again = run_experiment(experiment)
    aside = cut.path.with_name("seed-1.interrupted-1")
    assert (aside / "ledger" / "00003.parquet").read_bytes() == before
    assert (cut.ledger / "00003.parquet").read_bytes() == before
    assert kept.stat().st_mtime_ns == stamp
    assert again["arms"] == results["arms"]


def test_a_folder_of_another_experiment_is_refused(
    experiment: Experiment, results: dict, tmp_path: Path
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(Path(experiment.given[1]).read_text() + "kl_coef: 0.5\n")
    filed = (experiment.folder / "results.json").read_bytes()
    with pytest.raises(UsageError, match="other settings"):
        run_experiment(plan(str(other), output_dir=str(experiment.folder)))
    assert (experiment.folder / "results.json").read_bytes() == filed
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(UsageError, match="is no experiment"):
        run_experiment(plan(str(other), output_dir=str(tmp_path / "mine")))


def test_dials_that_arms_set_are_refused_in_an_experiment(tmp_path: Path) -> None:
    config = tmp_path / "x.yaml"
    config.write_text("knowledge: 0.0\n")
    with pytest.raises(UsageError, match="knowledge is set by the arms"):
        plan(str(config))


def test_the_gates_of_a_task_need_its_honest_arm_only() -> None:
    planned = plan_gates("corridor", "0-1")
    assert [setting.name for setting in planned.settings] == ["neither"]
    assert planned.arguments(planned.honest, 1)[:4] == ["--task", "corridor", "--arm", "neither"]
    assert planned.folder == Path("runs/gates-corridor")
    of_file = plan_gates("configs/inspection.yaml", "0")
    assert of_file.arguments(of_file.honest, 0)[:2] == ["--config", "configs/inspection.yaml"]
    assert of_file.folder == Path("runs/gates-inspection")
    with pytest.raises(UsageError, match="did you mean 'corridor'"):
        plan_gates("corridr", "0-1")


def test_intervals_over_seeds_by_hand() -> None:
    """Of 1, 2 and 3: mean 2, standard error 1/√3, t(0.975, 2) = 4.3027."""
    found = intervals([{"seed": s, "threat_2": v} for s, v in enumerate([1.0, 2.0, 3.0])])
    assert found["threat_2"]["mean"] == 2
    assert found["threat_2"]["high"] == pytest.approx(2 + 4.302653 / math.sqrt(3))
    assert interval_text(found["threat_2"]) == "2.00\n\\[-0.48,4.48]"


def test_results_are_published_as_a_folder(
    experiment: Experiment, results: dict, tmp_path: Path
) -> None:
    draw_headlines(results, experiment.folder)
    readme = publish(experiment.folder, tmp_path / "docs" / "results" / "small")
    text = readme.read_text()
    assert "Gates of corridor" in text
    assert "habit, threat 1" in text
    assert "![](threat_plane.png)" in text
    assert results["took"]["runs"] >= 1
    filed = json.loads((readme.parent / "results.json").read_text())
    assert filed["arms"].keys() == results["arms"].keys()
    with pytest.raises(UsageError, match=r"no results\.json"):
        publish(tmp_path, tmp_path / "x")


def test_every_arm_says_which_threat_comes_first(results: dict) -> None:
    for arm in results["arms"].values():
        threats, game = arm["orders"]
        assert threats["curves"] == ["threat_1", "threat_2"]
        assert game["curves"] == ["concealment_gap", "goal_directedness"]
        assert {threats["word"], game["word"]} <= {"first", "second", "together", "undecided"}
        assert threats["reason"]


def test_a_policy_that_mostly_writes_outside_the_space_has_a_note(results: dict) -> None:
    page = tables(results)
    coverage = results["arms"]["both"]["response_space_coverage"]["mean"]
    assert coverage < 0.5
    assert f"(both, threat 2): judged on the {coverage:.2f} of the policy's probability" in page
