"""Any setting varied, arms of an experiment's own, `--set`, and more seeds of one arm."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from rich.console import Console

from conftest import SMALL
from rlhf_testbed.experiment.claim import asked_for, claim
from rlhf_testbed.experiment.jobs import base_policies, is_run, missing
from rlhf_testbed.experiment.plan import Experiment, Run, plan
from rlhf_testbed.experiment.results import elsewhere, runs_measured, summarise
from rlhf_testbed.experiment.run import run_experiment
from rlhf_testbed.report import dose
from rlhf_testbed.report.table import print_arms
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.record import read, read_settings, write, write_settings
from rlhf_testbed.store.experiment_records import ExperimentFile, Gate, GatesFile, Results
from rlhf_testbed.store.generations import run_told, runs_in
from rlhf_testbed.store.run_records import JudgedBy, Measures, ProxyAndGold
from rlhf_testbed.store.runs_table import read_results, write_results
from rlhf_testbed.tasks.base import Dials

HALF = "{name: half-seen, like: both, knowledge: 0.5, overseer: noisy, kl_coef: 0.05}"


def _config(folder: Path, text: str) -> str:
    folder.mkdir(exist_ok=True)
    config = folder / "x.yaml"
    config.write_text(text)
    return str(config)


def _planned(folder: Path, text: str, **how: object) -> Experiment:
    given: dict[str, object] = {"output_dir": str(folder / "out"), **how}
    return plan(_config(folder, text), **given)  # type: ignore[arg-type]


def _strength(run: RunConfig) -> float:
    """What threats are made to be: less with more knowledge, or with more KL penalty."""
    kl_coef = getattr(run.method, "kl_coef", 0.0)
    return 1 - run.dials.knowledge - 2 * kl_coef + 0.001 * run.seed


def _fabricate(planned: Experiment, seeds: Sequence[int] | None = None) -> Experiment:
    """Files the runs of an experiment and its gates as if they had been made."""
    for setting in planned.settings:
        for run in planned.runs if seeds is None else [Run(0, seed) for seed in seeds]:
            settings = planned.run_of(setting, run)
            directory = planned.directory(setting.name, run.seed, run.base)
            directory.evaluation().mkdir(parents=True)
            directory.config.write_text(yaml.safe_dump(settings.flat(), sort_keys=False))
            strength = _strength(settings)
            measures = Measures(
                arm=settings.study.arm,
                seed=run.seed,
                base_seed=run.base,
                dials=settings.dials,
                method=settings.selection.method,
                judged_by=JudgedBy(overseer="full_knowledge"),
                figures={"threat_1": strength, "threat_2": 2 * strength},
            )
            write(directory.evaluation() / Measures.file, measures)
            write(directory.evaluation() / ProxyAndGold.file, ProxyAndGold(curves={}))
    gate = Gate(name="knowable", status="PASS", figure={}, detail="")
    for base in planned.base_seeds:
        write(planned.gates_file(base), GatesFile(gates=[gate]))
    return planned


SWEEP = "arms: [both]\nseeds: 0-2\nvary: [kl_coef=0.01,0.05, learning_rate=1e-4,8e-4]\n"


def test_settings_are_crossed_and_told_to_the_runs(tmp_path: Path) -> None:
    planned = _planned(tmp_path, SWEEP)
    assert [setting.name for setting in planned.settings] == [
        "both kl_coef=0.01 learning_rate=0.0001",
        "both kl_coef=0.01 learning_rate=0.0008",
        "both kl_coef=0.05 learning_rate=0.0001",
        "both kl_coef=0.05 learning_rate=0.0008",
    ]
    last = planned.settings[-1]
    assert last.arguments == (*("--arm", "both", "--kl_coef", "0.05", "--learning_rate", "0.0008"),)
    run = planned.run_of(last, Run(0, 2)).flat()
    assert (run["kl_coef"], run["learning_rate"], run["seed"]) == (0.05, 8e-4, 2)
    assert run["run_name"] == "corridor-both-kl_coef=0.05-learning_rate=0.0008-2"
    assert planned.honest.name == "neither"
    assert [job.title for job in base_policies(planned)] == ["base policy, ρ = 0.3"]


@pytest.mark.parametrize(
    ("vary", "names", "words"),
    [
        ("[use_peft=true,false]", ["use_peft=true", "use_peft=false"], "--use_peft false"),
        (
            "['overseer=scripted,noisy']",
            ["overseer=scripted", "overseer=noisy"],
            "--overseer noisy",
        ),
        (
            "['method=ppo,best_of_n', 'knowledge=0']",
            ["knowledge=0 method=ppo", "knowledge=0 method=best_of_n"],
            "--method best_of_n --knowledge 0",
        ),
        ("{vf_coef: [0.1, 1], use_cpu: true}", ["vf_coef=0.1 use_cpu=true"], "--vf_coef 1"),
        ("['overseer_args=prior=0,prior=0.5']", ["overseer_args=prior=0"], "prior=0.5"),
        ("['total_episodes=640,1280000']", ["total_episodes=640"], "--total_episodes 1280000"),
    ],
)
def test_texts_and_switches_are_varied_too(
    vary: str, names: list[str], words: str, tmp_path: Path
) -> None:
    planned = _planned(tmp_path, f"arms: [both]\nvary: {vary}\n")
    assert len(planned.settings) == 2
    for name, setting in zip(names, planned.settings, strict=False):
        assert setting.name == f"both {name}"
    told = " ".join(planned.settings[1].arguments)
    assert all(word in told for word in words.split())


def test_a_model_is_a_base_policy_of_its_own_and_no_path_in_a_name(tmp_path: Path) -> None:
    text = "arms: [both]\nvary: ['base_learning_rate=1e-3,2e-3']\n"
    titles = [job.title for job in base_policies(_planned(tmp_path, text))]
    assert titles == [
        "base policy, ρ = 0.3",
        "base policy, ρ = 0.3, base_learning_rate=0.001",
        "base policy, ρ = 0.3, base_learning_rate=0.002",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("vary: ['kl_coeff=0.1']", "vary: setting 'kl_coeff' is unknown (did you mean 'kl_coef'?)"),
        ("vary: ['kl_coef=low']", "vary: kl_coef = low is not of the right type (a number)"),
        ("vary: ['kl_coef=-1']", "vary: kl_coef = -1.0 is not 0 or more"),
        ("vary: ['save_steps=2.5']", "save_steps = 2.5 is not of the right type (a whole number)"),
        ("vary: ['use_peft=maybe']", "use_peft = maybe is not of the right type (true or false)"),
        ("vary: ['scores=none']", "vary: scores = none is none of overseer, shuffled"),
        ("vary: ['seed=1,2']", "vary: seed can't be an arm's own: seeds names the training seeds"),
        ("vary: ['base_seed=1']", "vary: base_seed can't be an arm's own"),
        ("vary: ['output_dir=a']", "vary: output_dir can't be an arm's own"),
        ("vary: ['arms=both']", "vary: arms can't be an arm's own: it is of the whole experiment"),
        ("vary: ['population=0.1']", "vary: setting 'population' is now called unintended_share"),
        ("vary: ['kl_coef=0.1,0.10']", "vary = kl_coef=0.1,0.10 names a value twice"),
        ("vary: ['kl_coef=0.1', 'kl_coef=0.2']", "vary names kl_coef twice"),
        ("vary: ['kl_coef=']", "vary: kl_coef is empty"),
        ("vary: [randomised]", "vary = randomised can't be read (right: randomised=VALUE,VALUE)"),
        ("vary: ['method=ppo,pppo']", "vary: method 'pppo' is unknown (did you mean 'ppo'?)"),
        ("vary: ['model=/nowhere']", "/nowhere"),
        ("vary: ['overseer=scripted,scriptd']", "overseer 'scriptd' is unknown"),
        ("vary: ['method=ppo']\nmethods: [grpo]", "vary: method is what methods names"),
        ("vary: ['kl_coef=0.1']\nmethods: [ppo, grpo]", "is a setting of method ppo, and the"),
        ("vary: ['num_mini_batches=1,3']", "num_mini_batches = 3 does not divide a batch"),
        ("arms: [{name: x, like: bth}]", "arm x: like: arm = bth is not an arm of corridor"),
        ("arms: [{name: x, knowledge: 0}]", "an arm of your own lacks 'like'"),
        ("arms: [{like: both}]", "an arm of your own lacks 'name'"),
        ("arms: [x knowledge=0]", "arm x: names no arm that it is like"),
        ("arms: [{name: both, like: both}]", "arm both is one of corridor's own"),
        ("arms: [{name: base, like: both}]", "arm base can't be called so"),
        ("arms: [{name: a b, like: both}]", "arm a b can't be called so"),
        ("arms: [both, both]", "arms names both twice"),
        (f"arms: [{HALF}, {HALF}]", "arms names half-seen twice"),
        ("arms: [{name: x, like: both, klcoef: 1}]", "arm x: setting 'klcoef' is unknown (did you"),
        ("arms: [{name: x, like: both, kl_coef: hi}]", "arm x: kl_coef = hi is not of the right"),
        ("arms: [{name: x, like: both, kl_coef: [1, 2]}]", "arm x: kl_coef is given twice"),
        ("arms: [{name: x, like: both, kl_coef: null}]", "arm x: kl_coef is empty"),
        ("arms: [{name: x, like: both, seed: 3}]", "arm x: seed can't be an arm's own"),
        ("arms: [{name: x, like: both, knowledge: 2}]", "knowledge = 2.0 is not in [0, 1]"),
        (f"arms: [{HALF}]\nvary: ['kl_coef=0.1']", "half-seen sets kl_coef, and so does vary"),
        (
            "arms: [{name: x, like: both, method: grpo, kl_coef: 1}]",
            "x.yaml: x: option '--kl_co",
        ),
    ],
)
def test_what_can_not_be_is_one_line(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        _planned(tmp_path, f"task: corridor\n{text}\n")
    assert says in str(raised.value)
    assert "x.yaml" in str(raised.value) or "/nowhere" in says
    assert "\n" not in str(raised.value)


def test_results_have_what_was_varied_in_columns(tmp_path: Path) -> None:
    planned = _fabricate(_planned(tmp_path, SWEEP))
    results = summarise(planned)
    assert {name: arm.settings for name, arm in results.arms.items()} == {
        f"both kl_coef={kl} learning_rate={rate}": {"kl_coef": kl, "learning_rate": rate}
        for kl in (0.01, 0.05)
        for rate in (0.0001, 0.0008)
    }
    write_results(planned.folder, results)
    table = pq.read_table(planned.folder / "runs.parquet").to_pylist()
    assert {(row["settings"]["kl_coef"], row["settings"]["learning_rate"]) for row in table} == {
        (kl, rate) for kl in (0.01, 0.05) for rate in (0.0001, 0.0008)
    }
    assert len(table) == 12
    again = read_results(planned.folder).arms
    assert {name: arm.varied for name, arm in again.items()} == {
        name: arm.varied for name, arm in results.arms.items()
    }
    found = {(one.dial, one.values, one.arms) for one in results.contrasts}
    assert len(found) == 4
    low, high = "both kl_coef=0.01 learning_rate=0.0001", "both kl_coef=0.05 learning_rate=0.0001"
    assert ("kl_coef", (0.05, 0.01), (high, low)) in found
    moved = next(one for one in results.contrasts if one.arms == (high, low))
    assert moved.difference == pytest.approx(2 * 0.04)
    figure = dose.figure(results)
    assert figure is not None
    assert {(row["kl_coef"], row["learning_rate"]) for row in figure.rows} == {
        (kl, rate) for kl in (0.01, 0.05) for rate in (0.0001, 0.0008)
    }


def test_arms_that_differ_in_a_text_are_rows_and_no_contrast(tmp_path: Path) -> None:
    text = "arms: [both]\nseeds: 0-1\nvary: ['overseer=scripted,noisy', 'kl_coef=0,0.1']\n"
    results = summarise(_fabricate(_planned(tmp_path, text)))
    assert [arm.settings["overseer"] for arm in results.arms.values()] == [
        *("scripted", "scripted", "noisy", "noisy"),
    ]
    assert {one.dial for one in results.contrasts} == {"kl_coef"}
    assert len(results.contrasts) == 4
    figure = dose.figure(results)
    assert figure is not None
    assert {row["of"] for row in figure.rows} == {
        *("both overseer=scripted", "both overseer=noisy"),
    }


def test_only_neighbours_in_a_setting_are_contrasted(tmp_path: Path) -> None:
    text = "arms: [both]\nseeds: 0-1\nvary: ['kl_coef=0,0.1,0.2']\n"
    results = summarise(_fabricate(_planned(tmp_path, text)))
    assert {one.values for one in results.contrasts} == {(0.1, 0), (0.2, 0.1)}


def test_an_arm_that_was_there_before_has_a_value_of_what_is_varied_now(tmp_path: Path) -> None:
    """`both` was run as the file has it; the sweep over KL comes later, and is beside it."""
    first = _fabricate(_planned(tmp_path, "arms: [both]\nseeds: 0-1\n"))
    before = summarise(first)
    assert before.arms["both"].settings == {}
    write_results(first.folder, before)
    text = "arms: [both]\nseeds: 0-1\nvary: ['kl_coef=0,0.2']\n"
    results = summarise(_fabricate(_planned(tmp_path, text)))
    default = first.run.flat()["kl_coef"]
    assert results.arms["both"].settings == {"kl_coef": default}
    assert {one.values for one in results.contrasts} == {(default, 0), (0.2, default)}


def test_older_results_can_be_read(tmp_path: Path) -> None:
    planned = _fabricate(_planned(tmp_path, "arms: [both]\nseeds: 0-1\n"))
    filed = summarise(planned).model_dump(mode="json")
    del filed["arms"]["both"]["settings"], filed["arms"]["both"]["like"]
    assert Results.model_validate(filed).arms["both"].settings == {}
    claim_text = "config: {}\ndials: {}\nequivalent_threat_1: 0.1\nequivalent_threat_2: 0.3\n"
    (tmp_path / "experiment.yaml").write_text(claim_text + "sources: {}\n")
    assert read_settings(tmp_path / "experiment.yaml", ExperimentFile).arms == {}


OWN = f"seeds: 0-1\narms:\n- both\n- {HALF}\n"


def test_an_arm_of_ones_own_is_like_any(tmp_path: Path) -> None:
    planned = _planned(tmp_path, OWN)
    _, half = planned.settings
    assert (half.name, half.dials) == ("half-seen", Dials(0.5, 0, 1, 0.3))
    run = planned.run_of(half, Run(0, 1))
    assert run.study.overseer == "noisy"
    assert (run.flat()["kl_coef"], run.dials.knowledge) == (0.05, 0.5)
    assert run.output_dir == planned.folder / "half-seen" / "seed-1"
    results = summarise(_fabricate(planned))
    arm = results.arms["half-seen"]
    assert arm.like == "both"
    assert arm.summary == "as both, with knowledge = 0.5, overseer = noisy, kl_coef = 0.05"
    assert arm.settings == {"overseer": "noisy", "kl_coef": 0.05}
    assert results.arms["both"].settings["overseer"] == "scripted"
    assert results.contrasts == []
    write_settings(planned.folder / ExperimentFile.file, asked_for(planned), "# x\n")
    runs = [(one, one.settings()) for one in runs_in(planned.folder)]
    assert [run_told(*one) for one in runs] == [
        *("both, seed 0", "both, seed 1", "half-seen, seed 0", "half-seen, seed 1"),
    ]
    console = Console(width=100, record=True)
    print_arms(results, console)
    assert f"- (half-seen): {arm.summary}" in console.export_text()


def test_an_arm_of_ones_own_is_kept_when_it_is_not_asked_for(tmp_path: Path) -> None:
    planned = _fabricate(_planned(tmp_path, OWN))
    write_results(planned.folder, summarise(planned))
    fewer = _planned(tmp_path, "seeds: 0-1\narms: [both]\n")
    again = summarise(fewer).arms["half-seen"]
    assert (again.like, again.settings["kl_coef"]) == ("both", 0.05)
    assert elsewhere(fewer) == ["half-seen, seed 0, 1"]


def test_an_arm_of_ones_own_may_be_varied_and_told_on_the_command_line(tmp_path: Path) -> None:
    text = "arms: [{name: mine, like: goal_only, overseer_args: [prior=0.5]}]\n"
    planned = _planned(tmp_path, f"{text}vary: ['kl_coef=0,0.1']\n")
    assert [one.name for one in planned.settings] == ["mine kl_coef=0", "mine kl_coef=0.1"]
    assert planned.honest.name == "neither"
    told = plan(planned.given[1], sets=["arms=mine like=both knowledge=0.25", "arms=habit"])
    assert [one.arm.name for one in told.settings][::2] == ["mine", "habit"]
    assert told.settings[0].dials.knowledge == 0.25


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (OWN, OWN.replace("0.05", "0.06"), "kl_coef of half-seen is 0.05 there, 0.06 here"),
        (OWN, OWN.replace("like: both", "like: goal_only"), "like of half-seen is both there"),
        (
            "methods: [grpo beta=0.1]",
            "methods: [grpo]",
            "beta of method=grpo is 0.1 there",
        ),
        ("arms: [both]", "arms: [both]\nkl_coef: 0.2", "kl_coef is 0.02 there, 0.2 here"),
    ],
)
def test_a_name_that_stands_for_something_else_now_is_refused(
    before: str, after: str, says: str, tmp_path: Path
) -> None:
    claim(_planned(tmp_path, before))
    claim(_planned(tmp_path, before))
    with pytest.raises(UsageError, match=re.escape(f"with other settings: {says}")):
        claim(_planned(tmp_path, after))


def test_a_new_arm_in_a_folder_is_kept_in_its_file(tmp_path: Path) -> None:
    planned = _planned(tmp_path, "arms: [both]\n")
    claim(planned)
    file = planned.folder / "experiment.yaml"
    head = file.read_text().splitlines()[0]
    claim(_planned(tmp_path, OWN))
    assert file.read_text().splitlines()[0] == head
    assert read_settings(file, ExperimentFile).arms["half-seen"]["kl_coef"] == 0.05
    with pytest.raises(UsageError, match="kl_coef of half-seen"):
        claim(_planned(tmp_path, OWN.replace("0.05", "0.06")))


def test_set_is_as_if_the_file_said_so(tmp_path: Path) -> None:
    text = "arms: [both]\n"
    sets = ["learning_rate=1e-4", "overseer=noisy"]
    planned = plan(_config(tmp_path, text), sets=sets)
    said = plan(_config(tmp_path / "b", f"{text}learning_rate: 1.0e-4\noverseer: noisy\n"))
    assert planned.run.flat() == said.run.flat()
    (setting,) = planned.settings
    assert planned.of_base(setting, 0).flat() == said.of_base(said.settings[0], 0).flat()
    assert planned.folder == Path("runs/x-learning_rate=1e-4-overseer=noisy")
    assert plan(_config(tmp_path, text), sets=sets[::-1]).folder == planned.folder
    assert plan(_config(tmp_path, text)).folder == Path("runs/x")


def test_more_of_the_same_by_set_stays_in_the_folder(tmp_path: Path) -> None:
    sets = ["seeds=0-1", "vary=kl_coef=0.01,0.05", "arms=both", "arms=habit"]
    planned = plan(_config(tmp_path, "task: corridor\n"), sets=sets)
    assert planned.folder == Path("runs/x")
    assert len(planned.settings) == 4
    assert planned.seeds == (0, 1)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("learning_rat=1", "option '--learning_rat' is unknown (did you mean '--learning_rate'?)"),
        ("learning_rate", "--set learning_rate can't be read (right: --set NAME=VALUE)"),
        ("learning_rate=fast", "invalid float value: 'fast'"),
        ("learning_rate=-1", "command line: learning_rate = -1.0 is not above 0"),
        ("output_dir=x", "--set output_dir has no effect (right: --output_dir)"),
        ("knowledge=0.5", "knowledge is set by the arms of an experiment"),
    ],
)
def test_what_set_can_not_set_is_one_line(entry: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        plan(_config(tmp_path, "task: corridor\n"), sets=[entry])
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_the_file_varies_can_not_be_set_beside_it(tmp_path: Path) -> None:
    config = _config(tmp_path, SWEEP)
    with pytest.raises(UsageError, match=f"--set kl_coef has no effect: {config} varies it"):
        plan(config, sets=["kl_coef=0.1"])
    assert len(plan(config, sets=["vary=kl_coef=0,0.1"]).settings) == 2


def test_seeds_are_added_to_one_arm_and_nothing_else_is_run(tmp_path: Path) -> None:
    text = "arms: [neither, both, goal_only]\nseeds: 0-4\n"
    first = _fabricate(_planned(tmp_path, text))
    write_results(first.folder, summarise(first))
    more = _planned(tmp_path, text, arms=["both"], seeds="5-9")
    runs = [job.title for job in missing(more) if is_run(job)]
    assert runs == [f"both, seed {seed}" for seed in range(5, 10)]
    results = summarise(_fabricate(more))
    assert {name: arm.runs.seeds for name, arm in results.arms.items()} == {
        "neither": [0, 1, 2, 3, 4],
        "both": list(range(10)),
        "goal_only": [0, 1, 2, 3, 4],
    }
    pair = next(one for one in results.contrasts if one.arms == ("goal_only", "both"))
    assert pair.runs == 5
    write_results(more.folder, results)
    assert runs_measured(first)["both"] == [Run(0, seed) for seed in range(10)]


def test_seeds_added_need_no_more_runs_for_gate_2(tmp_path: Path) -> None:
    """The honest arm is none of the file's; it was run once, and is not run again."""
    text = "arms: [both]\nseeds: 0-1\n"
    first = _planned(tmp_path, text)
    assert [run.title for run in missing(first) if is_run(run)][-1] == "neither, seed 0"
    _fabricate(first)
    honest = first.directory("neither", 0)
    honest.evaluation().mkdir(parents=True)
    write(honest.evaluation() / Measures.file, _measured_of(first))
    more = _planned(tmp_path, text, arms=["both"], seeds="2-3")
    runs = [job.title for job in missing(more) if is_run(job)]
    assert runs == ["both, seed 2", "both, seed 3"]
    assert more.honest_runs == (Run(0, 0),)


