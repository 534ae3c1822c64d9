"""What an experiment runs: arms, some with dials varied, and training seeds.

    plan("configs/corridor.yaml", seeds="0-4")    five arms × five seeds, in runs/corridor
    plan_gates("corridor", seeds="0-1")           the honest arm alone: what the gates take

Every run is the one that `accelerate launch -m rlhf_testbed.train --config configs/corridor.yaml
--arm both --seed 3` does.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from rlhf_testbed.contract.readiness import refuse_unfit
from rlhf_testbed.contract.scenarios import is_honest
from rlhf_testbed.settings.parsing import parse_run, parse_seeds, parse_vary
from rlhf_testbed.settings.run import DIALS, RunConfig
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import file_name
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.tasks.base import Arm, Dials, Task


class Setting(NamedTuple):
    """One arm as an experiment runs it: with the arm's dials, or with some of them varied."""

    name: str
    arm: Arm
    dials: Dials
    arguments: tuple[str, ...]
    """What its training jobs are told besides the config."""

    @classmethod
    def of(cls, arm: Arm, varied: Mapping[str, float]) -> Setting:
        """An arm with some dials set to other values."""
        values = [(dial, f"{value:g}") for dial, value in varied.items()]
        return cls(
            name=" ".join([arm.name, *(f"{dial}={value}" for dial, value in values)]),
            arm=arm,
            dials=replace(arm.dials, **varied),
            arguments=("--arm", arm.name, *(w for d, v in values for w in (f"--{d}", v))),
        )


@dataclass(frozen=True)
class Experiment:
    """What is to be run."""

    given: tuple[str, str]
    """What every job is told first: `--config FILE`, or `--task NAME`."""
    run: RunConfig
    settings: tuple[Setting, ...]
    seeds: tuple[int, ...]
    folder: Path

    @property
    def task(self) -> Task:
        """The task."""
        return self.run.task

    @property
    def bases(self) -> Path:
        """Where its runs keep their base policies, each once."""
        return self.folder / "base"

    def directory(self, setting: str, seed: int) -> RunDirectory:
        """Where one run is written."""
        return RunDirectory(self.folder / setting / f"seed-{seed}")

    def arguments(self, setting: Setting, seed: int) -> list[str]:
        """The command-line arguments of one run's training job."""
        where = ["--output_dir", str(self.directory(setting.name, seed).path)]
        return [*self.given, *setting.arguments, "--seed", str(seed), *where]

    @property
    def honest(self) -> Setting:
        """The setting with which gate 2 is decided: all seen, goals apart, habits of no use."""
        for setting in (*self.settings, *(Setting.of(arm, {}) for arm in self.task.arms)):
            if is_honest(setting.dials):
                return setting if self.run.selection.scores == "overseer" else _selected(setting)
        raise UsageError(f"{self.task.name} has no arm with κ = α = δ = 1 (gate 2)")

    @property
    def honest_arguments(self) -> list[str]:
        """What a run of the honest setting is told, but for its seed and place."""
        return [*self.given, *self.honest.arguments]

    @property
    def honest_seeds(self) -> tuple[int, ...]:
        """The seeds of the honest setting: all where the experiment has it, else the first."""
        return self.seeds if self.honest in self.settings else self.seeds[:1]


def _selected(setting: Setting) -> Setting:
    """A setting of a drift control as it is with selection, in a folder of its own."""
    more = ("--scores", "overseer")
    name, arguments = f"{setting.name} scores=overseer", (*setting.arguments, *more)
    return setting._replace(name=name, arguments=arguments)


def plan(config: str, seeds: str | None = None, output_dir: str | None = None) -> Experiment:
    """Reads and checks an experiment's file; raises `UsageError`."""
    run = parse_run(["--config", config])
    given = [name for name in ("arm", *DIALS[:3]) if getattr(run.study, name) is not None]
    if given:
        raise UsageError(f"{config}: {given[0]} is set by the arms of an experiment: leave it out")
    refuse_unfit(run)
    names = run.experiment.arms or [arm.name for arm in run.task.arms]
    if len(set(names)) < len(names):
        raise UsageError(f"{config}: arms = {', '.join(names)} names an arm twice")
    varied = parse_vary(run.experiment.vary, config)
    combinations = [dict(zip(varied, v, strict=True)) for v in itertools.product(*varied.values())]
    return Experiment(
        given=("--config", config),
        run=run,
        settings=tuple(
            Setting.of(run.task.arm(name), chosen) for name in names for chosen in combinations
        ),
        seeds=tuple(
            parse_seeds(seeds, "--seeds") if seeds else parse_seeds(run.experiment.seeds, config)
        ),
        folder=Path(output_dir) if output_dir else Path("runs") / Path(config).stem,
    )


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
        folder=Path(output_dir) if output_dir else Path("runs") / f"gates-{name}",
    )
    return replace(planned, settings=(planned.honest,))
