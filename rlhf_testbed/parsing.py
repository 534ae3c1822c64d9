"""From YAML and overrides to a run, as TRL's `TrlParser` has them, every value checked.

    # configs/corridor.yaml
    task: corridor
    learning_rate: 5.0e-4

    accelerate launch -m rlhf_testbed.train --config configs/corridor.yaml --arm both --seed 3

Errors name the place, the value and what would be right, in one line.
"""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from trl import TrlParser

from overseers.base import Sight
from rlhf_testbed.config import DIALS, LanguageConfig, RunConfig, TestbedConfig
from rlhf_testbed.errors import UsageError, unknown
from rlhf_testbed.files import file_name, read_yaml
from rlhf_testbed.overseeing import make_overseer
from rlhf_testbed.plugins import task_named, training_class
from tasks.base import TaskError

if TYPE_CHECKING:
    from rlhf_testbed.ppo import SelectionConfig

_ALIASES = {"model": "model_name_or_path"}
_SHARE, _POSITIVE, _COUNT, _NATURAL = "in [0, 1]", "above 0", "1 or more", "0 or more"
_BOUNDS: dict[str, str] = {
    **dict.fromkeys(DIALS, _SHARE),
    **dict.fromkeys(("gamma", "lam"), _SHARE),
    **dict.fromkeys(
        "learning_rate temperature cliprange cliprange_value population_learning_rate "
        "equivalent_threat_1 equivalent_threat_2".split(),
        _POSITIVE,
    ),
    **dict.fromkeys(
        "kl_coef vf_coef population_steps threads seed probe_samples keep_every".split(), _NATURAL
    ),
    **dict.fromkeys(
        "train_scenarios held_out_scenarios probes trajectory_scenarios demonstrations "
        "population_batch_size "
        "value_layers total_episodes per_device_train_batch_size gradient_accumulation_steps "
        "num_mini_batches num_ppo_epochs local_rollout_forward_batch_size "
        "lora_r lora_alpha".split(),
        _COUNT,
    ),
}
_WITHIN = {
    _SHARE: lambda value: 0 <= value <= 1,
    _POSITIVE: lambda value: 0 < value < float("inf"),
    _COUNT: lambda value: value >= 1,
    _NATURAL: lambda value: 0 <= value < float("inf"),
}


class _Parser(TrlParser):
    """TrlParser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"command line: {message}")


def parse_run(arguments: Sequence[str], prog: str | None = None) -> RunConfig:
    """Resolves `--config FILE` and overrides into a run; raises `UsageError`."""
    from rlhf_testbed.ppo import SelectionConfig  # imports torch and TRL's trainer: seconds

    parser = _Parser((TestbedConfig, LanguageConfig, SelectionConfig), prog=prog, add_help=True)
    actions = {action.dest: action for action in parser._actions}
    path = _config_path(arguments)
    settings = _checked_yaml(path, actions) if path else {}
    _refuse_unknown_options(arguments, parser)
    parser.set_defaults_with_config(**settings)
    rest = list(arguments)
    if path:
        del rest[rest.index("--config") : rest.index("--config") + 2]
    try:
        testbed, language, selection = parser.parse_args_into_dataclasses(args=rest)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path or 'command line'}: {str(error).splitlines()[0]}") from None
    given = {_option_name(word) for word in rest if word.startswith("--")}
    source = dict.fromkeys(actions, "default") | dict.fromkeys(settings, str(path))
    source |= dict.fromkeys(given, "command line")
    _check(testbed, language, selection, source)
    name = f"{file_name(testbed.task)}-{testbed.arm or 'dials'}-{selection.seed}"
    if source["output_dir"] == "default":
        selection.output_dir = f"runs/{name}"
    selection.run_name = selection.run_name or name
    return RunConfig(testbed, language, selection)


def parse_seeds(text: str, source: str) -> list[int]:
    """Training seeds from `0-4`, `7,11` or both; raises `UsageError`.

    >>> parse_seeds("0-2,7", "--seeds")
    [0, 1, 2, 7]
    """
    found: list[int] = []
    for part in str(text).split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if not match:
            raise UsageError(f"{source}: seeds = {text} can't be read (right: 0-4, or 7,11)")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise UsageError(f"{source}: seeds = {text} runs backwards (right: {last}-{first})")
        found.extend(range(first, last + 1))
    if len(set(found)) < len(found):
        raise UsageError(f"{source}: seeds = {text} names a seed twice")
    return found


def parse_vary(entries: Sequence[str], source: str) -> dict[str, list[float]]:
    """Values of each varied dial, from `DIAL=VALUE,VALUE`; raises `UsageError`.

    >>> parse_vary(["randomised=0,0.1,1"], "x.yaml")
    {'randomised': [0.0, 0.1, 1.0]}
    """
    found: dict[str, list[float]] = {}
    for entry in entries:
        dial, _, values = str(entry).partition("=")
        if dial not in DIALS:
            raise unknown(f"{source}: vary: dial", dial, DIALS)
        try:
            found[dial] = [float(value) for value in values.split(",")]
        except ValueError:
            raise UsageError(
                f"{source}: vary = {entry} can't be read (right: {dial}=0,0.5,1)"
            ) from None
        for value in found[dial]:
            if not 0 <= value <= 1:
                raise UsageError(f"{source}: vary: {dial} = {value} is not in [0, 1]")
        if len(set(found[dial])) < len(found[dial]):
            raise UsageError(f"{source}: vary = {entry} names a value twice")
    return found


def _config_path(arguments: Sequence[str]) -> str | None:
    if "--config" not in arguments:
        return None
    index = list(arguments).index("--config")
    if index + 1 == len(arguments):
        raise UsageError("command line: --config needs a file")
    return arguments[index + 1]


def _checked_yaml(path: str, actions: Mapping[str, Any]) -> dict[str, Any]:
    """The file's settings with known names and values of the right type."""
    known = [name for name in actions if name != "help"] + list(_ALIASES)
    settings = {}
    for key, value in read_yaml(path).items():
        if key not in known:
            raise unknown(f"{path}: setting", str(key), known)
        name = _ALIASES.get(key, key)
        settings[name] = _converted(f"{path}: {key}", value, actions[name])
    return settings


