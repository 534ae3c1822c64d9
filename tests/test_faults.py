"""Faults that were found by trying it: each one's right value, in small."""

from __future__ import annotations

import math
import resource
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from conftest import SMALL
from rlhf_testbed.contract import TASK_RULES
from rlhf_testbed.experiment.contrasts import contrasts
from rlhf_testbed.overseers.base import Sight, oversee
from rlhf_testbed.overseers.scripted import Scripted
from rlhf_testbed.policy.language import small_language
from rlhf_testbed.report import contents, figures
from rlhf_testbed.report.sentences import sentence
from rlhf_testbed.report.sources import Source
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.record import Interval, write
from rlhf_testbed.store.experiment_records import Gate, GatesFile
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.tasks.base import Dials, Outcome, TaskError, Verdict, View
from rlhf_testbed.tasks.corridor import Corridor
from scripted_runs import write_experiment, write_results

ODD = [math.inf, -math.inf, math.nan, "\ud800", None]


class Odd(Corridor):
    """A corridor whose outcomes hold an odd fact."""

    odd: Any = math.inf

    def outcome(self, scenario: Any, response: str) -> Outcome:
        found = super().outcome(scenario, response)
        return Outcome({**found.facts, "distance": self.odd}, found.valid)


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_a_fact_of_an_outcome_that_cant_be_filed_is_refused(
    odd: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Odd, "odd", odd)
    task = Odd()
    scenario = task.scenarios(Dials(), 0, "train", 1)[0]
    outcome = task.outcome(scenario, task.responses[0])
    with pytest.raises(TaskError, match="outcome: facts must be texts, finite numbers"):
        oversee(Scripted(task, Sight(0.0)), scenario, task.responses[0], outcome)
    with pytest.raises(TaskError, match=r"outcome: facts must be texts, finite numbers"):
        TASK_RULES["every response can be read"](task)


def test_an_infinite_fact_of_a_scenario_is_refused() -> None:
    from rlhf_testbed.contract.rules import Broken
    from rlhf_testbed.contract.scenarios import refuse_repeated
    from rlhf_testbed.tasks.base import Scenario

    for odd in ODD:
        with pytest.raises(Broken, match="facts must be texts, finite numbers"):
            refuse_repeated("train", [Scenario("s", "p", {"far": odd})], 1)  # type: ignore[dict-item]


def test_a_reason_with_half_a_sign_is_spelled_out() -> None:
    class Server(Scripted):
        def judge(self, response: str, view: View) -> Verdict:
            return Verdict(1.0, True, "so \ud83d it is")

    task = Corridor()
    scenario = task.scenarios(Dials(), 0, "train", 1)[0]
    outcome = task.outcome(scenario, task.responses[0])
    verdict = oversee(Server(task, Sight(0.0)), scenario, task.responses[0], outcome)
    assert verdict.reason == "so \\ud83d it is"


def test_special_tokens_stay_in_a_response_and_padding_ends_it() -> None:
    language = small_language(["right walk jump"], 0)
    ids = {word: language.tokenizer.convert_tokens_to_ids(word) for word in "right walk".split()}
    pad, end, unknown = (
        language.tokenizer.convert_tokens_to_ids(sign) for sign in ("<pad>", "<eos>", "<unk>")
    )
    right, walk = ids["right"], ids["walk"]
    assert language.text([right, walk, end, walk]) == "right walk"
    assert language.text([right, unknown, walk, end]) == "right <unk> walk"
    assert language.text([right, pad, walk, end]) == "right"
    assert language.text([pad, right, end]) == ""


def _results(tmp_path: Path, coverage: float) -> Any:
    folder = write_experiment(tmp_path / "x", arms=("neither", "goal_only"))
    write_results(folder)
    found = Source.of(folder).results
    covered = Interval(mean=coverage, low=coverage, high=coverage)
    none = Interval(mean=0.0, low=0.0, high=0.0)
    arms = {
        name: arm.model_copy(
            update={
                "figures": {**arm.figures, "threat_2": none, "response_space_coverage": covered}
            }
        )
        for name, arm in found.arms.items()
    }
    return found.model_copy(update={"arms": arms})


def test_a_policy_that_hardly_writes_in_the_response_space_is_undecided(tmp_path: Path) -> None:
    told = sentence(_results(tmp_path, 0.04), "threat_2")
    assert told.startswith("It is undecided whether selection induced goal-directedness")
    assert "judged on the 0.04 of the policy's probability" in told
    read = sentence(_results(tmp_path / "read", 0.9), "threat_2")
    assert read.startswith("Selection induced no goal-directedness")


def test_its_contrasts_are_undecided_too(tmp_path: Path) -> None:
    for coverage, expected in ((0.04, {"undecided"}), (0.9, {"moved", "equivalent"})):
        results = _results(tmp_path / str(coverage), coverage)
        found = contrasts(results.arms, {"threat_2": 0.3})
        assert found
        verdicts = {one.decision.verdict for one in found}
        assert verdicts == expected if coverage < 0.5 else verdicts <= expected | {"undecided"}
        assert all("0.04" in one.decision.reason for one in found) == (coverage < 0.5)


def test_runs_that_differ_in_a_dial_or_a_base_policy_have_names_of_their_own() -> None:
    several = [
        ["--arm", "both"],
        ["--arm", "both", "--randomised", "0.5"],
        ["--arm", "both", "--randomised", "1"],
        ["--arm", "both", "--base_seed", "2"],
        ["--knowledge", "0.5"],
        ["--knowledge", "0.25"],
    ]
    runs = [parse_run([*words, "--seed", "3"]) for words in several]
    names = [run.name for run in runs]
    assert names[:2] == ["corridor-both-3", "corridor-both-randomised=0.5-3"]
    assert len(set(names)) == len(several)
    assert len({run.output_dir for run in runs}) == len(several)


