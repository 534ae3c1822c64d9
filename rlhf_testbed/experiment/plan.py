"""What an experiment runs: arms, some with dials varied, base policies, and training seeds.

    plan("configs/corridor.yaml", seeds="0-4")                      five arms × five seeds
    plan("configs/corridor.yaml", seeds="0-3", base_seeds="0-4")    × five base policies
    plan_gates("corridor", seeds="0-1")           the honest arm alone: what the gates take

Every run is the one that `accelerate launch -m rlhf_testbed.train --config configs/corridor.yaml
--arm both --seed 3` does.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from rlhf_testbed.contract.readiness import refuse_unfit
from rlhf_testbed.contract.scenarios import is_honest
from rlhf_testbed.settings.options import options_of
from rlhf_testbed.settings.parsing import parse_methods, parse_run, parse_seeds, parse_vary
from rlhf_testbed.settings.run import DIALS, RunConfig
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import file_name
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.tasks.base import Arm, Dials, Task


class Run(NamedTuple):
    """One of an arm's runs; runs sort by base policy, then by training seed."""

    base: int
    """Seed of the base policy."""
    seed: int


class Setting(NamedTuple):
    """One arm as an experiment runs it: with the arm's dials, or with some of them varied."""

    name: str
    arm: Arm
    dials: Dials
    arguments: tuple[str, ...]
    """What its runs are told besides the config."""
    options: tuple[str, ...] = ()
    """Options of the task that are varied, as `NAME=VALUE`."""

    @classmethod
    def of(cls, arm: Arm, varied: Mapping[str, float], options: Sequence[str] = ()) -> Setting:
        """An arm with some dials and options of the task set to other values.

        `options`: those that the experiment gives its task already, as `NAME=VALUE`.
        """
        values = {name: f"{value:g}" for name, value in varied.items()}
        dials = {name: value for name, value in values.items() if name in DIALS}
        others = [f"{name}={value}" for name, value in values.items() if name not in DIALS]
        kept = [one for one in options if one.partition("=")[0] not in values]
        return cls(
            name=" ".join([arm.name, *(f"{name}={value}" for name, value in values.items())]),
            arm=arm,
            dials=replace(arm.dials, **{name: varied[name] for name in dials}),
            arguments=(
                *("--arm", arm.name),
                *(word for name, value in dials.items() for word in (f"--{name}", value)),
                *(["--task_args", *kept, *others] if others else []),
            ),
            options=tuple(others),
        )

    def by(self, method: str, words: Sequence[str]) -> Setting:
        """The same with another selection method, told more `words`; itself without a name."""
        if not method:
            return self
        return self._replace(
            name=f"{self.name} method={method}",
            arguments=(*self.arguments, "--method", method, *words),
        )


@dataclass(frozen=True)
class Experiment:
    """What is to be run."""

    given: tuple[str, str]
    """What every run is told first: `--config FILE`, or `--task NAME`."""
    run: RunConfig
    settings: tuple[Setting, ...]
    seeds: tuple[int, ...]
    base_seeds: tuple[int, ...]
    folder: Path

    @property
    def task(self) -> Task:
        """The task."""
        return self.run.task

    @property
    def bases(self) -> Path:
        """Where its runs keep their base policies, each once."""
        return self.folder / "base"

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs of each arm: every base policy with every training seed."""
        return tuple(Run(base, seed) for base in self.base_seeds for seed in self.seeds)

    def is_own(self, base: int) -> bool:
        """Whether a base seed is the one in the experiment's settings, so that no name tells it."""
        return base == self.run.base.base_seed

    def directory(self, setting: str, seed: int, base: int | None = None) -> RunDirectory:
        """Where one run is written. Without a base seed, or with the settings' own, the folder is
        named for the training seed alone, so that base policies can be added later."""
        own = base is None or self.is_own(base)
        name = f"seed-{seed}" if own else f"seed-{seed}-base-{base}"
        return RunDirectory(self.folder / setting / name)

    def gates_file(self, base: int) -> Path:
        """Where the gates of a base policy that need no RL are filed."""
        name = "gates.json" if self.is_own(base) else f"gates-base-{base}.json"
        return self.folder / name

    def run_of(self, setting: Setting, run: Run) -> RunConfig:
        """All settings of one run, its place included."""
        asked = self.of_base(setting, run.base)
        place = str(self.directory(setting.name, run.seed, run.base).path)
        return replace(asked, selection=replace(asked.selection, seed=run.seed, output_dir=place))

    def of_base(self, setting: Setting, base: int) -> RunConfig:
        """The settings of an arm's runs from one base policy; their seeds and places differ.

        What is given is read once for each arm, so that thousands of runs are planned in seconds.
        """
        if setting.arguments not in self._read:
            self._read[setting.arguments] = parse_run([*self.given, *setting.arguments])
        asked = self._read[setting.arguments]
        return replace(asked, base=replace(asked.base, base_seed=base))

    @cached_property
    def _read(self) -> dict[tuple[str, ...], RunConfig]:
        """The settings of arms as far as they have been read, by what the arms are told."""
        return {}

    @property
    def honest(self) -> Setting:
        """The setting with which gate 2 is decided: all seen, goals apart, habits of no use."""
        for setting in (*self.settings, *(Setting.of(arm, {}) for arm in self.task.arms)):
            if is_honest(setting.dials):
                return setting if self.run.selection.scores == "overseer" else _selected(setting)
        raise UsageError(f"{self.task.name} has no arm with κ = α = δ = 1 (gate 2)")

    @property
    def honest_runs(self) -> tuple[Run, ...]:
        """The runs of the honest setting: all where the experiment has it, else the first seed of
        each base policy."""
        seeds = self.seeds if self.honest in self.settings else self.seeds[:1]
        return tuple(Run(base, seed) for base in self.base_seeds for seed in seeds)


