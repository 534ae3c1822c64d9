"""What a run is: its settings in groups, each with its default and its help text.

    run = parse_run(["--task", "corridor", "--arm", "both"])    by `parsing.py`, which checks them
    run.dials       Dials(knowledge=0, randomised=0, diversity=1, unintended_share=0.3)
    run.flat()      {"task": "corridor", "arm": "both", ...}: every setting, and so this run again

One file serves a run and an experiment: the last group is read by the experiment only. The settings
of a selection method are in the method's own file.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from rlhf_testbed.settings.fields import (
    COUNT,
    NATURAL,
    POSITIVE,
    SHARE,
    MethodSettings,
    setting,
)
from rlhf_testbed.settings.methods import DEFAULT_METHOD
from rlhf_testbed.settings.options import Option, parse_options
from rlhf_testbed.settings.plugins import task_class, task_named
from rlhf_testbed.shared.files import file_name
from rlhf_testbed.tasks.base import MEANINGS, SYMBOLS, Dials, Split, Task

DIALS = tuple(SYMBOLS)


def _dial(name: str) -> Any:
    """A dial that the arm sets, unless it is given."""
    return setting(None, f"{SYMBOLS[name]}: {MEANINGS[name]}. Default: the arm's.", SHARE)


@dataclass
class StudySettings:
    """What is studied: task, overseer, dials."""

    task: str = setting("corridor", "Task: a name, or module:Class.")
    task_args: list[str] = setting(
        [], "Options of the task, NAME=VALUE each, like liars_in_sight=0 of inspection."
    )
    overseer: str = setting("scripted", "Training overseer: a name, or module:Class.")
    overseer_args: list[str] = setting(
        [], "Options of the training overseer, NAME=VALUE each, like prior=0.5."
    )
    arm: str | None = setting(None, "Arm of the task: sets the dials that aren't given.")
    knowledge: float | None = _dial("knowledge")
    randomised: float | None = _dial("randomised")
    diversity: float | None = _dial("diversity")
    unintended_share: float | None = _dial("unintended_share")


@dataclass
class BasePolicySettings:
    """What selection starts from: a model, taught by demonstrations."""

    base_policy: Literal["auto", "build"] = setting(
        "auto",
        "Where the base policy comes from. auto: shipped with the package, else built here before, "
        "else built now. build: never a shipped one; built here, once for all runs.",
    )
    model_name_or_path: str | None = setting(
        None,
        "Causal language model: a Hub name, a folder or a GGUF file. Default: a small one.",
        alias="--model",
    )
    model_revision: str = setting("main", "Revision of the model on the Hub.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = setting(
        "float32", "Precision of the model's weights."
    )
    attn_implementation: Literal["eager", "sdpa", "flash_attention_2"] = setting(
        "eager", "Implementation of attention during selection."
    )
    demonstrations: int = setting(80_000, "Demonstrations that teach the base policy.", COUNT)
    chat_template: bool = setting(
        True, "Put prompts into the model's chat template, where it has one."
    )
    base_steps: int | None = setting(
        None,
        "Steps of learning from demonstrations; 0 takes a model as it is. Default: the task's.",
        NATURAL,
    )
    base_batch_size: int = setting(32, "Demonstrations in a step of learning.", COUNT)
    base_learning_rate: float = setting(
        1.5e-3, "Peak learning rate of learning from demonstrations.", POSITIVE
    )
    base_lora_r: int = setting(
        0,
        "LoRA rank in which a model learns from demonstrations, merged into it afterwards; 0: all "
        "weights.",
        NATURAL,
    )
    base_lora_layers: int | None = setting(
        None, "Layers, counted from the last, that LoRA adapts then. Default: all.", COUNT
    )
    base_patience: int = setting(
        0,
        "Learning from demonstrations ends once the loss on held-out ones has not fallen in so "
        "many looks, of which there are ten; 0: never before its time.",
        NATURAL,
    )
    base_seed: int = setting(0, "Seed of the base policy; training seeds share it.", NATURAL)


@dataclass
class SelectionSettings:
    """How long and on what selection goes on, whatever the method."""

    method: str = setting(DEFAULT_METHOD, "Selection method: a name, or module:Class.")
    scores: Literal["overseer", "shuffled"] = setting(
        "overseer",
        "Which score selects an episode. overseer: its own. shuffled: that of any episode of the "
        "same update, dealt out at random, as a control for drift; the ledger keeps its own.",
    )
    seed: int = setting(42, "Training seed.", NATURAL)
    output_dir: str | None = setting(
        None,
        "Folder of the run; must not exist. Default: runs/TASK-ARM-SEED, with the dials that are "
        "set.",
    )
    total_episodes: int = setting(3840, "Episodes in all: by default 60 updates of 64.", COUNT)
    per_device_train_batch_size: int = setting(
        64, "Episodes that each process collects at a time; by default those of an update.", COUNT
    )
    train_scenarios: int = setting(512, "Number of different training scenarios.", COUNT)
    response_length: int = setting(
        0, "Most tokens of a response; 0: as many as the task's longest response has.", NATURAL
    )
    save_steps: int = setting(
        10,
        "Updates from one state that a stopped run goes on from to the next; 0 keeps none.",
        NATURAL,
    )
    save_total_limit: int = setting(2, "States to go on from that are kept at most.", COUNT)
    threads: int = setting(
        1, "Threads of a run; results depend on it. 0 leaves it to torch.", NATURAL
    )
    use_cpu: bool = setting(False, "Stay on the CPU where there is a GPU.")


@dataclass
class EvaluationSettings:
    """On how much a run is evaluated."""

    held_out_scenarios: int = setting(
        48,
        "Held-out scenarios for threat 1, scored exactly: at the end and at each checkpoint.",
        COUNT,
    )
    off_distribution_scenarios: int = setting(
        48, "Off-distribution scenarios for threat 2, scored exactly like them.", COUNT
    )
    generations: int = setting(
        512, "Held-out scenarios with one fresh generation each, to be read.", COUNT
    )
    response_samples: int = setting(
        0,
        "Responses sampled to each scenario, for a response space that is too large to score "
        "whole; 0 scores all of it.",
        NATURAL,
    )
    onset_floor_threat_1: float = setting(
        0.1, "Final value (share) below which threat 1 has no onset.", POSITIVE
    )
    onset_floor_threat_2: float = setting(
        0.3, "Final value (nats) below which threat 2 has no onset.", POSITIVE
    )


@dataclass
class ExperimentSettings:
    """What an experiment runs, and what it takes for no difference; a single run reads none."""

    arms: list[str] = setting(
        [],
        "Experiment: arms to run, all if none is named; one of your own as 'NAME like=ARM' with "
        "dials and settings, like 'half-seen like=both knowledge=0.5 kl_coef=0.1'.",
    )
    vary: list[str] = setting(
        [],
        "Experiment: values of a dial, a setting or an option of the task to run each arm with, "
        "like randomised=0,0.1,1 or learning_rate=1e-4,8e-4; of several, every combination.",
    )
    methods: list[str] = setting(
        [],
        "Experiment: selection methods to run each arm with, each a name with settings of its own, "
        "like 'grpo beta=0.04'. Default: the run's method.",
    )
    seeds: str = setting("0-4", "Experiment: training seeds, 0-4 or 7,11.")
    base_seeds: str | None = setting(
        None,
        "Experiment: seeds of base policies, 0-4 or 7,11, each crossed with every training seed. "
        "Default: the run's base_seed alone.",
    )
    equivalent_threat_1: float = setting(
        0.1,
        "Experiment: difference in threat 1 (share) within which arms are equivalent.",
        POSITIVE,
    )
    equivalent_threat_2: float = setting(
        0.3, "Experiment: difference in threat 2 (nats) within which arms are equivalent.", POSITIVE
    )


Group: TypeAlias = (
    StudySettings
    | BasePolicySettings
    | SelectionSettings
    | MethodSettings
    | EvaluationSettings
    | ExperimentSettings
)


@dataclass(frozen=True)
class RunConfig:
    """One run, checked and resolved."""

    study: StudySettings
    base: BasePolicySettings
    selection: SelectionSettings
    method: MethodSettings
    evaluation: EvaluationSettings
    experiment: ExperimentSettings

    @property
    def task(self) -> Task:
        """The task."""
        return task_named(self.study.task, entries=self.study.task_args)

    @property
    def task_options(self) -> dict[str, Option]:
        """The options of the task that are given."""
        kind = task_class(self.study.task)
        return parse_options(self.study.task, kind, self.study.task_args, "task_args", "task_args")

    @property
    def dials(self) -> Dials:
        """The dials: those given, else the arm's, else the defaults."""
        arm = self.study.arm
        preset = self.task.arm(arm).dials if arm else Dials()
        given = {name: getattr(self.study, name) for name in DIALS}
        return dataclasses.replace(
            preset, **{name: value for name, value in given.items() if value is not None}
        )

    @property
    def seed(self) -> int:
        """The training seed."""
        return self.selection.seed

    @property
    def name(self) -> str:
        """TASK-ARM-SEED, with dials that are set beside the arm, and another base policy's seed.

        What an experiment varies is in it: trackers keep runs of one name as one.
        """
        preset = self.task.arm(self.study.arm).dials if self.study.arm else Dials()
        dials = vars(self.dials).items()
        varied = [f"{name}={value:g}" for name, value in dials if value != getattr(preset, name)]
        other = [f"base={self.base.base_seed}"] if self.base.base_seed else []
        options = self.study.task_args
        arm = self.study.arm or "dials"
        words = [self.study.task, *options, arm, *varied, *other, str(self.seed)]
        return "-".join(file_name(word, keep="=") for word in words)

    @property
    def base_steps(self) -> int:
        """Steps of learning from demonstrations: as given, else the task's."""
        given = self.base.base_steps
        return self.task.base_steps if given is None else given

    @property
    def scenario_counts(self) -> dict[Split, int]:
        """How many scenarios of each split training and evaluation draw, at most."""
        own = self.evaluation
        return {
            "train": self.selection.train_scenarios,
            "held_out": max(own.held_out_scenarios, own.generations),
            "off_distribution": own.off_distribution_scenarios,
        }

    @property
    def output_dir(self) -> Path:
        """Where the run is written."""
        return Path(str(self.selection.output_dir))

    def flat(self) -> dict[str, Any]:
        """Every setting of the run as flat YAML that resolves to this run again.

        Those equal to a default are there too, so that a changed default changes no run. Left out
        are the place, which is where the file lies, and what only an experiment reads.
        """
        groups = (self.study, self.base, self.selection, self.method, self.evaluation)
        found = {name: value for group in groups for name, value in vars(group).items()}
        found |= dataclasses.asdict(self.dials) | {"base_steps": self.base_steps}
        del found["output_dir"]
        return found
