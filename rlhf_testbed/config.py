"""What a run is: flat YAML and overrides, as TRL's `TrlParser` has them, every value checked.

    # configs/corridor.yaml
    task: corridor
    learning_rate: 5.0e-4

    accelerate launch -m rlhf_testbed.train --config configs/corridor.yaml --arm both --seed 3

One file serves a run and an experiment: `arms` and `seeds` are read by the experiment only. Errors
name the place, the value and what would be right, in one line.
"""

from __future__ import annotations

import dataclasses
import re
from argparse import ArgumentTypeError
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from trl import ModelConfig, TrlParser

from overseers.base import Sight
from rlhf_testbed.errors import UsageError, unknown
from rlhf_testbed.files import file_name, read_yaml
from rlhf_testbed.overseeing import make_overseer
from rlhf_testbed.plugins import task_named, training_class
from tasks.base import Dials, Split, Task, TaskError

if TYPE_CHECKING:
    from rlhf_testbed.ppo import SelectionConfig

DIALS = tuple(dial.name for dial in dataclasses.fields(Dials))


@dataclass
class TestbedConfig:
    """What is studied: task, overseer, dials, base population, evaluation."""

    task: str = field(default="corridor", metadata={"help": "A task's name, or module:Class."})
    overseer: str = field(
        default="scripted", metadata={"help": "The training overseer's name, or module:Class."}
    )
    overseer_args: list[str] = field(
        default_factory=list,
        metadata={"help": "The overseer's options, NAME=VALUE each, like assumes=0.5."},
    )
    arm: str | None = field(
        default=None, metadata={"help": "An arm of the task: sets the dials that aren't given."}
    )
    knowledge: float | None = field(
        default=None,
        metadata={"help": "κ: share of the concealable facts that the overseer sees."},
    )
    randomised: float | None = field(
        default=None,
        metadata={"help": "α: share of training scenarios in which the goals come apart."},
    )
    diversity: float | None = field(
        default=None,
        metadata={"help": "δ: share of training scenarios that a fixed habit can't solve."},
    )
    population: float | None = field(
        default=None,
        metadata={"help": "ρ: share of demonstrations that pursue an unintended goal."},
    )
    train_scenarios: int = field(default=512, metadata={"help": "Different training scenarios."})
    held_out_scenarios: int = field(
        default=512, metadata={"help": "Fresh scenarios for threat 1, one generation each."}
    )
    probes: int = field(default=64, metadata={"help": "Probes for threat 2, scored exactly."})
    probe_samples: int = field(
        default=0,
        metadata={
            "help": "Responses sampled to each probe, for a response space that is too large to "
            "score whole; 0 scores all of it."
        },
    )
    keep_every: int = field(
        default=5,
        metadata={
            "help": "Updates from one kept policy to the next, for figures through training; "
            "0 keeps the last policy only."
        },
    )
    trajectory_scenarios: int = field(
        default=32,
        metadata={"help": "Held-out scenarios, and probes, on which each kept policy is scored."},
    )
    demonstrations: int = field(
        default=80_000, metadata={"help": "Demonstrations that the base population learns from."}
    )
    population_steps: int | None = field(
        default=None,
        metadata={
            "help": "Steps of learning from them; 0 takes a model as it is. Default: the task's."
        },
    )
    population_batch_size: int = field(default=32, metadata={"help": "Demonstrations a step."})
    population_learning_rate: float = field(default=1.5e-3, metadata={"help": "Its peak."})
    population_seed: int = field(
        default=0, metadata={"help": "Seed of the base population: one for all training seeds."}
    )
    value_layers: int | None = field(
        default=1,
        metadata={"help": "Layers of the value model, which starts as the base model's first."},
    )
    threads: int = field(
        default=1, metadata={"help": "Threads a run; results depend on it. 0 leaves it to torch."}
    )
    equivalent_threat_1: float = field(
        default=0.1, metadata={"help": "Experiment: a difference within this is none (share)."}
    )
    equivalent_threat_2: float = field(
        default=0.3, metadata={"help": "Experiment: a difference within this is none (nats)."}
    )
    arms: list[str] = field(
        default_factory=list, metadata={"help": "Experiment: the arms; all if none is named."}
    )
    vary: list[str] = field(
        default_factory=list,
        metadata={"help": "Experiment: values of dials in each arm, like randomised=0,0.1,1."},
    )
    seeds: str = field(default="0-4", metadata={"help": "Experiment: 0-4, or 7,11."})


@dataclass
class LanguageConfig(ModelConfig):
    """Which language model: TRL's own settings (Hub or folder, dtype, LoRA)."""

    model_name_or_path: str | None = field(
        default=None,
        metadata={
            "help": "A causal LM's Hub name, folder or GGUF file. Default: the small one, built on "
            "first use.",
            "aliases": ["--model"],
        },
    )


@dataclass(frozen=True)
class RunConfig:
    """One run, checked and resolved."""

    testbed: TestbedConfig
    language: LanguageConfig
    selection: SelectionConfig

    @property
    def task(self) -> Task:
        """The task."""
        return task_named(self.testbed.task)

    @property
    def dials(self) -> Dials:
        """Given dials first, then the arm's, then the defaults."""
        arm = self.testbed.arm
        preset = self.task.arm(arm).dials if arm else Dials()
        given = {name: getattr(self.testbed, name) for name in DIALS}
        return dataclasses.replace(
            preset, **{name: value for name, value in given.items() if value is not None}
        )

    @property
    def population_steps(self) -> int:
        """As given, else the task's."""
        given = self.testbed.population_steps
        return self.task.population_steps if given is None else given

    @property
    def scenario_counts(self) -> dict[Split, int]:
        """How many scenarios of each split training and evaluation draw, at most."""
        own = self.testbed
        return {
            "train": own.train_scenarios,
            "held_out": max(own.held_out_scenarios, own.trajectory_scenarios),
            "probes": max(own.probes, own.trajectory_scenarios),
        }

    @property
    def output_dir(self) -> Path:
        """Where the run is written."""
        return Path(str(self.selection.output_dir))

    def flat(self) -> dict[str, Any]:
        """The settings as flat YAML that resolves to this run again (without `output_dir`).

        Holds all of the testbed's own settings, and of TRL's those that differ from the default.
        """
        own = dataclasses.asdict(self.testbed) | dataclasses.asdict(self.dials)
        own["population_steps"] = self.population_steps
        del own["arms"], own["seeds"], own["vary"]
        plain = (str, int, float, bool)
        theirs = {
            key.name: value.value if isinstance(value, Enum) else value
            for config in (self.language, self.selection)
            for key in dataclasses.fields(config)
            if isinstance(value := getattr(config, key.name), plain)
            and key.init
            and value != key.default
            and key.name not in _DERIVED
        }
        return {key: value for key, value in (own | theirs).items() if value not in (None, [])}


_DERIVED = frozenset(
    "output_dir logging_dir run_name world_size num_total_batches micro_batch_size batch_size "
    "local_batch_size mini_batch_size local_mini_batch_size response_length disable_tqdm "
    "activation_checkpointing gradient_checkpointing".split()
)
"""Settings that follow from others, or from where the run is written."""

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
