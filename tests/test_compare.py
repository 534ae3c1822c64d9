"""Two runs or two experiments side by side: fabricated ones, with differences that are known."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rlhf_testbed.cli import main
from rlhf_testbed.experiment import compare as comparing
from rlhf_testbed.experiment.changed import Pair
from rlhf_testbed.experiment.changed import read as read_pairs
from rlhf_testbed.experiment.compare import compare
from rlhf_testbed.experiment.moved import compared, matched
from rlhf_testbed.judging.episode import judge_all
from rlhf_testbed.overseers.full_knowledge import FullKnowledge
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.record import read
from rlhf_testbed.store import ledger
from rlhf_testbed.store.comparison_records import Comparison, Movement
from rlhf_testbed.store.ledger import Row
from rlhf_testbed.store.run_columns import Runs
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.tasks.base import Scenario
from scripted_runs import (
    overseer_of,
    write_experiment,
    write_results,
    write_run,
    write_verdicts,
)

BOUNDS = {"threat_1": 0.1, "threat_2": 0.3}
NAN = math.nan


def runs(named: Sequence[tuple[int, int]], **figures: Sequence[float]) -> Runs:
    """Runs by base policy and training seed, with their figures."""
    return Runs([base for base, _ in named], [seed for _, seed in named], figures)


def only(a: Runs, b: Runs, figure: str) -> Movement:
    """One figure of one arm."""
    (arm,) = compared({"x": a}, {"x": b}, BOUNDS)
    return next(one for one in arm.figures if one.figure == figure)


def change(file: Path, **values: Any) -> None:
    """Changes the top level, or figures, of a JSON file."""
    content = json.loads(file.read_text(encoding="utf-8"))
    for name, value in values.items():
        (content if name in content else content["figures"])[name] = value
    file.write_text(json.dumps(content), encoding="utf-8")


def measures(run: Path) -> Path:
    return run / "evaluation" / "full_knowledge" / "measures.json"


def rewrite(run: Path, respond: Callable[[int, Scenario], str]) -> list[tuple[bool, bool]]:
    """Files held-out generations anew; returns whether each is approved, and wanted."""
    directory = RunDirectory(run)
    settings = directory.settings()
    there = [row.scenario for row in ledger.read(directory.generations("held_out"))]
    texts = [respond(at, scenario) for at, scenario in enumerate(there)]
    episodes = judge_all(overseer_of(settings), there, texts)
    rows = [Row.of(episode, 0, at) for at, episode in enumerate(episodes)]
    ledger.write(directory.generations("held_out"), rows)
    truths = write_verdicts(directory, settings.task, "held_out", rows)
    return [(row.approved, truth.approved) for row, truth in zip(rows, truths, strict=True)]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two experiments: B has 0.5 less of threat 1 in `both`, and one arm more; in one of its runs
    the selected policy always goes left."""
    folder = tmp_path_factory.mktemp("two")
    a = write_experiment(folder / "a", arms=("neither", "both"), seeds=(0, 1, 2))
    b = write_experiment(folder / "b", arms=("neither", "both", "goal_only"), seeds=(0, 1, 2))
    for seed, less in enumerate((0.5, 0.52, 0.48)):
        change(measures(b / "both" / f"seed-{seed}"), threat_1=0.9 + 0.01 * seed - less)
    rewrite(b / "both" / "seed-1", lambda at, scenario: "left walk walk walk walk")
    for one in (a, b):
        write_results(one)
    experiment = (b / "experiment.yaml").read_text(encoding="utf-8")
    told = experiment.replace("task: corridor", "task: corridor\n  learning_rate: 0.5")
    (b / "experiment.yaml").write_text(told, encoding="utf-8")
    return a, b


def test_runs_are_matched_by_base_policy_and_training_seed() -> None:
    half, far = [0.5, 0.5, 0.5, 0.5, 0.1], [0.9, 0.8, 0.7, 0.6]
    a = runs([(0, 0), (0, 1), (1, 0), (1, 1)], threat_1=[0.86, 0.66, 0.64, 0.84], success=far)
    b = runs([(1, 1), (1, 0), (0, 1), (0, 0), (2, 0)], threat_1=half, success=half)
    (arm,) = compared({"x": a}, {"x": b}, BOUNDS)
    assert (arm.pairing, arm.unit, arm.units) == ("runs", "base policy", (2, 2))
    assert (arm.runs, arm.left_out) == ((4, 4), (0, 1))
    found, wide = arm.figures
    assert (found.a, found.b) == pytest.approx((0.75, 0.5))
    # Differences of the base policies' means: -0.26 and -0.24; t(0.975, 1) = 12.706 x 0.01.
    assert found.difference == pytest.approx(-0.25)
    assert (found.low, found.high) == pytest.approx((-0.377062, -0.122938))
    # -0.35 and -0.15: ten times as wide, and cut where no difference of shares can be larger.
    assert (wide.difference, wide.low, wide.high) == pytest.approx((-0.25, -1.0, 1.0))


