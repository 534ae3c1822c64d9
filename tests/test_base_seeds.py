"""Base policies crossed with training seeds: what is planned, filed, matched and said."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from conftest import SMALL
from rlhf_testbed.experiment.contrasts import contrasts
from rlhf_testbed.experiment.jobs import base_policies, is_run, missing
from rlhf_testbed.experiment.over_seeds import arm_results, interval
from rlhf_testbed.experiment.plan import Experiment, Run, plan, plan_gates
from rlhf_testbed.experiment.results import elsewhere, runs_measured, summarise
from rlhf_testbed.report.gathered import gather
from rlhf_testbed.report.page import write_report
from rlhf_testbed.report.publish import tables
from rlhf_testbed.report.sentences import (
    bounded,
    n_told,
    needed_told,
    ranged,
    sentence,
    told_figure,
)
from rlhf_testbed.report.sources import Source
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.record import read, write
from rlhf_testbed.store.experiment_records import (
    BASES,
    SEEDS,
    ArmResults,
    Gate,
    GatesFile,
    Results,
)
from rlhf_testbed.store.generations import Filter, found, runs_in
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import JudgedBy, Measures, ProxyAndGold
from rlhf_testbed.tasks.base import Dials
from scripted_runs import write_run

NAN = math.nan
THREATS = {
    "both": {0: (0.98, 1.0), 1: (0.96, 1.1), 2: (0.60, 0.2)},
    "neither": {0: (0.0, 0.0), 1: (0.01, 0.02), 2: (0.0, 0.01)},
}
"""Threat 1 and 2 by arm and base policy; a training seed adds a hundredth."""


def _config(folder: Path, **more: object) -> Path:
    words = " ".join(SMALL).replace("--", "").split()
    settings = dict(zip(words[::2], map(yaml.safe_load, words[1::2]), strict=True))
    config = folder / "small.yaml"
    settings |= {"arms": ["both", "neither"], "seeds": "0-1"}
    config.write_text(yaml.safe_dump({**settings, **more}))
    return config


def _measures(arm: str, base: int, seed: int, one: float, two: float) -> Measures:
    dials = Dials(0, 0, 1, 0.3) if arm == "both" else Dials(1, 0, 1, 0.3)
    figures = {"threat_1": one, "threat_2": two, "base_threat_1": 0.2}
    figures |= {"score_by_full_knowledge": 1.0, "score_of_reference": 1.0}
    return Measures(
        arm=arm,
        seed=seed,
        base_seed=base,
        dials=dials,
        judged_by=JudgedBy(overseer="full_knowledge"),
        figures=figures | {"approval_by_full_knowledge": 0.99},
    )


def _gate(name: str, base: int, failing: int | None) -> Gate:
    failed = name == "selectable" and base == failing
    return Gate(
        name=name, status="FAIL" if failed else "PASS", figure={}, detail=f"{name} of {base}"
    )


def _experiment(folder: Path, failing: int | None = None, base_seeds: str = "0-2") -> Experiment:
    """An experiment whose runs and gates are filed as if they had been made."""
    planned = plan(str(_config(folder, base_seeds=base_seeds)), output_dir=str(folder / "out"))
    for name, by_base in THREATS.items():
        for base, seed in planned.runs:
            one, two = by_base[base]
            run = planned.directory(name, seed, base).evaluation()
            filed = _measures(name, base, seed, one + 0.01 * seed, two + 0.01 * seed)
            run.mkdir(parents=True)
            write(run / Measures.file, filed)
            write(run / ProxyAndGold.file, ProxyAndGold(curves={}))
    names = ("knowable", "blind spot declared", "panel", "selectable", "distinguishable")
    for base in planned.base_seeds:
        gates = [_gate(name, base, failing) for name in names]
        write(planned.gates_file(base), GatesFile(gates=gates))
    return planned


def test_base_seeds_are_crossed_with_training_seeds(tmp_path: Path) -> None:
    planned = plan(str(_config(tmp_path, base_seeds="0,2")), output_dir=str(tmp_path / "out"))
    assert planned.runs == (Run(0, 0), Run(0, 1), Run(2, 0), Run(2, 1))
    names = {planned.directory("both", seed, base).path.name for base, seed in planned.runs}
    assert names == {"seed-0", "seed-1", "seed-0-base-2", "seed-1-base-2"}
    run = planned.run_of(planned.settings[0], Run(2, 1))
    assert (run.base.base_seed, run.seed) == (2, 1)
    assert str(run.output_dir).endswith("both/seed-1-base-2")
    jobs = missing(planned)
    assert sum(is_run(job) for job in jobs) == 2 * 4
    assert [job.title for job in base_policies(planned)] == [
        "base policy 0, ρ = 0.3",
        "base policy 2, ρ = 0.3",
    ]
    assert [job.title for job in jobs if not is_run(job)] == [
        "gates, base policy 0",
        "gates, base policy 2",
    ]
    assert pickle.loads(pickle.dumps(jobs)) == jobs


def test_without_base_seeds_everything_is_where_it_was(tmp_path: Path) -> None:
    planned = plan(str(_config(tmp_path, base_seed=3)), output_dir=str(tmp_path / "out"))
    assert planned.base_seeds == (3,)
    assert planned.directory("both", 1, 3).path == tmp_path / "out" / "both" / "seed-1"
    assert planned.gates_file(3).name == "gates.json"
    assert next(job.title for job in missing(planned) if is_run(job)) == "both, seed 0"
    given = plan(str(_config(tmp_path)), base_seeds="1-2")
    assert given.base_seeds == (1, 2)  # the command line comes before the file
    assert plan_gates(str(_config(tmp_path, base_seeds="0-4")), "0").base_seeds == (0, 1, 2, 3, 4)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("0-4,2", "base_seeds = 0-4,2 names a seed twice"),
        ("a few", r"base_seeds = a few can't be read \(right: 0-4, or 7,11\)"),
        ("4-0", "base_seeds = 4-0 runs backwards"),
        ("-1", "base_seeds = -1 can't be read"),
    ],
)
def test_base_seeds_that_can_not_be_read_take_one_line(
    tmp_path: Path, asked: str, said: str
) -> None:
    for told in (
        lambda: plan(str(_config(tmp_path, base_seeds=asked))),
        lambda: plan(str(_config(tmp_path)), base_seeds=asked),
    ):
        with pytest.raises(UsageError, match=said) as error:
            told()
        assert "\n" not in str(error.value)


def test_intervals_are_over_base_policies_and_say_so(tmp_path: Path) -> None:
    results = summarise(_experiment(tmp_path))
    both = results.arms["both"]
    assert both.inference == BASES
    assert [(one.base_seed, one.seed) for one in both.seeds] == [
        (base, seed) for base in range(3) for seed in range(2)
    ]
    # Means over seeds 1.005, 1.105 and 0.205: mean 0.7717, sd 0.4931, t(0.975, 2) = 4.3027.
    threat_2 = both.figures["threat_2"]
    assert threat_2.mean == pytest.approx(0.7717, abs=1e-4)
    assert threat_2.high == pytest.approx(0.7717 + 4.3027 * 0.4933 / math.sqrt(3), abs=2e-3)
    assert (threat_2.base_policies, threat_2.runs) == (3, 6)
    assert both.components["threat_2"].within == pytest.approx(0.01**2 / 2)
    assert both.components["threat_2"].share > 0.99
    threat_1 = both.figures["threat_1"]
    assert 0 <= threat_1.low < 0.6 < threat_1.high <= 1
    assert results.about.base_seeds == [0, 1, 2]
    page = " ".join(tables(results).split())
    assert "n = 3 × 2" in page
    assert "3 base policies, each with 2 training seeds" in page
    assert "Intervals are over base policies" in page
    assert "Where the variance of a single run lies" in page


def test_one_base_policy_only_is_said(tmp_path: Path) -> None:
    results = summarise(_experiment(tmp_path, base_seeds="0"))
    assert {arm.inference for arm in results.arms.values()} == {SEEDS}
    assert results.gates_by_base == {}
    assert results.passing is None
    assert all(not arm.components for arm in results.arms.values())
    page = " ".join(tables(results).split())
    assert "Intervals are over the training seeds of one base policy" in page
    assert "2 training seeds of one base policy" in page
    assert "Where the variance" not in page


def test_contrasts_pair_by_base_policy_and_seed(tmp_path: Path) -> None:
    results = summarise(_experiment(tmp_path))
    one, two = results.contrasts
    assert (one.base_policies, one.runs, one.inference) == (3, 6, BASES)
    # Differences by base policy 0.98, 0.95 and 0.60; a seed's hundredth is in both arms.
    assert one.difference == pytest.approx((0.98 + 0.95 + 0.60) / 3)
    assert one.components is not None
    assert one.components.within == pytest.approx(0, abs=1e-12)
    assert one.p_corrected == pytest.approx(2 * one.p)  # the smaller of two
    assert two.p_corrected == pytest.approx(max(two.p, 2 * one.p))
    assert one.high == 1
    assert " to 1, p = " in one.decision.reason
    assert {each.claim for each in two.needed} == {"moved", "equivalent"}
    # Seeds hardly differ, so that more of them save no base policy.
    assert {each.seeds for each in two.needed} == {1}
    assert "base policies × 1" in needed_told(two)


def test_a_run_that_one_arm_lacks_is_not_matched() -> None:
    def arm(name: str, runs: Mapping[tuple[int, int], float]) -> ArmResults:
        seeds = [_measures(name, base, seed, one, 0.0) for (base, seed), one in runs.items()]
        return arm_results("", seeds, [ProxyAndGold(curves={})] * len(seeds))

    neither = arm("neither", {(0, 0): 0.0, (0, 1): 0.5, (1, 0): 0.0})
    both = arm("both", {(1, 0): 0.9, (0, 0): 0.8, (1, 1): 0.1})
    (found,) = contrasts({"neither": neither, "both": both}, {"threat_1": 0.1})
    assert (found.base_policies, found.runs) == (2, 2)
    assert found.difference == pytest.approx(0.85)
    # No base policy has two seeds: only how many base policies of one seed it takes is told.
    assert {one.seeds for one in found.needed} == {1}


def test_a_gate_that_fails_for_one_base_policy_is_reported_by_name(tmp_path: Path) -> None:
    results = summarise(_experiment(tmp_path, failing=2))
    gate = next(gate for gate in results.gates if gate.name == "selectable")
    assert gate.status == "FAIL"
    assert gate.detail.startswith("2 of 3 base policies passed (not 2); base policy 2: selectable")
    assert sorted(results.gates_by_base) == [0, 1, 2]
    passing = results.passing
    assert passing is not None
    assert passing.left_out == {2: ["selectable"]}
    without = passing.arms["both"]["threat_2"]
    assert without.mean == pytest.approx((1.005 + 1.105) / 2)
    assert (without.base_policies, without.runs) == (2, 4)
    assert results.arms["both"].figures["threat_2"].base_policies == 3
    page = tables(results)
    assert "Without base policy 2 (not passed: selectable)" in page
    again = Results.model_validate_json(results.model_dump_json())
    assert again.passing is not None
    assert again.passing.left_out == passing.left_out


def test_where_all_fail_there_is_nothing_to_do_without(tmp_path: Path) -> None:
    planned = _experiment(tmp_path)
    for base in planned.base_seeds:
        gates = read(planned.gates_file(base), GatesFile).gates
        broken = [gate.model_copy(update={"status": "FAIL"}) for gate in gates]
        write(planned.gates_file(base), GatesFile(gates=broken))
    results = summarise(planned)
    assert results.passing is None
    assert "0 of 3 base policies passed (not 0, 1, 2)" in results.gates[0].detail


def test_asking_for_fewer_base_policies_keeps_the_rest(tmp_path: Path) -> None:
    planned = _experiment(tmp_path)
    write(planned.folder / Results.file, summarise(planned))
    fewer = plan(planned.given[1], "0", str(planned.folder), base_seeds="1")
    assert runs_measured(fewer)["both"] == list(planned.runs)
    assert elsewhere(fewer)[:3] == [
        "both, seed 0, 1",
        "both, seed 1, base policy 1",
        "both, seed 0, 1, base policy 2",
    ]
    results = summarise(fewer)
    assert results.arms["both"].figures["threat_2"].runs == 6
    assert sorted(results.gates_by_base) == [0, 1, 2]


def test_figures_that_are_constant_missing_or_alone_have_right_words() -> None:
    constant = interval([1.0] * 4, [0, 0, 1, 1])
    assert told_figure(constant) == "1.00 (range 1.00 to 1.00, n = 2 × 2)"
    assert told_figure(interval([1.0] * 3)) == "1.00 (all alike, n = 3)"
    share = interval([1.0] * 5, share=True)
    assert told_figure(share) == "1.00 [0.84, 1.00] (n = 5)"
    assert told_figure(interval([0.5])) == "0.50 (n = 1)"
    assert told_figure(interval([0.5, NAN, 0.6], share=True)) == "-"
    assert told_figure(interval([])) == "-"
    two = interval([0.9, 0.8], share=True)
    assert ranged(two)
    assert not bounded(two)
    # A measure of somebody's own that calls itself a share but is none: Student's, and no crash.
    assert interval([-0.1, 0.1, 0.3], share=True).low < -0.1
    assert n_told(0, 0) == ""


def test_a_sentence_names_how_many(tmp_path: Path) -> None:
    results = summarise(_experiment(tmp_path))
    assert "(n = 3 × 2)" in sentence(results, "threat_2")


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of two base policies in one folder, as an experiment leaves them."""
    folder = tmp_path_factory.mktemp("crossed") / "x"
    for base, name in ((0, "seed-0"), (2, "seed-0-base-2")):
        place = folder / "both" / name
        write_run(place, "both", 0, updates=2)
        config = place / "config.yaml"
        settings = yaml.safe_load(config.read_text())
        config.write_text(yaml.safe_dump(settings | {"base_seed": base}, sort_keys=False))
    return folder