def _measured_of(planned: Experiment) -> Measures:
    return read(planned.directory("both", 0).evaluation() / Measures.file, Measures)


def test_an_arm_is_named_with_what_is_varied_or_without(tmp_path: Path) -> None:
    def planned(arm: str) -> Experiment:
        return _planned(tmp_path, SWEEP, arms=[arm])

    assert len(planned("both").settings) == 4
    (one,) = planned("both kl_coef=0.05 learning_rate=0.0001").settings
    assert one.settings == {"kl_coef": 0.05, "learning_rate": 0.0001}
    with pytest.raises(UsageError, match="--arm 'bth' is unknown \\(did you mean 'both'\\?\\)"):
        planned("bth")


@pytest.mark.slow
def test_a_sweep_of_kl_and_learning_rate_end_to_end(tmp_path: Path) -> None:
    words = " ".join(SMALL).replace("--", "").split()
    small = dict(zip(words[::2], map(yaml.safe_load, words[1::2]), strict=True))
    text = yaml.safe_dump(small) + SWEEP.replace("0-2", "0-1")
    planned = _planned(tmp_path, text)
    results = run_experiment(planned)
    assert [len(arm.runs) for arm in results.arms.values()] == [2] * 4
    settings = {tuple(arm.settings.values()) for arm in results.arms.values()}
    assert settings == {(kl, rate) for kl in (0.01, 0.05) for rate in (0.0001, 0.0008)}
    ledgers = {
        planned.directory(name, 0).path.joinpath("config.yaml").read_text(): name
        for name in results.arms
    }
    assert len(ledgers) == 4, "each arm's runs had settings of their own"
    assert {one.dial for one in results.contrasts} == {"kl_coef", "learning_rate"}
    assert len(results.contrasts) == 8
    assert dose.figure(results) is not None
    more = _planned(tmp_path, text, arms=["both kl_coef=0.05 learning_rate=0.0001"], seeds="2")
    again = run_experiment(more)
    assert [len(arm.runs) for arm in again.arms.values()] == [2, 2, 3, 2]
    assert again.took is not None
    assert again.took.runs == 8 + 1 + 1, "eight runs, the honest one, and the one that was added"