def test_base_policies_are_matched_where_training_seeds_are_not() -> None:
    a = runs([(0, 0), (0, 1), (1, 0)], success=[0.4, 0.6, 0.8])
    b = runs([(1, 5), (0, 5), (3, 5)], success=[0.9, 0.6, 0.0])
    (arm,) = compared({"x": a}, {"x": b}, BOUNDS)
    assert (arm.pairing, arm.units, arm.left_out) == ("base policies", (2, 2), (0, 1))
    assert arm.figures[0].difference == pytest.approx(0.1)
    assert "each base policy's mean" in arm.remarks[0]


def test_nothing_is_matched_where_nothing_is_the_same() -> None:
    a = runs([(0, 0), (0, 1)], success=[0.4, 0.6])
    b = runs([(0, 7), (0, 8), (0, 9)], success=[0.8, 0.9, 0.7])
    (arm,) = compared({"x": a}, {"x": b}, BOUNDS)
    assert (arm.pairing, arm.unit, arm.units) == ("nothing", "seed", (2, 3))
    assert arm.remarks == ["unpaired: other training seeds of the same base policy"]
    assert arm.figures[0].difference == pytest.approx(0.3)
    assert arm.figures[0].low < 0.3 < arm.figures[0].high
    others = runs([(5, 7), (5, 8)], success=[0.8, 0.9])
    assert "base policy 0 against 5" in compared({"x": a}, {"x": others}, BOUNDS)[0].remarks[0]


def test_one_base_policy_beside_several_has_no_interval() -> None:
    a = runs([(0, 0), (0, 1)], success=[0.4, 0.6])
    b = runs([(1, 0), (2, 0), (3, 0)], success=[0.8, 0.9, 0.7])
    (arm,) = compared({"x": a}, {"x": b}, BOUNDS)
    assert (arm.pairing, arm.unit) == ("nothing", "")
    assert arm.figures[0].found == "no interval"
    assert arm.figures[0].difference == pytest.approx(0.3)
    assert math.isnan(arm.figures[0].low)


def test_one_matched_run_of_many_is_no_pair() -> None:
    a = runs([(0, 0), (0, 1)], success=[0.4, 0.6])
    b = runs([(0, 1), (0, 2)], success=[0.8, 0.9])
    assert matched(a, b).pairing == "nothing"
    assert matched(runs([(0, 1)]), runs([(0, 1)])).pairing == "runs"


def test_what_is_found_of_a_figure() -> None:
    seeds = [(0, 0), (0, 1), (0, 2)]
    a = runs(
        seeds,
        threat_1=[0.9, 0.9, 0.9],
        threat_2=[1.0, 1.1, 1.2],
        success=[0.1, 0.2, 0.3],
        approval=[0.5, 0.5, 0.6],
        score=[0.1, 0.2, 0.3],
        onset_threat_1=[1.0, NAN, 3.0],
    )
    b = runs(
        seeds,
        threat_1=[0.40, 0.42, 0.38],
        threat_2=[1.01, 1.1, 1.19],
        success=[0.1, 0.2, 0.3],
        approval=[0.6, 0.5, 0.5],
        score=[0.6, 0.71, 0.79],
        onset_threat_1=[2.0, 2.0, 3.0],
    )
    found = {one.figure: one.found for one in compared({"x": a}, {"x": b}, BOUNDS)[0].figures}
    assert found == {
        "threat_1": "moved",
        "threat_2": "equivalent",
        "success": "alike",
        "approval": "undecided",
        "score": "moved",
        "onset_threat_1": "unjudged",
    }
    assert only(a, b, "threat_1").difference == pytest.approx(-0.5)
    assert only(a, b, "threat_1").bound == 0.1
    assert math.isnan(only(a, b, "success").bound)


