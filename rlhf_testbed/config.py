"""What a run is: its settings, each with its default and its help text.

    run = parse_run(["--task", "corridor", "--arm", "both"])    by `parsing.py`, which checks them
    run.dials                       Dials(knowledge=0, randomised=0, diversity=1, population=0.3)
    run.flat()                      {"task": "corridor", "arm": "both", ...}: this run again

One file serves a run and an experiment: `arms`, `vary` and `seeds` are read by the experiment only.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl import ModelConfig

from rlhf_testbed.plugins import task_named
from tasks.base import Dials, Split, Task

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
