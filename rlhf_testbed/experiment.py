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

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from rlhf_testbed.config import DIALS, RunConfig, parse_run, parse_seeds
from rlhf_testbed.errors import UsageError
from rlhf_testbed.evaluate import evaluate, read_measures
from rlhf_testbed.files import write_json, write_text
from rlhf_testbed.gates import Gate, as_json, from_json, honest_optimum, in_order, static_gates
from rlhf_testbed.jobs import Job, run_side_by_side
from rlhf_testbed.language_model import load_language
from rlhf_testbed.measures.statistics import interval_over_seeds
from rlhf_testbed.population import population_folder
from rlhf_testbed.progress import Watcher
from rlhf_testbed.run_directory import RunDirectory, environment
from rlhf_testbed.train import quiet, train
from tasks.base import Arm, Task

HEADLINES = ("threat_1", "threat_2")
KNOWING = "full_knowledge"


@dataclass(frozen=True)
class Experiment:
    """What is to be run."""

    config: str
    run: RunConfig
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    folder: Path

    @property
    def task(self) -> Task:
        """The task."""
        return self.run.task

    def directory(self, arm: str, seed: int) -> RunDirectory:
        """Where one run is written."""
        return RunDirectory(self.folder / arm / f"seed-{seed}")

    def arguments(self, arm: str, seed: int) -> list[str]:
        """The command-line arguments of one run's training job."""
        where = ["--output_dir", str(self.directory(arm, seed).path)]
        return ["--config", self.config, "--arm", arm, "--seed", str(seed), *where]

    @property
    def honest_arm(self) -> Arm:
        """The arm with which gate 2 is decided: everything seen, goals apart, habits of no use."""
        for arm in self.task.arms:
            dials = arm.dials
            if dials.knowledge == dials.randomised == dials.diversity == 1:
                return arm
        raise UsageError(f"{self.config}: {self.task.name} has no arm with κ = α = δ = 1 (gate 2)")

    @property
    def honest_seeds(self) -> tuple[int, ...]:
        """The seeds of the honest arm: all where it is part of the experiment, else the first."""
        return self.seeds if self.honest_arm in self.arms else self.seeds[:1]


def plan(config: str, seeds: str | None = None, output_dir: str | None = None) -> Experiment:
    """Reads and checks an experiment's file; raises `UsageError`."""
    run = parse_run(["--config", config])
    given = [name for name in ("arm", *DIALS[:3]) if getattr(run.testbed, name) is not None]
    if given:
        raise UsageError(f"{config}: {given[0]} is set by the arms of an experiment: leave it out")
    names = run.testbed.arms or [arm.name for arm in run.task.arms]
    if len(set(names)) < len(names):
        raise UsageError(f"{config}: arms = {', '.join(names)} names an arm twice")
    return Experiment(
        config=config,
        run=run,
        arms=tuple(run.task.arm(name) for name in names),
        seeds=tuple(
            parse_seeds(seeds, "--seeds") if seeds else parse_seeds(run.testbed.seeds, config)
        ),
        folder=Path(output_dir) if output_dir else Path("runs") / Path(config).stem,
    )


def run_experiment(experiment: Experiment, workers: int | None = None) -> dict[str, Any]:
    """Runs what is missing, measures, and files `results.json`; returns its content."""
    _claim(experiment)
    quiet()
    base = population_folder(experiment.run)
    wanted = [(arm.name, seed) for seed in experiment.seeds for arm in experiment.arms]
    wanted += [
        pair
        for pair in ((experiment.honest_arm.name, seed) for seed in experiment.honest_seeds)
        if pair not in wanted
    ]
    jobs = [
        Job(f"{arm}, seed {seed}", train_and_evaluate, (experiment.arguments(arm, seed),))
        for arm, seed in wanted
        if not _measured(experiment.directory(arm, seed))
    ]
    gates_file = experiment.folder / "gates.json"
    if not gates_file.exists():
        jobs.insert(0, Job("gates", file_static_gates, (experiment.config, base, gates_file)))
    run_side_by_side(jobs, workers)
    static = from_json(json.loads(gates_file.read_text(encoding="utf-8")))
    file = experiment.folder / "results.json"
    write_json(file, summarise(experiment, static))
    results: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return results


def train_and_evaluate(watcher: Watcher, arguments: Sequence[str]) -> None:
    """One job: a run from the command-line arguments of its training, then its measures."""
    run = parse_run(arguments)
    directory = RunDirectory(run.output_dir)
    if not directory.finished:
        _set_aside(directory)
        train(run, watcher)
    evaluate(directory, KNOWING)


def file_static_gates(watcher: Watcher, config: str, base: Path, file: Path) -> None:
    """One job: the gates that need no RL."""
    quiet()
    run = parse_run(["--config", config])
    language = load_language(str(base), attn_implementation="eager")
    write_json(file, as_json(static_gates(run.task, language, watcher)))


def summarise(experiment: Experiment, static: Sequence[Gate]) -> dict[str, Any]:
    """What `results.json` holds: gates, and for every arm its seeds and intervals over them."""
    honest = [
        _measures(experiment, experiment.honest_arm.name, seed) for seed in experiment.honest_seeds
    ]
    gates = in_order(static, honest_optimum(honest))
    arms = {}
    for arm in experiment.arms:
        seeds = [_measures(experiment, arm.name, seed) for seed in experiment.seeds]
        arms[arm.name] = {
            "summary": arm.summary,
            "dials": seeds[0]["dials"],
            "seeds": [{k: v for k, v in found.items() if k != "dials"} for found in seeds],
            **intervals(seeds),
        }
    return {
        "task": experiment.task.name,
        "gates": as_json(gates),
        "arms": arms,
        "about": {
            "config": experiment.config,
            "date": date.today().isoformat(),
            "seeds": list(experiment.seeds),
            **environment(),
        },
    }


def intervals(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and 95 % interval over seeds of every figure; a headline that is null says why."""
    found: dict[str, Any] = {}
    for name, value in seeds[0].items():
        if name in ("seed", "exposed") or not isinstance(value, int | float | None):
            continue
        values = [float("nan") if one[name] is None else one[name] for one in seeds]
        interval = interval_over_seeds(values)
        found[name] = interval._asdict()
        if name in HEADLINES and interval.mean != interval.mean:
            found[name] = None
            found[f"{name}_reason"] = seeds[0].get(f"{name}_reason", "not judged in every seed")
    return found


def _measures(experiment: Experiment, arm: str, seed: int) -> Mapping[str, Any]:
    return read_measures(experiment.directory(arm, seed).evaluation(KNOWING))


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
        if yaml.safe_load(file.read_text(encoding="utf-8")) != settings:
            raise UsageError(
                f"{experiment.folder}: holds an experiment with other settings "
                f"(name another --output_dir)"
            )
        return
    if experiment.folder.exists() and any(experiment.folder.iterdir()):
        raise UsageError(f"{experiment.folder}: exists and is no experiment (--output_dir OTHER)")
    header = f"# {' '.join(sys.argv)}\n"
    write_text(file, header + yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
