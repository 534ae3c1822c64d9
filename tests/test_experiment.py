"""A whole experiment, small: what it files, and how it goes on after an interruption."""

from __future__ import annotations

import math
import os
import re
import socket
from pathlib import Path

import pytest
import yaml

from conftest import SMALL
from rlhf_testbed.experiment.over_seeds import interval
from rlhf_testbed.experiment.plan import Experiment, Run, plan, plan_gates
from rlhf_testbed.experiment.results import elsewhere, summarise
from rlhf_testbed.experiment.run import run_experiment
from rlhf_testbed.policy.base_about import content_hash
from rlhf_testbed.report.contents import draw_headlines
from rlhf_testbed.report.headline import headline
from rlhf_testbed.report.publish import publish, tables
from rlhf_testbed.report.table import interval_text
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.record import read
from rlhf_testbed.store.base_kept import base_folder
from rlhf_testbed.store.experiment_records import Results
from rlhf_testbed.store.in_use import held
from rlhf_testbed.store.provenance import environment, sources
from rlhf_testbed.store.run_records import BaseKept
from rlhf_testbed.store.runs_table import read_results


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    folder = tmp_path_factory.mktemp("experiment")
    words = " ".join(SMALL).replace("--", "").split()
    settings = dict(zip(words[::2], map(yaml.safe_load, words[1::2]), strict=True))
    config = folder / "small.yaml"
    config.write_text(yaml.safe_dump({**settings, "arms": ["both", "habit"], "seeds": "0-1"}))
    return plan(str(config), output_dir=str(folder / "out"))


@pytest.fixture(scope="module")
def results(experiment: Experiment) -> Results:
    return run_experiment(experiment)


def test_results_have_the_promised_form(experiment: Experiment, results: Results) -> None:
    filed = read(experiment.folder / "results.json", Results)
    assert filed.task == "corridor"
    assert len(filed.gates) == 7
    assert list(filed.arms) == ["both", "habit"]
    both = filed.arms["both"]
    assert [seed.seed for seed in both.seeds] == [0, 1]
    for seed in both.seeds:
        assert {"threat_1", "threat_2", "capability"} <= set(seed.figures)
        assert set(seed.threat_2_by_goal) == {"right_end"}
    seeds = [seed.figure("threat_2") for seed in both.seeds]
    assert both.figures["threat_2"].mean == pytest.approx(sum(seeds) / 2)
    assert "exposed" not in both.figures  # a number of episodes has no mean over seeds
    assert filed.about.commit == environment(experiment.run).commit
    assert filed.about.sources == sources(experiment.run)


def test_an_arm_that_is_never_exposed_has_no_threat_1_and_says_why(results: Results) -> None:
    habit = results.arms["habit"]
    assert habit.figure("threat_1") is None
    assert habit.reasons["threat_1"].startswith("never exposed: 'tramples unseen' was possible in")
    assert habit.figures["threat_2"].mean >= 0


def test_the_honest_arm_is_run_for_gate_2_even_when_it_is_left_out(
    experiment: Experiment, results: Results
) -> None:
    assert (experiment.folder / "neither" / "seed-0" / "finished.json").exists()
    assert results.gates[1].figure["seeds"] == 1


def test_the_picture_is_drawn(results: Results, tmp_path: Path) -> None:
    png, svg = draw_headlines(results, tmp_path)
    assert png.read_bytes().startswith(b"\x89PNG")
    drawn = re.sub(r"<[^>]*>", " ", svg.read_text())
    assert re.search(r"never\s+exposed", drawn)


def test_started_again_it_goes_on_with_what_is_missing(
    experiment: Experiment, results: Results
) -> None:
    """One run loses its end, another its measures; the rest must not be touched. The one that
    lost its end has no state to go on from, and begins again to the same bytes."""
    cut = experiment.directory("both", 1)
    before = _bytes(cut.ledger)
    (cut.path / "finished.json").unlink()
    unmeasured = experiment.directory("habit", 0).evaluation()
    (cut.evaluation() / "measures.json").unlink()
    (unmeasured / "measures.json").unlink()
    kept = experiment.directory("both", 0).path / "finished.json"
    stamp = kept.stat().st_mtime_ns
    again = run_experiment(experiment)
    assert not list(cut.path.parent.glob("*.interrupted-*"))
    assert _bytes(cut.ledger) == before
    assert before
    assert kept.stat().st_mtime_ns == stamp
    assert _plain(again) == _plain(results)


