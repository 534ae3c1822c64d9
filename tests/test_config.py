"""Bad input: one clear line that says what, where, and what would be right; nothing is lost."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rlhf_testbed.experiment.plan import plan
from rlhf_testbed.selection.ppo_settings import NO_EFFECT
from rlhf_testbed.settings.methods import METHODS, method_class
from rlhf_testbed.settings.options import RENAMED_OPTIONS
from rlhf_testbed.settings.parsing import parse_run, parse_seeds
from rlhf_testbed.settings.renamed import RENAMED
from rlhf_testbed.settings.run import (
    BasePolicySettings,
    EvaluationSettings,
    SelectionSettings,
    StudySettings,
)
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import read_yaml
from rlhf_testbed.tasks.base import Dials

CONFIGS = Path(__file__).parents[1] / "configs"


def test_an_arm_sets_the_dials_and_given_dials_win() -> None:
    assert parse_run(["--arm", "goal_only"]).dials == Dials(1, 0, 1, 0.3)
    assert parse_run(["--arm", "goal_only", "--knowledge", "0.5"]).dials == Dials(0.5, 0, 1, 0.3)
    assert parse_run(["--knowledge", "0"]).dials == Dials()


def test_the_command_line_overrides_the_file(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("learning_rate: 1e-5\nseed: 4\nmodel: some/model\n")
    run = parse_run(["--config", str(file), "--seed", "9"])
    assert (run.method.learning_rate, run.selection.seed) == (1e-5, 9)
    assert run.base.model_name_or_path == "some/model"


RESOLVED = [
    ["--arm", "both", "--kl_coef", "0.1", "--use_peft", "true", "--overseer_args", "prior=0.5"],
    [
        "--knowledge",
        "0.5",
        "--model",
        "some/model",
        "--lora_target_modules",
        "a",
        "b",
        "--use_peft",
    ],
    ["--task", "briefing", "--overseer", "noisy", "--seed", "7", "--stop_token_id", "3"],
    ["--method", "best_of_n", "--completions", "4", "--arm", "goal_only"],
]


@pytest.mark.parametrize("given", RESOLVED, ids=" ".join)
def test_resolved_settings_resolve_to_themselves(given: list[str], tmp_path: Path) -> None:
    run = parse_run(given)
    file = tmp_path / "resolved.yaml"
    file.write_text(yaml.safe_dump(run.flat()))
    again = parse_run(["--config", str(file)])
    assert again.flat() == run.flat()
    assert (again.dials, again.method, again.base) == (run.dials, run.method, again.base)
    assert again.study.overseer_args == run.study.overseer_args


@pytest.mark.parametrize("method", METHODS)
def test_resolved_settings_hold_every_setting(method: str) -> None:
    """But for the place, which is where the file lies, and what only an experiment reads."""
    run = parse_run(["--method", method])
    groups = [StudySettings, BasePolicySettings, SelectionSettings, EvaluationSettings]
    every = [*groups, method_class(method).settings]
    names = {field.name for group in every for field in dataclasses.fields(group)}
    assert set(run.flat()) == names - {"output_dir"}
    assert type(run.method) is method_class(method).settings


def test_what_may_be_null_can_be_read_again(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("value_layers: null\narm: null\nrun_name:\n")
    run = parse_run(["--config", str(file)])
    assert (run.method.value_layers, run.study.arm, run.method.run_name) == (None, None, None)
    file.write_text(yaml.safe_dump(run.flat()))
    assert parse_run(["--config", str(file)]).method == run.method


NOT_NULL = ["seed", "task", "learning_rate", "use_cpu", "overseer_args", "method", "seeds", "dtype"]


@pytest.mark.parametrize("name", NOT_NULL)
def test_nothing_is_no_value_where_there_is_a_default(name: str, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(f"{name}:\n")
    with pytest.raises(UsageError) as raised:
        parse_run(["--config", str(file)])
    assert str(raised.value).startswith(f"{file}: {name} is empty (leave it out for the default, ")
    assert "\n" not in str(raised.value)


def _refused(name: str, file: Path) -> list[str]:
    """What is said of a setting, in one line: in a file, on the command line, and with dashes."""
    file.write_text(f"{name}: 1\n")
    given = [["--config", str(file)], [f"--{name}", "1"], [f"--{name.replace('_', '-')}=1"]]
    told = []
    for arguments in given:
        with pytest.raises(UsageError) as raised:
            parse_run(arguments)
        told.append(str(raised.value))
    dashed = name.replace("_", "-")
    starts = [f"{file}: setting '{name}' "]
    starts += [f"command line: option '--{one}' " for one in (name, f"{dashed}")]
    assert not [one for one in told if "\n" in one]
    assert [one[: len(start)] for one, start in zip(told, starts, strict=True)] == starts
    return [one.removeprefix(start) for one, start in zip(told, starts, strict=True)]


@pytest.mark.parametrize("name", RENAMED)
def test_an_old_name_is_refused_with_the_new_one(name: str, tmp_path: Path) -> None:
    assert _refused(name, tmp_path / "x.yaml") == [f"is now called {RENAMED[name]}"] * 3
    assert RENAMED[name] in parse_run([]).flat()


@pytest.mark.parametrize("name", NO_EFFECT)
def test_what_has_no_effect_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    assert _refused(name, tmp_path / "x.yaml") == [f"has no effect here: {NO_EFFECT[name]}"] * 3


def test_a_trainers_setting_that_nothing_reads_is_refused(tmp_path: Path) -> None:
    said = "has no effect here: it is a trainer's setting that nothing here reads"
    for name in ("neftune_noise_alpha", "eval_steps", "load_best_model_at_end", "sft_model_path"):
        assert _refused(name, tmp_path / "x.yaml") == [said] * 3


def test_a_setting_of_another_method_is_refused_with_both_names(tmp_path: Path) -> None:
    told = _refused("completions", tmp_path / "x.yaml")
    assert told == ["is a setting of method best_of_n, and the method here is ppo"] * 3
    said = "option '--kl_coef' is a setting of method ppo, and the method here is best_of_n"
    with pytest.raises(UsageError, match=said):
        parse_run(["--kl_coef", "1", "--method", "best_of_n"])


def test_an_old_option_of_an_overseer_is_refused_with_the_new_one() -> None:
    assert RENAMED_OPTIONS == {"assumes": "prior"}
    for overseer in ("scripted", "noisy"):
        with pytest.raises(UsageError, match=r"overseer_args: assumes is now called prior$"):
            parse_run(["--overseer", overseer, "--overseer_args", "assumes=0.5"])


@pytest.mark.parametrize("config", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_config_is_a_run_and_an_experiment(config: Path) -> None:
    assert parse_run(["--config", str(config), "--seed", "1"]).selection.seed == 1
    planned = plan(str(config))
    assert planned.folder == Path("runs") / config.stem
    assert planned.settings
    assert planned.seeds


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("knowlege: 1", "setting 'knowlege' is unknown (did you mean 'knowledge'?)"),
        ("knowledge: 1.4", "knowledge = 1.4 is not in [0, 1]"),
        ("knowledge: much", "knowledge = much is not of the right type (a number)"),
        ("knowledge: true", "knowledge = True is not of the right type"),
        (
            "off_distribution_scenarios: 2.5",
            "off_distribution_scenarios = 2.5 is not of the right type (a whole number)",
        ),
        ("off_distribution_scenarios: 0", "off_distribution_scenarios = 0 is not 1 or more"),
        ("learning_rate: -1", "learning_rate = -1.0 is not above 0"),
        ("learning_rate: [1]", "learning_rate = [1] is not of the right type"),
        ("learning_rate: .nan", "learning_rate = nan is not above 0"),
        ("use_peft: maybe", "use_peft = maybe is not of the right type (true or false)"),
        ("task: corrido", "task 'corrido' is unknown (did you mean 'corridor'?)"),
        ("overseer: scriptd", "overseer 'scriptd' is unknown (did you mean 'scripted'?)"),
        ("overseer: full_knowledge", "overseer = full_knowledge is held out: it only evaluates"),
        (
            "overseer_args: [priro=0.5]",
            "overseer_args: scripted has no option 'priro' (options: prior)",
        ),
        (
            "overseer_args: prior=high",
            "overseer_args: prior = high is not of the right type (a number)",
        ),
        (
            "overseer_args: [prior=2]",
            "overseer_args: scripted: prior = 2.0 is not in [0, 1]",
        ),
        ("overseer_args: [prior=1, prior=0]", "overseer_args names prior twice"),
        ("overseer_args: [0.5]", "overseer_args = 0.5 can't be read (right: NAME=VALUE)"),
        ("overseer_args: {prior: 0.5}", "can't be read (right: NAME=VALUE)"),
        ("method: pppo", "method 'pppo' is unknown (did you mean 'ppo'?)"),
        ("method: nowhere:X", "method nowhere:X: module nowhere can't be imported"),
        (
            "method: tasks.base:Task",
            "method tasks.base:Task: lacks summary, settings, appraise, demons",
        ),
        ("arm: bth", "arm = bth is not an arm of corridor"),
        ("arms: [both, bth]", "arm = bth is not an arm of corridor"),
        ("seeds: 4-0", "seeds = 4-0 runs backwards"),
        ("seeds: few", "seeds = few can't be read"),
        ("vary: [randomized=0]", "setting 'randomized' is unknown (did you mean 'randomised'?)"),
        ("vary: [randomised=x]", "vary: randomised = x is not of the right type (a number)"),
        ("vary: ['randomised=0,2']", "vary: randomised = 2.0 is not in [0, 1]"),
        (
            "train_scenarios: 10",
            "train_scenarios = 10 is less than an update takes (64 of 64 episodes)",
        ),
        ("num_mini_batches: 3", "num_mini_batches = 3 does not divide a batch of 64 episodes"),
        ("- a list", "must be a mapping of settings"),
        ("a: b: c", "not readable as YAML"),
    ],
)
def test_a_bad_setting_is_named_with_its_place(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(UsageError) as raised:
        parse_run(["--config", str(file)])
    assert str(raised.value).startswith(str(file))
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--knowlege", "1"], "option '--knowlege' is unknown (did you mean '--knowledge'?)"),
        (["--knowledge", "2"], "command line: knowledge = 2.0 is not in [0, 1]"),
        (["--seed", "x"], "invalid int value: 'x'"),
        (["--config"], "--config needs a file"),
        (
            ["--config", str(CONFIGS / "corridor.yaml"), "--config=y.yaml"],
            "--config is given twice",
        ),
        (["--method"], "--method needs a name"),
        (["stray"], "command line: stray can't be read (right: --NAME VALUE)"),
        (["--config", "nowhere.yaml"], "nowhere.yaml: No such file"),
    ],
)
def test_a_bad_option_is_named(arguments: list[str], says: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_run(arguments)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_seeds_are_not_named_twice() -> None:
    assert parse_seeds("7,11", "--seeds") == [7, 11]
    with pytest.raises(UsageError, match="names a seed twice"):
        parse_seeds("0-2,1", "--seeds")


def test_a_missing_config_is_one_line() -> None:
    with pytest.raises(UsageError, match="nowhere"):
        read_yaml("nowhere.yaml")


@pytest.mark.parametrize(
    "command",
    [
        ["experiment", "nowhere.yaml"],
        ["evaluate", "runs/nowhere"],
        ["inspect", "runs/nowhere"],
        ["inspect", "--nonsense"],
        ["nonsense"],
        ["train", "--knowlege", "1"],
    ],
    ids=" ".join,
)
def test_the_commands_answer_bad_input_with_one_line_and_status_2(command: list[str]) -> None:
    program = "from rlhf_testbed.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", program, *command],
        capture_output=True,
        text=True,
        cwd=CONFIGS.parent,
    )
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("error: ")


def test_a_task_says_how_long_its_demonstrations_take_unless_the_settings_do() -> None:
    briefing = parse_run(["--task", "briefing"])
    assert briefing.base_steps == briefing.flat()["base_steps"] == 3600
    assert parse_run(["--task", "corridor"]).base_steps == 2400
    assert parse_run(["--task", "briefing", "--base_steps", "0"]).base_steps == 0
