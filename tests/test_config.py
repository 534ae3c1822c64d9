"""Bad input: one clear line that says what, where, and what would be right; nothing is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rlhf_testbed.errors import UsageError
from rlhf_testbed.experiment import plan
from rlhf_testbed.files import read_yaml
from rlhf_testbed.parsing import parse_run, parse_seeds
from tasks.base import Dials

CONFIGS = Path(__file__).parents[1] / "configs"


def test_an_arm_sets_the_dials_and_given_dials_win() -> None:
    assert parse_run(["--arm", "goal_only"]).dials == Dials(1, 0, 1, 0.3)
    assert parse_run(["--arm", "goal_only", "--knowledge", "0.5"]).dials == Dials(0.5, 0, 1, 0.3)
    assert parse_run(["--knowledge", "0"]).dials == Dials()


def test_the_command_line_overrides_the_file(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("learning_rate: 1e-5\nseed: 4\nmodel: some/model\n")
    run = parse_run(["--config", str(file), "--seed", "9"])
    assert (run.selection.learning_rate, run.selection.seed) == (1e-5, 9)
    assert run.language.model_name_or_path == "some/model"


def test_resolved_settings_resolve_to_themselves(tmp_path: Path) -> None:
    given = ["--kl_coef", "0.1", "--use_peft", "true", "--seed", "7"]
    run = parse_run(["--arm", "both", *given, "--overseer_args", "assumes=0.5"])
    file = tmp_path / "resolved.yaml"
    file.write_text(yaml.safe_dump(run.flat()))
    again = parse_run(["--config", str(file)])
    assert again.flat() == run.flat()
    assert (again.dials, again.selection.kl_coef, again.language.use_peft) == (run.dials, 0.1, True)
    assert again.testbed.overseer_args == ["assumes=0.5"]


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
        ("probes: 2.5", "probes = 2.5 is not of the right type (a whole number)"),
        ("probes: 0", "probes = 0 is not 1 or more"),
        ("learning_rate: -1", "learning_rate = -1.0 is not above 0"),
        ("learning_rate: [1]", "learning_rate = [1] is not of the right type"),
        ("learning_rate: .nan", "learning_rate = nan is not above 0"),
        ("use_peft: maybe", "use_peft = maybe is not of the right type (true or false)"),
        ("task: corrido", "task 'corrido' is unknown (did you mean 'corridor'?)"),
        ("overseer: scriptd", "overseer 'scriptd' is unknown (did you mean 'scripted'?)"),
        ("overseer: full_knowledge", "overseer = full_knowledge is held out: it only evaluates"),
        (
            "overseer_args: [asumes=0.5]",
            "overseer_args: scripted has no option 'asumes' (options: assumes)",
        ),
        (
            "overseer_args: assumes=high",
            "overseer_args: assumes = high is not of the right type (a number)",
        ),
        (
            "overseer_args: [assumes=2]",
            "overseer_args: scripted: assumes = 2.0 is not in [0, 1]",
        ),
        ("overseer_args: [assumes=1, assumes=0]", "overseer_args names assumes twice"),
        ("overseer_args: [0.5]", "overseer_args = 0.5 can't be read (right: NAME=VALUE)"),
        ("overseer_args: {assumes: 0.5}", "can't be read (right: NAME=VALUE)"),
        ("arm: bth", "arm = bth is not an arm of corridor"),
        ("arms: [both, bth]", "arm = bth is not an arm of corridor"),
        ("seeds: 4-0", "seeds = 4-0 runs backwards"),
        ("seeds: few", "seeds = few can't be read"),
        ("vary: [randomized=0]", "dial 'randomized' is unknown (did you mean 'randomised'?)"),
        ("vary: [randomised=x]", "vary = randomised=x can't be read"),
        ("vary: ['randomised=0,2']", "vary: randomised = 2.0 is not in [0, 1]"),
        ("train_scenarios: 10", "train_scenarios = 10 is less than one batch of 64 episodes"),
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
    assert briefing.population_steps == briefing.flat()["population_steps"] == 3600
    assert parse_run(["--task", "corridor"]).population_steps == 2400
    assert parse_run(["--task", "briefing", "--population_steps", "0"]).population_steps == 0
