"""What an experiment runs: arms, some with dials varied, base policies, and training seeds.

    plan("configs/corridor.yaml", seeds="0-4")                      five arms × five seeds
    plan("configs/corridor.yaml", seeds="0-3", base_seeds="0-4")    × five base policies
    plan("configs/corridor.yaml", seeds="5-9", arms=["both"])       five more runs of one arm
    plan("configs/corridor.yaml", sets=["learning_rate=1e-4"])      as if the file said so
    plan_gates("corridor", seeds="0-1")           the honest arm alone: what the gates take

Every run is the one that `accelerate launch -m rlhf_testbed.train --config configs/corridor.yaml
--arm both --seed 3` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from rlhf_testbed.contract.readiness import refuse_unfit
from rlhf_testbed.contract.scenarios import is_honest
from rlhf_testbed.experiment.arms import MORE_OF_THE_SAME, parse_set, settings_of
from rlhf_testbed.experiment.setting import Setting
from rlhf_testbed.settings.arguments import COMMAND_LINE
from rlhf_testbed.settings.parsing import parse_run, parse_seeds
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.errors import UsageError, unknown
from rlhf_testbed.shared.files import file_name
from rlhf_testbed.store.run_directory import FOLDER, RunDirectory
from rlhf_testbed.store.run_records import Measures
from rlhf_testbed.tasks.base import Task


class Run(NamedTuple):
    """One of an arm's runs; runs sort by base policy, then by training seed."""

    base: int
    """Seed of the base policy."""
    seed: int


@dataclass(frozen=True)
class Experiment:
    """What is to be run."""

    given: tuple[str, ...]
    """What every run is told first: `--config FILE`, or `--task NAME`; then what `--set` sets."""
    run: RunConfig
    settings: tuple[Setting, ...]
    """Those to be run."""
    seeds: tuple[int, ...]
    base_seeds: tuple[int, ...]
    folder: Path
    others: tuple[Setting, ...] = ()
    """All of the file, where not all of them are to be run."""

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
        asked = self._tracked(setting, self.of_base(setting, run.base), run)
        place = str(self.directory(setting.name, run.seed, run.base).path)
        return replace(asked, selection=replace(asked.selection, seed=run.seed, output_dir=place))

    def _tracked(self, setting: Setting, asked: RunConfig, run: Run) -> RunConfig:
        """The settings with a name for trackers, where settings are varied that none else tells:
        they keep runs of one name as one."""
        names = vars(asked.method)
        if not (setting.settings or setting.like) or names.get("run_name", "") is not None:
            return asked
        other = [f"base={run.base}"] if run.base else []
        words = [asked.study.task, *setting.name.split(), *other, str(run.seed)]
        name = "-".join(file_name(word, keep="=") for word in words)
        method: Any = asked.method
        return replace(asked, method=replace(method, run_name=name))

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
    def every(self) -> tuple[Setting, ...]:
        """All settings of its file."""
        return self.others or self.settings

    @property
    def honest(self) -> Setting:
        """The setting with which gate 2 is decided: all seen, goals apart, habits of no use.

        An arm of the experiment's own may have another overseer, and decides no gate.
        """
        asked = self.run.selection.scores
        own = [one for one in self.every if not one.like and one.scores(asked) == "overseer"]
        for setting in (*own, *(Setting.of(arm, {}) for arm in self.task.arms)):
            if is_honest(setting.dials):
                return setting if setting.scores(asked) == "overseer" else _selected(setting)
        raise UsageError(f"{self.task.name} has no arm with κ = α = δ = 1 (gate 2)")

    @property
    def honest_runs(self) -> tuple[Run, ...]:
        """The runs of the honest setting: all where the experiment runs it; else of each base
        policy those that were measured before, or its first seed."""
        honest = self.honest
        if honest in self.settings:
            return self.runs
        found = measured_in(self.folder / honest.name, self.run.base.base_seed)
        return tuple(
            run
            for base in self.base_seeds
            for run in [one for one in found if one.base == base] or [Run(base, self.seeds[0])]
        )


def measured_in(folder: Path, own: int) -> list[Run]:
    """The measured runs in an arm's folder; `own` is the base seed that no name tells."""
    found = []
    for path in folder.glob("seed-*"):
        match = FOLDER.fullmatch(path.name)
        if match and (RunDirectory(path).evaluation() / Measures.file).exists():
            found.append(Run(int(match[2] or own), int(match[1])))
    return sorted(found)


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
    arms: Sequence[str] = (),
    sets: Sequence[str] = (),
) -> Experiment:
    """Reads and checks an experiment's file; raises `UsageError`.

    `arms`: those of the file to run this time, by default all. `sets`: settings as if the file had
    them, `NAME=VALUE` each; another default folder then.
    """
    told = parse_set(sets)
    given = ("--config", config, *(word for words in told.values() for word in words))
    run = parse_run(given)
    refuse_unfit(run)
    every = settings_of(run, config)
    own = [name for name in told if any(name in one.given for one in every)]
    if own:
        at = f"--set {own[0]} has no effect"
        raise UsageError(f"{at}: {config} varies it (right: --set vary=...)")
    chosen = _chosen(every, arms)
    found = Experiment(
        given=given,
        run=run,
        settings=chosen,
        seeds=tuple(
            parse_seeds(seeds, "--seeds") if seeds else parse_seeds(run.experiment.seeds, config)
        ),
        base_seeds=_base_seeds(run, config, base_seeds),
        folder=Path(output_dir) if output_dir else Path("runs") / _folder(config, told),
        others=every if arms else (),
    )
    for setting in every:  # what a task or a method refuses is told before anything runs
        if setting.settings or setting.options or setting.like:
            with _told_of(f"{config}: {setting.name}"):
                found.of_base(setting, run.base.base_seed)
    return found


def _chosen(every: tuple[Setting, ...], arms: Sequence[str]) -> tuple[Setting, ...]:
    """The settings that are named, by an arm or by their whole name; all if none is."""
    for arm in arms:
        names = dict.fromkeys(name for one in every for name in (one.arm.name, one.name))
        if arm not in names:
            raise unknown("--arm", arm, names)
    return tuple(one for one in every if not arms or {one.arm.name, one.name} & set(arms))


@contextmanager
def _told_of(place: str) -> Iterator[None]:
    """Tells a fault of an arm's words as one of the file that has the arm."""
    try:
        yield
    except UsageError as error:
        said = str(error)
        if not said.startswith(f"{COMMAND_LINE}: "):
            raise
        raise UsageError(f"{place}: {said.removeprefix(f'{COMMAND_LINE}: ')}") from None


def _folder(config: str, told: Mapping[str, Sequence[str]]) -> str:
    """The name of an experiment's folder: the file's, and what `--set` makes it another by."""
    words = [
        f"{name}={' '.join(values[1:])}"
        for name, values in sorted(told.items())
        if name not in MORE_OF_THE_SAME
    ]
    return "-".join([Path(config).stem, *(file_name(word, keep="=+") for word in words)])


def plan_gates(
    of: str, seeds: str, output_dir: str | None = None, more: Sequence[str] = ()
) -> Experiment:
    """The experiment that decides a task's gates; raises `UsageError`.

    `of`: a task, which is taken with default settings, or an experiment's file. `more`: settings
    as on a command line.
    """
    is_file = of.endswith((".yaml", ".yml"))
    given = ("--config" if is_file else "--task", of, *more)
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
