"""An experiment: arms × training seeds of one task, side by side, then gates and a table.

    rlhf-testbed experiment configs/corridor.yaml --seeds 0-4

    runs/corridor/
      experiment.yaml          the settings; another experiment may not share the folder
      both/seed-3/             one run directory for each arm and seed
      gates.json, results.json, threat_plane.png, threat_plane.svg

Every run is the one that `accelerate launch -m rlhf_testbed.train --config configs/corridor.yaml
--arm both --seed 3` does. Started again after an interruption, it goes on with what is missing: an
unfinished run is set aside, never continued or deleted.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from rlhf_testbed import shapes
from rlhf_testbed.config import DIALS, RunConfig
from rlhf_testbed.contract.scenarios import is_honest
from rlhf_testbed.contrasts import as_json as as_plain
from rlhf_testbed.contrasts import contrasts
from rlhf_testbed.errors import UsageError
from rlhf_testbed.evaluate import evaluate, read_measures
from rlhf_testbed.files import file_name, read_json, read_yaml, write_json, write_text
from rlhf_testbed.gates import Gate, as_json, from_json, honest_optimum, in_order, static_gates
from rlhf_testbed.jobs import Job, run_side_by_side
from rlhf_testbed.over_seeds import Points, of_arm, orders, points_of
from rlhf_testbed.parsing import parse_run, parse_seeds, parse_vary
from rlhf_testbed.plugins import faults_told
from rlhf_testbed.population import load_population, population_folder
from rlhf_testbed.progress import Watcher, quiet
from rlhf_testbed.readiness import refuse_unfit
from rlhf_testbed.run_directory import KNOWING, RunDirectory, environment, this_command
from rlhf_testbed.train import train
from tasks.base import Arm, Dials, Task

GATES = "gates"


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
                return setting
        raise UsageError(f"{self.task.name} has no arm with κ = α = δ = 1 (gate 2)")

    @property
    def honest_arguments(self) -> list[str]:
        """What a run of the honest setting is told, but for its seed and place."""
        return [*self.given, *self.honest.arguments]

    @property
    def honest_seeds(self) -> tuple[int, ...]:
        """The seeds of the honest setting: all where the experiment has it, else the first."""
        return self.seeds if self.honest in self.settings else self.seeds[:1]


def plan(config: str, seeds: str | None = None, output_dir: str | None = None) -> Experiment:
    """Reads and checks an experiment's file; raises `UsageError`."""
    run = parse_run(["--config", config])
    given = [name for name in ("arm", *DIALS[:3]) if getattr(run.testbed, name) is not None]
    if given:
        raise UsageError(f"{config}: {given[0]} is set by the arms of an experiment: leave it out")
    refuse_unfit(run)
    names = run.testbed.arms or [arm.name for arm in run.task.arms]
    if len(set(names)) < len(names):
        raise UsageError(f"{config}: arms = {', '.join(names)} names an arm twice")
    varied = parse_vary(run.testbed.vary, config)
    combinations = [dict(zip(varied, v, strict=True)) for v in itertools.product(*varied.values())]
    return Experiment(
        given=("--config", config),
        run=run,
        settings=tuple(
            Setting.of(run.task.arm(name), chosen) for name in names for chosen in combinations
        ),
        seeds=tuple(
            parse_seeds(seeds, "--seeds") if seeds else parse_seeds(run.testbed.seeds, config)
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


def run_experiment(experiment: Experiment, workers: int | None = None) -> dict[str, Any]:
    """Runs what is missing, measures, and files `results.json`; returns its content."""
    _claim(experiment)
    quiet()
    started = time.monotonic()
    _build_populations(experiment, workers)
    wanted = [(setting, seed) for seed in experiment.seeds for setting in experiment.settings]
    honest = [(experiment.honest, seed) for seed in experiment.honest_seeds]
    wanted += [pair for pair in honest if pair not in wanted]
    jobs = [
        Job(f"{setting.name}, seed {seed}", train_and_evaluate, (arguments,))
        for setting, seed in wanted
        if not _measured(experiment.directory(setting.name, seed))
        for arguments in [experiment.arguments(setting, seed)]
    ]
    gates_file = experiment.folder / "gates.json"
    if not gates_file.exists():
        gates = Job(GATES, file_static_gates, (experiment.honest_arguments, gates_file))
        jobs.insert(0, gates)
    run_side_by_side(jobs, workers)
    static = from_json(shapes.read_list(gates_file, shapes.GATES))
    file = experiment.folder / "results.json"
    minutes, runs = (time.monotonic() - started) / 60, sum(job.title != GATES for job in jobs)
    write_json(file, summarise(experiment, static) | {"took": _took(file, minutes, runs)})
    return shapes.read_json(file, shapes.RESULTS)


def build_population(watcher: Watcher, arguments: Sequence[str]) -> None:
    """One job: the base population of a setting, if it isn't there yet."""
    quiet()
    population_folder(parse_run(arguments), watcher)


def train_and_evaluate(watcher: Watcher, arguments: Sequence[str]) -> None:
    """One job: a run from the command-line arguments of its training, then its measures."""
    run = parse_run(arguments)
    directory = RunDirectory(run.output_dir)
    if not directory.finished:
        _set_aside(directory)
        train(run, watcher)
    evaluate(directory, KNOWING)


def file_static_gates(watcher: Watcher, arguments: Sequence[str], file: Path) -> None:
    """One job: the gates that need no RL, with the honest setting's base population."""
    quiet()
    run = parse_run(arguments)
    language = load_population(population_folder(run))
    with faults_told(run.task.name, run.task):
        write_json(file, as_json(static_gates(run.task, language, watcher)))


def summarise(experiment: Experiment, static: Sequence[Gate]) -> dict[str, Any]:
    """What `results.json` holds: gates, and for every arm its seeds and intervals over them."""
    honest = [
        _measures(experiment, experiment.honest.name, seed) for seed in experiment.honest_seeds
    ]
    gates = in_order(static, honest_optimum(honest))
    settings = experiment.run.testbed
    arms = {}
    for setting in experiment.settings:
        seeds = [_measures(experiment, setting.name, seed) for seed in experiment.seeds]
        runs = [experiment.directory(setting.name, seed) for seed in experiment.seeds]
        arms[setting.name] = {
            "summary": setting.arm.summary,
            **of_arm(seeds, [_points(run) for run in runs]),
            "orders": orders(seeds, max(1, settings.keep_every)),
        }
    bounds = {
        "threat_1": settings.equivalent_threat_1,
        "threat_2": settings.equivalent_threat_2,
    }
    return {
        "task": experiment.task.name,
        "gates": as_json(gates),
        "arms": arms,
        "contrasts": as_plain(contrasts(arms, bounds)),
        "about": {
            "config": experiment.given[1],
            "date": date.today().isoformat(),
            "seeds": list(experiment.seeds),
            **environment(),
        },
    }


def _build_populations(experiment: Experiment, workers: int | None) -> None:
    """Builds the base populations that the settings start from, one for each ρ."""
    arguments = {
        setting.dials.population: [*experiment.given, *setting.arguments]
        for setting in (experiment.honest, *experiment.settings)
    }
    jobs = [
        Job(f"base population, ρ = {share:g}", build_population, (told,))
        for share, told in arguments.items()
    ]
    run_side_by_side(jobs, workers)


def _measures(experiment: Experiment, setting: str, seed: int) -> Mapping[str, Any]:
    return read_measures(experiment.directory(setting, seed).evaluation(KNOWING))


def _took(file: Path, minutes: float, runs: int) -> dict[str, float]:
    """What it took in all: with what was filed before, when it was started anew."""
    try:
        before = read_json(file).get("took") or {}
    except (UsageError, AttributeError):
        before = {}
    minutes += before.get("minutes", 0)
    return {"minutes": round(minutes, 1), "runs": runs + before.get("runs", 0)}


def _points(directory: RunDirectory) -> dict[str, Points]:
    """Scores above the base policy's, by means of selection."""
    file = directory.evaluation(KNOWING) / "proxy_and_gold.json"
    return points_of(shapes.read_json(file, shapes.PROXY_AND_GOLD))


def _measured(directory: RunDirectory) -> bool:
    return (directory.evaluation(KNOWING) / "measures.json").exists()


def _set_aside(directory: RunDirectory) -> None:
    """Moves an unfinished run out of the way, and keeps it."""
    if not directory.path.exists():
        return
    taken = sum(1 for _ in directory.path.parent.glob(f"{directory.path.name}.interrupted-*"))
    directory.path.rename(
        directory.path.with_name(f"{directory.path.name}.interrupted-{taken + 1}")
    )


def _claim(experiment: Experiment) -> None:
    """Makes the folder the experiment's own; raises `UsageError` where it holds another's."""
    settings = {
        "config": experiment.run.flat(),
        "dials": {a.name: asdict(a.dials) for a in experiment.task.arms},
    }
    file = experiment.folder / "experiment.yaml"
    if file.exists():
        if read_yaml(file) != settings:
            raise UsageError(
                f"{experiment.folder}: holds an experiment with other settings "
                f"(name another --output_dir)"
            )
        return
    if experiment.folder.exists() and any(experiment.folder.iterdir()):
        raise UsageError(f"{experiment.folder}: exists and is no experiment (--output_dir OTHER)")
    header = f"# {this_command()}\n"
    write_text(file, header + yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