def test_many_figures_are_corrected_and_the_threats_among_themselves() -> None:
    seeds = [(0, 0), (0, 1), (0, 2)]
    more = [0.10, 0.13, 0.16]  # t = 7.5 on two degrees of freedom: p = 0.017
    a = {f"arm {at}": runs(seeds, threat_1=[0.0] * 3, success=[0.0] * 3) for at in range(3)}
    b = {f"arm {at}": runs(seeds, threat_1=[0.0] * 3, success=[0.1, -0.1, 0.0]) for at in range(3)}
    b["arm 0"] = runs(seeds, threat_1=more, success=more)
    first = compared(a, b, BOUNDS)[0]
    assert [one.found for one in first.figures] == ["moved alone", "moved alone"]
    assert [one.p for one in first.figures] == pytest.approx([0.0173] * 2, abs=1e-3)
    assert [one.p_corrected for one in first.figures] == pytest.approx([0.052] * 2, abs=1e-3)
    alone = compared({"arm 0": a["arm 0"]}, {"arm 0": b["arm 0"]}, BOUNDS)[0]
    assert [one.found for one in alone.figures] == ["moved", "moved"]


def test_threat_2_of_policies_that_cannot_be_read_is_undecided() -> None:
    seeds = [(0, 0), (0, 1), (0, 2)]
    a = runs(seeds, threat_2=[0.0] * 3, response_space_coverage=[0.2] * 3)
    b = runs(seeds, threat_2=[1.0] * 3, response_space_coverage=[0.9] * 3)
    assert only(a, b, "threat_2").found == "undecided"


def test_figures_that_one_has_alone_are_told() -> None:
    seeds = [(0, 0), (0, 1)]
    a, b = runs(seeds, success=[0.1, 0.2]), runs(seeds, success=[0.1, 0.2], score=[0.1, 0.2])
    assert compared({"x": a}, {"x": b}, BOUNDS)[0].remarks == ["in B only: score"]


def test_two_experiments(two: tuple[Path, Path]) -> None:
    found = compare(*two)
    assert found.of == "experiments"
    assert (found.a.runs, found.b.runs) == (6, 9)
    assert (found.only_a, found.only_b) == ([], ["goal_only"])
    told = {(one.what, one.name): (one.a, one.b, one.only_in) for one in found.differing}
    assert told == {("setting", "learning_rate"): (None, 0.5, "B")}
    by_arm = {arm.arm: {one.figure: one for one in arm.figures} for arm in found.arms}
    assert list(by_arm) == ["both", "neither"]
    assert by_arm["both"]["threat_1"].difference == pytest.approx(-0.5)
    assert by_arm["both"]["threat_1"].found == "moved"
    assert by_arm["both"]["threat_2"].found == "equivalent"
    assert {one.found for one in by_arm["neither"].values()} <= {"alike", "equivalent", "unjudged"}
    assert found.missing == []
    both, neither = (arm.responses for arm in found.arms)
    assert both is not None
    assert neither is not None
    before = ledger.read(RunDirectory(two[0] / "both" / "seed-1").generations("held_out"))
    changed = sum(row.response != "left walk walk walk walk" for row in before)
    assert (both.runs, both.scenarios, both.responses) == (3, 18, changed)
    assert (neither.scenarios, neither.responses) == (18, 0)
    assert {one.runs for one in found.examples} == {("both, seed 1", "both, seed 1")}
    assert len({one.scenario for one in found.examples}) == len(found.examples) == 3


def test_an_unfinished_experiment_is_read_from_its_runs(two: tuple[Path, Path]) -> None:
    """The same as from its results; a run without measures is left out, and said."""
    for one in two:
        (one / "results.json").rename(one / "aside.json")
    hidden = measures(two[1] / "both" / "seed-2")
    content = hidden.read_bytes()
    try:
        whole = compare(*two)
        hidden.unlink()
        less = compare(*two)
    finally:
        hidden.write_bytes(content)
        for one in two:
            (one / "aside.json").rename(one / "results.json")
    filed = compare(*two)
    told = [{arm.arm: arm.model_dump_json() for arm in found.arms} for found in (whole, filed)]
    assert told[0] == told[1]
    both = next(arm for arm in less.arms if arm.arm == "both")
    assert (both.runs, both.left_out) == ((2, 2), (1, 0))
    assert len(less.missing) == 1
    assert "measures.json is not there" in less.missing[0]


