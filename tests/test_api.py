"""The Python API: frames that hold what is filed, of runs and experiments, without torch."""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import vl_convert

import rlhf_testbed as rt
from rlhf_testbed import api
from rlhf_testbed.evaluation import measuring
from rlhf_testbed.judging.episode import judge_cases
from rlhf_testbed.overseers.base import Sight
from rlhf_testbed.overseers.scripted import Scripted
from rlhf_testbed.report import threat_plane
from rlhf_testbed.shared.record import write
from rlhf_testbed.store import ledger, verdicts
from rlhf_testbed.store.experiment_records import Results
from rlhf_testbed.store.generations import Filter, found
from rlhf_testbed.store.run_directory import STAGES, RunDirectory
from rlhf_testbed.store.run_records import JudgedBy, Measures
from rlhf_testbed.store.runs_table import read_results, tabled
from rlhf_testbed.tasks.corridor import Corridor
from scripted_runs import write_experiment, write_results, write_run
from test_project import README, ended
from test_words import ROOT

ARMS = ("neither", "both", "goal_only", "habit")
BY_BASE = ROOT / "docs/results/corridor-dissociation"
"""Published results of several base policies."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment of twelve runs. Tests must not change it."""
    made = write_experiment(tmp_path_factory.mktemp("api") / "x", ARMS, (0, 1, 2))
    write_results(made)
    return made


@pytest.fixture(scope="module")
def run(folder: Path) -> rt.Run:
    return rt.load_run(folder / "both" / "seed-1")


@pytest.fixture(scope="module")
def experiment(folder: Path) -> rt.Experiment:
    return rt.load_experiment(folder)


def test_a_row_an_episode_in_the_ledgers_own_columns(run: rt.Run) -> None:
    shown, rows = run.generations(), ledger.read(run.path / "ledger")
    assert len(shown) == len(rows) == 32
    for name in ("update", "episode", "prompt", "response", "score", "approved", "reason"):
        assert list(shown[name]) == [getattr(row, name) for row in rows]
    assert list(shown.scenario) == [row.scenario_id for row in rows]
    assert set(shown.arm) == {"both"}
    assert set(shown.seed) == {1}
    assert not shown.anew.any()


def test_both_verdicts_and_traits_are_columns(run: rt.Run) -> None:
    shown, every = run.generations(), list(found(run.path, Filter()))
    assert list(shown.full_knowledge_score) == [one.truth.score for one in every]
    assert list(shown.full_knowledge_reason) == [one.truth.reason for one in every]
    assert list(shown.unwanted) == [not one.truth.approved for one in every]
    assert [None if pd.isna(v) else bool(v) for v in shown.trait_tramples_unseen] == [
        one.traits["tramples unseen"] for one in every
    ]
    assert shown.trait_tramples_unseen.isna().any()
    hit = [one.unwanted_approved for one in every if one.exposed]
    assert 0 < sum(map(bool, hit)) < len(hit)
    assert shown.unwanted_approved.mean() == pytest.approx(sum(map(bool, hit)) / len(hit))
    both = shown[shown.approved & shown.unwanted]
    assert len(both) == len(list(found(run.path, Filter(approved=True, unwanted=True))))


def test_types_do_not_hang_on_the_rows(run: rt.Run) -> None:
    frames = [run.generations(stage) for stage in STAGES]
    frames.append(run.generations(text="nothing like this"))
    assert frames[-1].empty
    assert len({tuple(map(str, frame.dtypes)) for frame in frames}) == 1
    assert len({tuple(frame.columns) for frame in frames}) == 1
    assert frames[1]["update"].isna().all()
    assert [set(frame.stage) for frame in frames[:3]] == [{stage} for stage in STAGES]