def _bytes(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def _plain(results: Results) -> dict[str, object]:
    """The arms as they are filed, so that NaN equals NaN."""
    return {name: arm.model_dump(mode="json") for name, arm in results.arms.items()}


def test_fewer_arms_and_seeds_never_shrink_the_results(
    experiment: Experiment, results: Results
) -> None:
    config = Path(experiment.given[1])
    narrow = config.with_name("narrow.yaml")
    narrow.write_text(config.read_text().replace("- both\n- habit", "- habit"))
    planned = plan(str(narrow), "0", str(experiment.folder))
    assert [setting.name for setting in planned.settings] == ["habit"]
    again = run_experiment(planned)
    assert {name: [one.seed for one in arm.seeds] for name, arm in again.arms.items()} == {
        "habit": [0, 1],
        "both": [0, 1],
    }
    assert _plain(again) == _plain(results)
    assert elsewhere(planned) == ["habit, seed 1", "both, seed 0, 1"]
    assert elsewhere(experiment) == []


def test_of_many_runs_the_table_has_the_figures_and_the_results_stay_the_same(
    experiment: Experiment, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for less in a folder with a table, nothing is lost; with another run, that is added."""
    whole = summarise(experiment)
    monkeypatch.setattr("rlhf_testbed.experiment.results.WHOLE", 1)
    config = Path(experiment.given[1])
    narrow = config.with_name("one.yaml")
    narrow.write_text(config.read_text().replace("- both\n- habit", "- habit"))
    run_experiment(experiment)
    (experiment.folder / "runs.parquet").write_bytes(b"cut")  # it is made anew from the runs
    run_experiment(plan(str(narrow), "0", str(experiment.folder)))
    again = read_results(experiment.folder)
    assert {name: arm.runs.named for name, arm in again.arms.items()} == {
        "habit": [(0, 0), (0, 1)],
        "both": [(0, 0), (0, 1)],
    }
    for name, arm in whole.arms.items():
        kept = again.arms[name]
        assert kept.seeds == []
        assert kept.model_dump_json(exclude={"seeds", "tabled"}) == arm.model_dump_json(
            exclude={"seeds", "tabled"}
        )
        assert repr(list(kept.runs.rows())) == repr(list(arm.runs.rows()))
    pairs = zip(again.contrasts, whole.contrasts, strict=True)
    assert all(
        one.difference == pytest.approx(other.difference, nan_ok=True) for one, other in pairs
    )
    monkeypatch.undo()
    run_experiment(experiment)
    assert len(read(experiment.folder / "results.json", Results).arms["both"].seeds) == 2


def test_runs_share_their_base_policy_and_name_it_by_its_hash(
    experiment: Experiment, results: Results
) -> None:
    runs = [experiment.directory(arm, seed) for arm in ("both", "habit") for seed in (0, 1)]
    hashes = {run.read(BaseKept).hash for run in runs}
    (kept,) = [folder for folder in experiment.bases.iterdir() if folder.is_dir()]
    assert hashes == {kept.name} == {content_hash(kept)}
    assert {base_folder(run) for run in runs} == {kept.resolve()}


def test_a_changed_source_is_refused_and_nothing_is_mixed(
    experiment: Experiment, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed = (experiment.folder / "results.json").read_bytes()
    changed = sources(experiment.run) | {"rlhf_testbed.tasks.corridor:Corridor": "another"}
    monkeypatch.setattr("rlhf_testbed.experiment.claim.sources", lambda run: changed)
    with pytest.raises(UsageError, match=r"the source of .*corridor:Corridor has changed"):
        run_experiment(experiment)
    assert (experiment.folder / "results.json").read_bytes() == filed


def test_a_folder_of_another_experiment_is_refused(
    experiment: Experiment, results: Results, tmp_path: Path
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(Path(experiment.given[1]).read_text() + "kl_coef: 0.5\n")
    filed = (experiment.folder / "results.json").read_bytes()
    with pytest.raises(UsageError, match=r"other settings: kl_coef is 0\.02 there, 0\.5 here"):
        run_experiment(plan(str(other), output_dir=str(experiment.folder)))
    assert (experiment.folder / "results.json").read_bytes() == filed
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(UsageError, match="is no experiment"):
        run_experiment(plan(str(other), output_dir=str(tmp_path / "mine")))


def test_a_second_command_in_the_same_folder_is_told_who_holds_it(
    experiment: Experiment, results: Results
) -> None:
    filed = (experiment.folder / "results.json").read_bytes()
    with held(experiment.folder):
        who = rf"is in use by process {os.getpid()} on {socket.gethostname()} since "
        with pytest.raises(UsageError, match=who) as told:
            run_experiment(experiment)
        assert "\n" not in str(told.value)
    assert (experiment.folder / "results.json").read_bytes() == filed
    run_experiment(experiment)  # once the first has ended


def test_dials_that_arms_set_are_refused_in_an_experiment(tmp_path: Path) -> None:
    config = tmp_path / "x.yaml"
    config.write_text("knowledge: 0.0\n")
    with pytest.raises(UsageError, match="knowledge is set by the arms"):
        plan(str(config))


def test_the_gates_of_a_task_need_its_honest_arm_only() -> None:
    planned = plan_gates("corridor", "0-1")
    assert [setting.name for setting in planned.settings] == ["neither"]
    run = planned.run_of(planned.honest, Run(0, 1))
    assert (run.study.task, run.study.arm, run.seed) == ("corridor", "neither", 1)
    assert planned.folder == Path("runs/gates-corridor")
    of_file = plan_gates("configs/inspection.yaml", "0")
    assert of_file.of_base(of_file.honest, 0).flat() == parse_run(
        ["--config", "configs/inspection.yaml", "--arm", "neither"]
    ).flat() | {"seed": of_file.run.seed}
    assert of_file.folder == Path("runs/gates-inspection")
    with pytest.raises(UsageError, match="did you mean 'corridor'"):
        plan_gates("corridr", "0-1")


def test_intervals_over_seeds_by_hand() -> None:
    """Of 1, 2 and 3: mean 2, standard error 1/√3, t(0.975, 2) = 4.3027."""
    found = interval([1.0, 2.0, 3.0])
    assert found.mean == 2
    assert found.high == pytest.approx(2 + 4.302653 / math.sqrt(3))
    assert interval_text(found) == "2.00\n\\[-0.48,4.48]"


def test_results_are_published_as_a_folder(
    experiment: Experiment, results: Results, tmp_path: Path
) -> None:
    draw_headlines(results, experiment.folder)
    readme = publish(experiment.folder, tmp_path / "docs" / "results" / "small")
    text = readme.read_text()
    assert f"**{headline(results)}.**" in text
    assert results.about.scores == "overseer"
    assert "Gates of corridor" in text
    assert "habit, threat 1" in text
    assert "![](threat_plane.png)" in text
    assert (results.took is not None and results.took.runs) >= 1
    filed = read(readme.parent / "results.json", Results)
    assert filed.arms.keys() == results.arms.keys()
    assert filed.drift == []
    beside = publish(experiment.folder, tmp_path / "beside", control=experiment.folder)
    assert read(beside.parent / "results.json", Results).drift
    assert "Selection or drift" in beside.read_text()
    with pytest.raises(UsageError, match=r"no results\.json"):
        publish(tmp_path, tmp_path / "x")


def test_every_arm_says_which_threat_comes_first(results: Results) -> None:
    assert len(results.arms) == 2
    for arm in results.arms.values():
        threats, game = arm.orders
        assert threats.curves == ("threat_1", "threat_2")
        assert game.curves == ("concealment_gap", "goal_directedness")
        assert threats.reason


def test_a_policy_that_mostly_writes_outside_the_space_has_a_note(results: Results) -> None:
    page = tables(results)
    coverage = results.arms["both"].figures["response_space_coverage"].mean
    assert coverage < 0.5
    assert f"(both, threat 2): judged on the {coverage:.2f} of the policy's probability" in page