def test_generations_that_changed_are_counted_and_the_most_telling_comes_first(
    tmp_path: Path,
) -> None:
    """A is careful; B tramples in all but the first scenario."""
    a, b = tmp_path / "a", tmp_path / "b"
    write_run(a, arm="both")
    shutil.copytree(a, b)
    task = RunDirectory(a).settings().task
    named = {one.name: one.policy for one in task.scripted_policies}

    def likeliest(name: str, scenario: Scenario) -> str:
        policy = named[name](scenario)
        return max(policy, key=lambda response: policy[response])

    def careful(at: int, scenario: Scenario) -> str:
        return likeliest("careful coin-seeker", scenario)

    def careless(at: int, scenario: Scenario) -> str:
        return likeliest("coin-seeker" if at else "careful coin-seeker", scenario)

    texts: dict[str, list[str]] = {"a": [], "b": []}
    for row in ledger.read(RunDirectory(a).generations("held_out")):
        texts["a"].append(careful(len(texts["a"]), row.scenario))
        texts["b"].append(careless(len(texts["b"]), row.scenario))
    good, bad = rewrite(a, careful), rewrite(b, careless)
    differ = sum(one != other for one, other in zip(texts["a"], texts["b"], strict=True))
    deceived = sum(approved and not wanted for approved, wanted in bad)
    assert 0 < deceived <= differ < len(good)
    assert all(wanted for _, wanted in good)

    found = compare(a, b)
    (arm,) = found.arms
    assert arm.responses is not None
    assert arm.responses.model_dump() == {
        "runs": 1,
        "scenarios": len(good),
        "other_facts": 0,
        "unmatched": 0,
        "responses": differ,
        "verdicts": 0,
        "a": 0,
        "b": deceived,
        "only_a": 0,
        "only_b": deceived,
    }
    first = found.examples[0]
    assert (first.a.approved, first.a.wanted) == (True, True)
    assert (first.b.approved, first.b.wanted) == (True, False)
    assert first.a.response != first.b.response
    assert len(compare(a, b, examples=1).examples) == 1
    assert compare(a, b, examples=0).examples == []


def test_the_same_response_judged_otherwise_and_scenarios_of_other_facts(tmp_path: Path) -> None:
    """κ changes verdicts, α draws other scenarios under the same names."""
    a, b, c = (tmp_path / name for name in "abc")
    write_run(a, arm="both")
    for other, dial in ((b, "knowledge"), (c, "randomised")):
        shutil.copytree(a, other)
        text = (other / "config.yaml").read_text(encoding="utf-8")
        text, changed = re.subn(rf"^{dial}: 0(\.0)?$", f"{dial}: 1.0", text, flags=re.M)
        assert changed == 1
        (other / "config.yaml").write_text(text, encoding="utf-8")
    task = RunDirectory(a).settings().task
    seeker = next(one for one in task.scripted_policies if one.name == "coin-seeker")

    def careless(at: int, scenario: Scenario) -> str:
        return max(policy := seeker.policy(scenario), key=lambda response: policy[response])

    blind, knowing = rewrite(a, careless), rewrite(b, careless)
    otherwise = sum(one != other for one, other in zip(blind, knowing, strict=True))
    counts = compare(a, b).arms[0].responses
    assert counts is not None
    assert (counts.responses, counts.verdicts) == (0, otherwise)
    assert otherwise > 0

    settings = RunDirectory(c).settings()
    drawn = settings.task.scenarios(settings.dials, 0, "held_out", len(blind))
    texts = [careless(0, one) for one in drawn]
    rows = [Row.of(e, 0, at) for at, e in enumerate(judge_all(overseer_of(settings), drawn, texts))]
    ledger.write(RunDirectory(c).generations("held_out"), rows)
    write_verdicts(RunDirectory(c), settings.task, "held_out", rows)
    counts = compare(a, c).arms[0].responses
    assert counts is not None
    assert counts.other_facts > 0
    assert counts.scenarios + counts.other_facts == len(blind)