def test_readers_tell_the_base_policies_apart(crossed: Path) -> None:
    assert [run.path.name for run in runs_in(crossed)] == ["seed-0", "seed-0-base-2"]
    assert {one.run for one in found(crossed, Filter())} == {
        "both, seed 0",
        "both, seed 0, base policy 2",
    }
    only = list(found(crossed, Filter(base_seed=2)))
    assert {one.run for one in only} == {"both, seed 0, base policy 2"}
    with pytest.raises(UsageError, match=r"no run with base_seed = 7 \(there are: 0, 2\)"):
        found(crossed, Filter(base_seed=7))
    source = Source.of(crossed)
    assert [run.base_seed for run in source.runs] == [0, 2]
    assert source.results.about.base_seeds == [0, 2]
    arm = source.results.arms["both"]
    assert arm.inference == BASES
    assert arm.figures["threat_1"].base_policies == 2


def test_exports_name_the_base_policy(crossed: Path) -> None:
    from rlhf_testbed.export.record import read_record

    titles = {
        read_record(RunDirectory(crossed / "both" / name)).title
        for name in ("seed-0", "seed-0-base-2")
    }
    assert titles == {"corridor-both-seed-0", "corridor-both-seed-0-base-policy-2"}


def test_the_page_shows_a_range_and_the_population(crossed: Path) -> None:
    page = write_report(crossed).read_text(encoding="utf-8")
    assert "2 base policies, each with 1 training seed" in page
    assert "Intervals are over base policies" in page
    assert "range 0.90 to 0.90" in page
    arms = [run["arm"] for run in gather(Source.of(crossed)).store.runs]
    assert arms == ["both", "both, base policy 2"]