def test_every_later_overseer_has_columns_by_its_name(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "x", ("both",), (0, 1), updates=1)
    directory = RunDirectory(folder / "both" / "seed-1")
    judged_by = JudgedBy(overseer="scripted", knowledge=1.0)
    rows = ledger.read(directory.ledger)
    cases = [row.case for row in rows]
    said = [one.verdict for one in judge_cases(Scripted(Corridor(), Sight(1.0)), cases)]
    verdicts.write(directory.verdicts(judged_by, "training"), rows, said)
    measures = directory.evaluated(Measures).model_copy(update={"judged_by": judged_by})
    write(directory.evaluation(judged_by) / Measures.file, measures)
    shown = rt.load(folder).generations()
    by_run = shown.groupby("seed").scripted_knowledge_1_approved
    assert by_run.count().to_dict() == {0: 0, 1: 8}
    assert list(shown[shown.seed == 1].scripted_knowledge_1_reason) == [v.reason for v in said]
    assert rt.load_run(directory.path).judged_by == ["full_knowledge", "scripted-knowledge=1"]


def test_full_knowledge_is_asked_where_no_one_has_evaluated_and_that_is_said(
    tmp_path: Path,
) -> None:
    write_run(tmp_path / "run", measured=False)
    bare = rt.load_run(tmp_path / "run")
    shown = bare.generations()
    assert shown.anew.all()
    assert list(shown.full_knowledge_score) == [
        one.truth.score for one in found(bare.path, Filter())
    ]
    with pytest.raises(rt.UsageError, match="rlhf-testbed evaluate"):
        bare.generations("held_out")
    with pytest.raises(rt.UsageError, match="rlhf-testbed evaluate"):
        bare.measures()


def test_generations_take_the_options_of_inspect(experiment: rt.Experiment) -> None:
    assert Counter(experiment.generations().arm) == dict.fromkeys(ARMS, 96)
    some = experiment.generations(arm="both", updates=range(3, 5), approved=True, sort="-score")
    assert set(some.arm) == {"both"}
    assert set(some["update"]) == {3, 4}
    assert some.approved.all()
    assert list(some.score) == sorted(some.score, reverse=True)
    for wrong, said in (
        ({"arms": "both"}, "option 'arms' is unknown .did you mean 'arm'"),
        ({"arm": "x"}, "no run with arm = x"),
        ({"stage": "training_set"}, "stage 'training_set' is unknown"),
        ({"sort": "length"}, "--sort 'length' is unknown"),
    ):
        with pytest.raises(rt.UsageError, match=said):
            experiment.generations(**wrong)  # type: ignore[arg-type]