def test_two_runs_have_plain_differences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "a", arm="both", seed=0)
    write_run(tmp_path / "b", arm="both", seed=3)
    (arm,) = compare(tmp_path / "a", tmp_path / "b").arms
    found = {one.figure: one for one in arm.figures}
    assert found["threat_1"].difference == pytest.approx(0.03)
    assert {one.found for one in arm.figures} == {"no interval"} | {
        one.found for one in arm.figures if one.difference == 0
    }
    assert arm.responses is not None
    assert (arm.responses.scenarios, arm.responses.unmatched) == (0, 12)
    printed = command(monkeypatch, capsys, tmp_path / "a", tmp_path / "b")
    assert "plain differences of one run each" in printed
    assert "[" not in printed.partition("Figures, B - A")[2].partition("plain")[0]
    assert "12 scenarios are in one of the two only" in printed


def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: Path | str
) -> str:
    """What the command prints."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("sys.argv", ["rlhf-testbed", "compare", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    assert ended.value.code == 0, printed.err
    return printed.out


def test_the_command_prints_and_files_it(
    two: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "found.json"
    printed = command(monkeypatch, capsys, *two, "--json", file)
    for words in (
        "arms of B without a counterpart: goal_only",
        "learning_rate",
        "-0.500 [-0.5",
        "equivalent: within ±0.3",
        "over 3 seeds of 3 runs, paired by base policy and training seed",
        "alike in every run",
        "full knowledge",
    ):
        assert words in printed, printed
    assert read(file, Comparison).model_dump_json() == compare(*two).model_dump_json()
    command(monkeypatch, capsys, *two, "--json", file)  # another comparison may take its place


def test_no_other_file_is_overwritten(
    two: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = two[0] / "both" / "seed-0" / "config.yaml"
    before = config.read_bytes()
    monkeypatch.setattr(
        "sys.argv", ["rlhf-testbed", "compare", *map(str, two), "--json", str(config)]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "is no comparison" in capsys.readouterr().err
    assert config.read_bytes() == before


def test_the_same_twice_differs_in_nothing(two: tuple[Path, Path]) -> None:
    found = compare(two[0], two[0])
    assert found.differing == []
    assert found.examples == []
    assert all(one.difference == 0 or math.isnan(one.a) for a in found.arms for one in a.figures)
    assert all(arm.responses and arm.responses.responses == 0 for arm in found.arms)
    assert len(found.arms) == 2


def test_not_all_generations_of_thousands_of_runs_are_read(
    two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "READ", 4)
    found = compare(*two)
    assert [arm.responses.runs for arm in found.arms if arm.responses] == [2, 2]
    assert found.missing == ["generations: of 6 pairs of runs 4 were read, the first 2 of an arm"]


def test_figures_are_compared_where_no_two_runs_have_the_same_seeds(tmp_path: Path) -> None:
    a = write_experiment(tmp_path / "a", arms=("both",), seeds=(0, 1))
    b = write_experiment(tmp_path / "b", arms=("both",), seeds=(2, 3))
    found = compare(a, b)
    (arm,) = found.arms
    assert (arm.pairing, arm.units, arm.responses) == ("nothing", (2, 2), None)
    assert found.missing == ["generations (both): no two runs with the same seeds are here"]
    assert ("both: training seeds", "0-1", "2-3") in {
        (one.name, one.a, one.b) for one in found.differing
    }


def test_a_published_experiment_has_figures_alone(two: tuple[Path, Path], tmp_path: Path) -> None:
    """Such a folder holds results and no runs: what is missing is told once, not thing by thing."""
    shutil.copy2(two[1] / "results.json", tmp_path)
    found = compare(two[0], tmp_path)
    assert found.differing == []
    assert [arm.arm for arm in found.arms] == ["both", "neither"]
    whole = {arm.arm: arm for arm in compare(*two).arms}
    for arm in found.arms:
        told = [one.model_dump_json() for one in arm.figures]
        assert told == [one.model_dump_json() for one in whole[arm.arm].figures]
        assert arm.responses is None
    assert found.missing == [
        f"B: settings: {tmp_path / 'experiment.yaml'} is not there",
        "generations (both, neither): no two runs with the same seeds are here",
    ]


def test_the_smaller_bound_of_the_two_counts(two: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copy2(two[0] / "results.json", tmp_path)
    change(tmp_path / "results.json", bounds={"threat_1": 0.05, "threat_2": 0.5})
    for a, b in ((two[0], tmp_path), (tmp_path, two[0])):
        found = compare(a, b)
        bounds = {one.figure: one.bound for one in found.arms[0].figures}
        assert (bounds["threat_1"], bounds["threat_2"]) == (0.05, 0.3)
        assert [one.name for one in found.differing] == ["threat_1", "threat_2"]


def test_a_scenario_is_the_same_where_prompt_and_facts_are(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    write_run(a)
    shutil.copytree(a, b)
    file = RunDirectory(b).generations("held_out")
    rows = ledger.read(file)
    rows[0] = replace(rows[0], prompt=f"{rows[0].prompt} again")
    rows[1] = replace(rows[1], facts_json=rows[2].facts_json)
    rows[3] = replace(rows[3], concealable=["coin"])
    ledger.write(file, rows)
    counts = compare(a, b).arms[0].responses
    assert counts is not None
    assert (counts.other_facts, counts.scenarios) == (3, len(rows) - 3)


def test_no_scenario_is_an_example_twice(two: tuple[Path, Path]) -> None:
    pair = Pair("both", *(RunDirectory(one / "both" / "seed-1") for one in two))
    found = read_pairs([pair, pair], 3)
    assert found.counts is not None
    assert found.counts.runs == 2
    scenarios = [both[0].row.scenario_id for _, both in found.examples]
    assert len(set(scenarios)) == len(scenarios) == 3


def test_sources_versions_and_base_policies_that_differ_are_told(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    write_run(a)
    shutil.copytree(a, b)
    change(b / "environment.json", libraries={"torch": "2.14.0", "trl": "1.12.0"})
    change(b / "environment.json", sources={"my.task:Mine": "12ab"})
    change(b / "base.json", hash="1" * 16)
    told = {(one.what, one.name): (one.a, one.b, one.only_in) for one in compare(a, b).differing}
    assert told == {
        ("base policy", "base policy 0"): ("0" * 16, "1" * 16, ""),
        ("source", "my.task:Mine"): (None, "12ab", "B"),
        ("library", "torch"): ("2.13.0", "2.14.0", ""),
    }


def test_what_cannot_be_compared_is_one_line(two: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is a run and .* an experiment"):
        compare(two[0], two[0] / "both" / "seed-0")
    with pytest.raises(UsageError, match="no such run or experiment"):
        compare(two[0], tmp_path / "nowhere")
    write_run(tmp_path / "other", arm="both", task_name="inspection")
    with pytest.raises(UsageError, match=r"corridor:Corridor, .*inspection:Inspection: .*two"):
        compare(two[0] / "both" / "seed-0", tmp_path / "other")


def test_a_run_that_was_not_evaluated_has_settings_alone(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", seed=1, measured=False)
    found = compare(tmp_path / "a", tmp_path / "b")
    assert ("setting", "seed") in {(one.what, one.name) for one in found.differing}
    assert found.arms[0].figures == []
    assert found.arms[0].responses is None
    assert len(found.missing) == 2
    assert all("rlhf-testbed evaluate" in why for why in found.missing)


def test_full_knowledge_of_the_fabricated_runs_is_the_projects_own(tmp_path: Path) -> None:
    """The counts above are against what the overseer says itself."""
    write_run(tmp_path / "a", arm="both")
    settings = RunDirectory(tmp_path / "a").settings()
    rows = ledger.read(RunDirectory(tmp_path / "a").generations("held_out"))
    judged = judge_all(
        FullKnowledge(settings.task), [r.scenario for r in rows], [r.response for r in rows]
    )
    counts = compare(tmp_path / "a", tmp_path / "a").arms[0].responses
    assert counts is not None
    unwanted = [not one.verdict.approved for one in judged]
    assert counts.a == sum(r.approved and u for r, u in zip(rows, unwanted, strict=True))


def test_a_run_of_an_older_version_can_be_compared(tmp_path: Path) -> None:
    """It lacks a setting, which is told; one that doesn't say what it is is damaged."""
    a, b = tmp_path / "a", tmp_path / "b"
    write_run(a)
    shutil.copytree(a, b)
    text = (b / "config.yaml").read_text(encoding="utf-8")
    (b / "config.yaml").write_text(text.replace("train_scenarios: 16\n", ""), encoding="utf-8")
    found = compare(a, b)
    told = [(one.name, one.a, one.only_in) for one in found.differing]
    assert told == [("train_scenarios", 16, "A")]
    assert found.arms[0].responses is not None
    assert found.missing == []
    (b / "config.yaml").write_text(text.replace("task: corridor\n", ""), encoding="utf-8")
    with pytest.raises(UsageError, match=r"config\.yaml: damaged: task missing"):
        compare(a, b)