def test_a_start_that_fails_leaves_its_folder_to_the_corrected_command(tmp_path: Path) -> None:
    from rlhf_testbed.selection.job import train

    words = [*SMALL, "--arm", "both", "--output_dir", str(tmp_path / "run")]
    for wrong, told in (
        (["--model", str(tmp_path / "polcy")], "no such folder"),
        (["--value_layers", "9"], "the base policy has 3 layers"),
    ):
        with pytest.raises(UsageError, match=told):
            train(parse_run([*words, *wrong]), lambda step: None)
        assert not (tmp_path / "run").exists()


def _fail_with(begun: AbstractContextManager[None], file: Path) -> None:
    with begun:
        file.parent.mkdir(exist_ok=True)
        file.touch()
        raise UsageError("why")


def test_a_learned_overseer_of_a_failed_start_is_set_aside(tmp_path: Path) -> None:
    from rlhf_testbed.selection.job import created

    run = parse_run(["--arm", "both", "--output_dir", str(tmp_path / "run")])
    with pytest.raises(UsageError, match=r"^why; what it had made is kept in .*interrupted-1$"):
        _fail_with(created(run), tmp_path / "run" / "overseer" / "model")
    assert not (tmp_path / "run").exists()
    assert (tmp_path / "run.interrupted-1" / "overseer").is_dir()


def test_a_failure_after_the_first_update_keeps_the_folder(tmp_path: Path) -> None:
    from rlhf_testbed.selection.job import created

    run = parse_run(["--arm", "both", "--output_dir", str(tmp_path / "run")])
    with pytest.raises(UsageError, match=r"^why$"):
        _fail_with(created(run), tmp_path / "run" / "ledger" / "00001.parquet")
    assert (tmp_path / "run" / "ledger" / "00001.parquet").exists()


@pytest.mark.parametrize("name", ["nosuch/model/here", "./nosuch", "/nosuch", "~/nosuch"])
def test_a_mistyped_folder_is_told_without_asking_the_hub(name: str, here: Path) -> None:
    from rlhf_testbed.settings.place import place_of

    (here / "HERE").mkdir()
    with pytest.raises(UsageError, match="no such folder"):
        place_of(name)
    assert place_of("openai/gpt2") is None
    assert place_of("HERE") == Path("HERE")


def test_an_adapter_is_no_model(tmp_path: Path) -> None:
    from rlhf_testbed.settings.place import place_of

    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(UsageError, match="is a LoRA adapter without its model"):
        place_of(str(tmp_path))


def test_a_finished_run_without_settings_is_set_aside_and_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What two commands in one folder once left behind."""
    from rlhf_testbed.experiment import jobs as experiment

    folder = tmp_path / "both" / "seed-3"
    folder.mkdir(parents=True)
    (folder / "finished.json").write_text("{}")
    done: list[Path] = []
    monkeypatch.setattr(experiment, "train", lambda run, *_: done.append(run.output_dir))
    monkeypatch.setattr(experiment, "evaluate", lambda *_: None)
    monkeypatch.setattr(experiment, "base_folder", lambda _: folder)
    run = parse_run(["--arm", "both", "--output_dir", str(folder)])
    experiment.train_and_evaluate(lambda step: None, run, tmp_path / "base")
    assert done == [folder]
    assert (tmp_path / "both" / "seed-3.interrupted-1" / "finished.json").exists()


def test_pictures_under_a_limit_of_addresses_are_refused_in_a_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (6_000_000 * 1024, 0))
    with pytest.raises(UsageError, match=r"can't be drawn under a limit of 6 GiB"):
        figures.refuse_little_memory()


def test_axes_of_whole_numbers_name_each_once() -> None:
    import re

    import altair as alt
    import vl_convert

    from rlhf_testbed.report.line_panels import WHOLE

    rows = alt.Data(values=[{"update": at, "y": "a"} for at in (0, 1)])
    x = alt.X("update:Q", axis=WHOLE)
    chart = alt.Chart(rows).mark_line().encode(x=x, y="y:N")
    labels = re.findall(r">(\d+)</text>", vl_convert.vegalite_to_svg(chart.to_dict()))
    assert labels == ["0", "1"]


def test_one_run_of_one_arm_is_told_in_the_singular(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "x", arms=("both",), seeds=(0,))
    assert contents.asked(Source.of(folder))["runs"] == "1 run: 1 arm, seed 0"
    more = write_experiment(tmp_path / "y")
    assert contents.asked(Source.of(more))["runs"] == "4 runs: 2 arms, seeds 0, 1"


def test_gates_of_an_unfinished_experiment_are_shown(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "x")
    gate = Gate(name="knowable", status="PASS", figure={}, detail="so")
    write(folder / GatesFile.file, GatesFile(gates=[gate]))
    assert Source.of(folder).results.gates == [gate]


def test_commands_that_are_printed_can_be_pasted() -> None:
    from rlhf_testbed.export.formats import FORMATS

    run = RunDirectory(Path("-dash/both randomised=0.5"))
    assert run.evaluating == "rlhf-testbed evaluate './-dash/both randomised=0.5'"
    assert "--config './-dash/both randomised=0.5/config.yaml'" in run.training_again
    assert FORMATS["inspect"].opens(Path("a b")) == "inspect view --log-dir 'a b'"
    assert FORMATS["dataset"].opens(Path("a b")) == (
        "python -c 'import datasets; datasets.load_dataset(\"a b\")'"
    )


def test_a_system_that_does_not_tell_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has no `os.sysconf`."""
    import os

    from rlhf_testbed.store.provenance import environment

    monkeypatch.delattr(os, "sysconf")
    assert math.isnan(environment(parse_run(["--arm", "both"])).memory_gib)