def test_a_task_whose_traits_come_and_go_is_told_of(
    run: rt.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = Corridor.traits
    responses = {row.response for row in ledger.read(run.path / "ledger")[1:]}

    def odd(task: Corridor, scenario: object, outcome: object) -> dict[str, bool | None]:
        traits = dict(of(task, scenario, outcome))  # type: ignore[arg-type]
        return traits if not calls.append(0) and len(calls) < 3 else {**traits, "sings": True}  # type: ignore[func-returns-value]

    calls: list[int] = []
    monkeypatch.setattr(Corridor, "traits", odd)
    assert len(responses) > 1
    with pytest.raises(rt.UsageError, match="columns trait_sings are not those of the first"):
        run.generations()


def test_measures_and_checkpoints_are_those_on_disk(run: rt.Run) -> None:
    filed, measures = RunDirectory(run.path).evaluated(Measures), run.measures()
    for name, value in filed.figures.items():
        assert measures[name] == pytest.approx(value, nan_ok=True)
    assert measures["threat_2_by_goal.right_end"] == filed.threat_2_by_goal["right_end"]
    assert measures.name == "both, seed 1"
    checkpoints = run.checkpoints()
    assert list(checkpoints["update"]) == [0, 1, 2, 3, 4]
    assert list(checkpoints.threat_2) == [0.25 * update for update in range(5)]
    assert (run.arm, run.seed, run.base_seed) == ("both", 1, 0)
    assert run.settings.flat()["knowledge"] == 0.0


def test_a_table_has_a_row_an_arm_with_the_interval_of_each_figure(
    experiment: rt.Experiment,
) -> None:
    results = read_results(experiment.path)
    table = experiment.table().set_index("arm")
    assert list(table.index) == list(results.arms)
    for name, arm in results.arms.items():
        assert table.runs[name] == 3
        assert table.knowledge[name] == arm.dials.knowledge
        for figure, interval in arm.figures.items():
            shown = [table.loc[name, f"{figure}{end}"] for end in ("", "_low", "_high")]
            assert shown == pytest.approx([interval.mean, interval.low, interval.high], nan_ok=True)
    few = experiment.table(["threat_1"])
    assert [c for c in few.columns if "threat" in c] == [
        "threat_1",
        "threat_1_low",
        "threat_1_high",
    ]
    assert math.isnan(few.set_index("arm").threat_1["habit"])
    with pytest.raises(rt.UsageError, match="figure 'threat1' is unknown"):
        experiment.table(["threat1"])


def test_intervals_are_the_same_with_a_row_a_figure(experiment: rt.Experiment) -> None:
    wide, tidy = experiment.table(), experiment.intervals()
    assert len(tidy) == sum(len(arm.figures) for arm in experiment.results.arms.values())
    again = tidy.pivot(index="arm", columns="figure", values="high")
    for arm, figure in (("both", "threat_1"), ("neither", "threat_2")):
        expected = wide.set_index("arm").loc[arm, f"{figure}_high"]
        assert again.loc[arm, figure] == expected


def test_runs_have_a_row_each(experiment: rt.Experiment) -> None:
    runs = experiment.runs()
    assert len(runs) == 12
    row = runs[(runs.arm == "both") & (runs.seed == 2)].iloc[0]
    assert (row.threat_1, row.method, row["threat_2_by_goal.right_end"]) == (0.92, "ppo", 1.0)
    spread = runs.groupby("arm").threat_2.mean()
    means = experiment.table(["threat_2"]).set_index("arm").threat_2
    assert spread.to_dict() == pytest.approx(means.to_dict())


def test_contrasts_and_gates_are_those_that_are_filed(experiment: rt.Experiment) -> None:
    filed, contrasts = experiment.results.contrasts, experiment.contrasts()
    assert len(contrasts) == len(filed) > 0
    for (_, row), one in zip(contrasts.iterrows(), filed, strict=True):
        assert (row.arm_more, row.arm_less) == one.arms
        assert row.difference == pytest.approx(one.difference, nan_ok=True)
        assert (row.verdict, row.reason) == (one.decision.verdict, one.decision.reason)
    gates = experiment.gates()
    assert dict(zip(gates.gate, gates.status, strict=True)) == {"knowable": "PASS", "panel": "PASS"}
    with pytest.raises(rt.UsageError, match="one base policy only"):
        experiment.gates(by_base_policy=True)


def test_what_is_published_can_be_loaded_with_the_gates_of_each_base_policy() -> None:
    published = rt.load_experiment(BY_BASE)
    assert published.contrasts().verdict.isin(["moved", "equivalent", "undecided"]).all()
    assert len(published.runs()) == published.table().runs.sum() > 20
    gates = published.gates(by_base_policy=True)
    bases = set(published.runs().base_seed)
    assert len(bases) > 1
    assert set(gates.base_seed) == bases
    (why,) = published.missing
    assert "neither a run" in why


def test_the_figures_of_many_runs_come_from_their_table(folder: Path, tmp_path: Path) -> None:
    from rlhf_testbed.store import runs_table

    whole = read_results(folder)
    arms = {name: tabled(arm) for name, arm in whole.arms.items()}
    runs_table.write_results(tmp_path, whole.model_copy(update={"arms": arms}))
    pd.testing.assert_frame_equal(
        rt.load_experiment(tmp_path).runs(), rt.load_experiment(folder).runs()
    )


def test_an_unfinished_experiment_warns_and_has_what_is_measured(tmp_path: Path) -> None:
    made = write_experiment(tmp_path / "x", updates=1)
    (made / "both/seed-1/evaluation/full_knowledge/measures.json").unlink()
    unfinished = rt.load_experiment(made)
    with pytest.warns(UserWarning, match="the experiment has not finished") as told:
        table = unfinished.table()
    assert told[0].filename == __file__
    assert table.set_index("arm").runs.to_dict() == {"neither": 2, "both": 1}
    assert list(unfinished.contrasts().columns)
    assert unfinished.gates().empty
    assert "status" in unfinished.gates()
    assert any("both/seed-1" in why for why in unfinished.missing)


def test_the_threat_plane_draws_the_same_rows_as_the_report(
    experiment: rt.Experiment, run: rt.Run
) -> None:
    chart = rt.threat_plane(experiment)
    figure = threat_plane.figure(experiment.results)
    spec = chart.to_dict()
    assert spec["datasets"]["drawn"] == figure.rows
    assert spec["title"]["text"] == figure.title
    drawn = vl_convert.vegalite_to_svg(spec)
    assert {"never", "exposed"} <= set(re.findall(r">(\w+)<", drawn))
    assert "threat 1: unwanted yet approved" in drawn
    assert rt.threat_plane(run).to_dict()["datasets"]["drawn"]


def test_load_tells_runs_from_experiments_and_names_what_is_neither(
    folder: Path, tmp_path: Path
) -> None:
    assert isinstance(rt.load(str(folder)), rt.Experiment)
    assert isinstance(rt.load(folder / "both/seed-0"), rt.Run)
    with pytest.raises(rt.UsageError, match="no such run or experiment"):
        rt.load(tmp_path / "nowhere")
    with pytest.raises(rt.UsageError, match="neither a run"):
        rt.load(tmp_path)
    with pytest.raises(rt.UsageError, match="no such run"):
        rt.load_run(folder)
    with pytest.raises(rt.UsageError, match="nor an experiment"):
        rt.load_experiment(folder / "both/seed-0")
    assert Results.file in {file.name for file in folder.iterdir()}


def test_the_package_offers_all_of_it_and_each_part_says_what_it_is() -> None:
    assert set(rt.__all__) <= set(dir(rt))
    for name in rt.__all__:
        offered = getattr(rt, name)
        assert offered is getattr(measuring if name == "measure" else api, name)
        assert offered.__doc__
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        rt.laod  # noqa: B018


def test_importing_it_brings_nothing_and_reading_brings_no_torch(folder: Path) -> None:
    told = f"""
import sys
import rlhf_testbed as rt
print(sorted({{"torch", "pandas", "pyarrow", "numpy", "altair", "pydantic"}} & {{*sys.modules}}))
experiment = rt.load({str(folder)!r})
experiment.table(), experiment.runs(), experiment.generations(), rt.threat_plane(experiment)
print(sorted({{"torch", "trl", "datasets", "peft", "accelerate"}} & {{*sys.modules}}))
"""
    assert ended(told).splitlines() == ["[]", "[]"]


def test_the_lines_of_the_readme_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = re.findall(r"^## From Python$.*?^```python\n(.*?)^```$", README, re.M | re.S)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/corridor-demo").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), names)
    assert isinstance(names["experiment"], rt.Experiment)
    assert len(names["shown"]) == 32  # type: ignore[arg-type]
    assert (tmp_path / "plane.html").stat().st_size > 1000


def test_the_mean_of_the_held_out_generations_is_threat_1_as_it_was_measured(
    evaluated: Path,
) -> None:
    run = rt.load_run(evaluated)
    shown = run.generations("held_out")
    assert shown.unwanted_approved.count() > 0
    assert shown.unwanted_approved.mean() == pytest.approx(run.measures()["threat_1_sampled"])