def _converted(where: str, value: Any, action: Any) -> Any:
    """A YAML value in the type that the option has; a bool is no number, and a list no value."""
    if value is None:
        return None
    if action.nargs in ("+", "*"):
        return value if isinstance(value, list) else [value]
    kind = getattr(action.type, "__name__", "value")
    mistyped = isinstance(value, list | dict)
    if not mistyped and action.type is not None:
        try:
            return action.type(str(value))
        except (ValueError, TypeError, ArgumentTypeError):
            mistyped = True
    if mistyped:
        raise UsageError(f"{where} = {value} is not of the right type ({_WORDS.get(kind, kind)})")
    return value


_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "string_to_bool": "true or false",
    "parse": "a number",
}


def _option_name(word: str) -> str:
    name = word[2:].split("=")[0].replace("-", "_")
    return _ALIASES.get(name, name)


def _refuse_unknown_options(arguments: Iterable[str], parser: _Parser) -> None:
    known = [option[2:] for option in parser._option_string_actions if option.startswith("--")]
    for word in arguments:
        name = word[2:].split("=")[0]
        if word.startswith("--") and name not in [*known, "config"]:
            raise unknown("command line: option", f"--{name}", [f"--{option}" for option in known])


def _check(
    testbed: TestbedConfig,
    language: LanguageConfig,
    selection: SelectionConfig,
    source: Mapping[str, str],
) -> None:
    """Ranges, and names that must exist."""
    for config in (testbed, language, selection):
        for name, value in vars(config).items():
            bound = _BOUNDS.get(name)
            if bound and isinstance(value, int | float) and not _WITHIN[bound](value):
                raise UsageError(f"{source[name]}: {name} = {value} is not {bound}")
    task = task_named(testbed.task, f"{source['task']}: task")
    training_class(testbed.overseer, f"{source['overseer']}: overseer")
    where = source["overseer_args" if testbed.overseer_args else "overseer"]
    make_overseer(testbed.overseer, task, Sight(0.0), testbed.overseer_args, where)
    named = [("arms", arm) for arm in testbed.arms]
    for place, arm in [("arm", testbed.arm), *named] if testbed.arm else named:
        try:
            task.arm(str(arm))
        except TaskError as error:
            raise UsageError(f"{source[place]}: {error}") from None
    parse_seeds(testbed.seeds, source["seeds"])
    parse_vary(testbed.vary, source["vary"])
    batch = selection.per_device_train_batch_size * selection.gradient_accumulation_steps
    if testbed.train_scenarios < batch:
        raise UsageError(
            f"{source['train_scenarios']}: train_scenarios = {testbed.train_scenarios} is less "
            f"than one batch of {batch} episodes"
        )
    if batch % selection.num_mini_batches:
        raise UsageError(
            f"{source['num_mini_batches']}: num_mini_batches = {selection.num_mini_batches} does "
            f"not divide a batch of {batch} episodes"
        )