def _selected(setting: Setting) -> Setting:
    """A setting of a drift control as it is with selection, in a folder of its own."""
    more = ("--scores", "overseer")
    name, arguments = f"{setting.name} scores=overseer", (*setting.arguments, *more)
    return setting._replace(name=name, arguments=arguments)


def plan(
    config: str,
    seeds: str | None = None,
    output_dir: str | None = None,
    base_seeds: str | None = None,
) -> Experiment:
    """Reads and checks an experiment's file; raises `UsageError`."""
    run = parse_run(["--config", config])
    given = [name for name in ("arm", *DIALS[:3]) if getattr(run.study, name) is not None]
    if given:
        raise UsageError(f"{config}: {given[0]} is set by the arms of an experiment: leave it out")
    refuse_unfit(run)
    names = run.experiment.arms or [arm.name for arm in run.task.arms]
    if len(set(names)) < len(names):
        raise UsageError(f"{config}: arms = {', '.join(names)} names an arm twice")
    options = run.study.task_args
    varied = parse_vary(run.experiment.vary, config, options_of(type(run.task)))
    combinations = [dict(zip(varied, v, strict=True)) for v in itertools.product(*varied.values())]
    settings = tuple(
        Setting.of(_arm(run, name), chosen, options).by(*method)
        for name in names
        for chosen in combinations
        for method in parse_methods(run.experiment.methods, config) or [("", ())]
    )
    if run.experiment.methods or set(varied) - set(DIALS):
        for setting in settings:  # what a task or a method refuses is told before anything runs
            parse_run(["--config", config, *setting.arguments])
    return Experiment(
        given=("--config", config),
        run=run,
        settings=settings,
        seeds=tuple(
            parse_seeds(seeds, "--seeds") if seeds else parse_seeds(run.experiment.seeds, config)
        ),
        base_seeds=_base_seeds(run, config, base_seeds),
        folder=Path(output_dir) if output_dir else Path("runs") / Path(config).stem,
    )


def _arm(run: RunConfig, name: str) -> Arm:
    """An arm of the task, with the ρ that the experiment gives all of its arms, if it does."""
    arm, share = run.task.arm(name), run.study.unintended_share
    if share is None:
        return arm
    return replace(arm, dials=replace(arm.dials, unintended_share=share))


def plan_gates(of: str, seeds: str, output_dir: str | None = None) -> Experiment:
    """The experiment that decides a task's gates; raises `UsageError`.

    `of`: a task, which is taken with default settings, or an experiment's file.
    """
    is_file = of.endswith((".yaml", ".yml"))
    given = ("--config" if is_file else "--task", of)
    name = Path(of).stem if is_file else file_name(of)
    run = parse_run(given)
    refuse_unfit(run)
    planned = Experiment(
        given=given,
        run=run,
        settings=(),
        seeds=tuple(parse_seeds(seeds, "--seeds")),
        base_seeds=_base_seeds(run, of),
        folder=Path(output_dir) if output_dir else Path("runs") / f"gates-{name}",
    )
    return replace(planned, settings=(planned.honest,))


def _base_seeds(run: RunConfig, source: str, given: str | None = None) -> tuple[int, ...]:
    """As given on the command line, else as the file has them, else the run's own alone."""
    if given:
        return tuple(parse_seeds(given, "--base-seeds", "base_seeds"))
    asked = run.experiment.base_seeds
    if asked is None:
        return (run.base.base_seed,)
    return tuple(parse_seeds(asked, source, "base_seeds"))
