"""The jobs of an experiment: its base policies, then its gates and its runs.

    base_policies(experiment)    one for each base seed, ρ and so on
    missing(experiment)          one for each base policy's gates and for each run, as far as they
                                 are not filed yet

What a job is told is a frozen `RunConfig`: all settings of one run, its place included. So it can
be done on any machine that has the package.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path

from rlhf_testbed.engine.job import Job
from rlhf_testbed.evaluation.evaluate import evaluate
from rlhf_testbed.experiment.gates import honest_learning, static_gates
from rlhf_testbed.experiment.plan import Experiment, Run
from rlhf_testbed.experiment.results import measured
from rlhf_testbed.experiment.setting import Setting
from rlhf_testbed.policy.base_about import BaseSettings
from rlhf_testbed.policy.base_key import quick_key
from rlhf_testbed.policy.base_policy import (
    ensure_base_policy,
    is_there,
    load_base_policy,
    place_of,
)
from rlhf_testbed.policy.base_shelves import SHIPPED, key_file
from rlhf_testbed.policy.language_policy import LanguagePolicy
from rlhf_testbed.selection.job import train
from rlhf_testbed.settings.plugins import faults_told
from rlhf_testbed.settings.run import BasePolicySettings, RunConfig
from rlhf_testbed.settings.sweeps import named
from rlhf_testbed.shared.callbacks import quiet
from rlhf_testbed.shared.progress import Watcher
from rlhf_testbed.shared.record import write
from rlhf_testbed.store.base_kept import base_folder
from rlhf_testbed.store.experiment_records import GatesFile
from rlhf_testbed.store.in_use import held
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import KNOWING

GATES = "gates"
OF_BASE = tuple(field.name for field in dataclasses.fields(BasePolicySettings))
"""Settings that tell base policies apart."""


def base_policies(experiment: Experiment) -> list[Job]:
    """A job for each base policy that the settings start from: one for each base seed, ρ, and
    whatever else of what is varied a base policy depends on."""
    wanted: dict[BaseSettings, Job] = {}
    for base in experiment.base_seeds:
        for setting in (experiment.honest, *experiment.settings):
            run = experiment.of_base(setting, base)
            title = _titled(experiment, base, setting)
            wanted.setdefault(BaseSettings.of(run), Job(title, make_base_policy, (run,)))
    return list(wanted.values())


def wanted(experiment: Experiment) -> list[tuple[Setting, Run]]:
    """Every run that the experiment needs, that of gate 2 included."""
    runs = [(setting, run) for run in experiment.runs for setting in experiment.settings]
    honest = experiment.honest
    if honest not in experiment.settings:
        runs += [(honest, run) for run in experiment.honest_runs]
    return runs


def missing(experiment: Experiment, failed: Collection[BaseSettings] = ()) -> list[Job]:
    """A job for each base policy whose gates are not decided, then for each run not measured.

    `failed`: base policies that could not be built, and what starts from them is left out.
    """
    places = _Places()
    jobs = [*_missing_gates(experiment, places), *_missing_runs(experiment, places)]
    return [job for job in jobs if not failed or base_of(job) not in failed]


def base_of(job: Job) -> BaseSettings:
    """The base policy that a job makes or starts from."""
    return BaseSettings.of(job.arguments[0])


def is_run(job: Job) -> bool:
    """Whether a job trains."""
    return job.function is train_and_evaluate


def base_is_there(job: Job) -> bool:
    """Whether the base policy is there that a job would make."""
    return is_there(job.arguments[0])


def _missing_runs(experiment: Experiment, places: _Places) -> list[Job]:
    return [
        Job(
            f"{setting.name}, seed {run.seed}{_of(experiment, run.base)}",
            train_and_evaluate,
            (settings, experiment.bases),
            makes=directory.path,
            reads=places.of(settings),
        )
        for setting, run in wanted(experiment)
        for directory in [experiment.directory(setting.name, run.seed, run.base)]
        if not measured(directory)
        for settings in [experiment.run_of(setting, run)]
    ]


def _missing_gates(experiment: Experiment, places: _Places) -> list[Job]:
    return [
        Job(
            f"{GATES}{_of(experiment, base)}",
            file_static_gates,
            (settings, file),
            makes=file,
            reads=places.of(settings),
        )
        for base in experiment.base_seeds
        for file in [experiment.gates_file(base)]
        if not file.exists()
        for settings in [experiment.of_base(experiment.honest, base)]
    ]


def _of(experiment: Experiment, base: int) -> str:
    """Which base policy a job is of, where there are several or another than the settings'."""
    told = len(experiment.base_seeds) > 1 or not experiment.is_own(base)
    return f", base policy {base}" if told else ""


def _titled(experiment: Experiment, base: int, setting: Setting) -> str:
    """The title of a base policy's job."""
    which = _of(experiment, base).removeprefix(", ") or "base policy"
    share = f"ρ = {setting.dials.unintended_share:g}"
    told = [named(name, value) for name, value in setting.settings.items() if name in OF_BASE]
    return ", ".join([which, share, *setting.options, *told])


class _Places:
    """Where base policies are that were built here; each is looked for once. Those that ship are on
    every machine."""

    def __init__(self) -> None:
        self._known: dict[BaseSettings, tuple[Path, ...]] = {}

    def of(self, run: RunConfig) -> tuple[Path, ...]:
        """The folder of a run's base policy, and what it is known by; nothing for one that ships.

        Before it is built nothing is known, and the job builds it where it is done.
        """
        settings = BaseSettings.of(run)
        if settings not in self._known:
            place = place_of(run)
            here = place.is_dir() and SHIPPED not in place.parents
            self._known[settings] = _kept_in_cache(run, place) if here else ()
        return self._known[settings]


def _kept_in_cache(run: RunConfig, place: Path) -> tuple[Path, ...]:
    return place, key_file(quick_key(BaseSettings.of(run), run.task))


def make_base_policy(watcher: Watcher, run: RunConfig) -> tuple[Path, ...]:
    """One job: the base policy of a setting, if it isn't there yet; what is in the cache of it."""
    quiet()
    place = ensure_base_policy(run, watcher)
    return () if SHIPPED in place.parents else _kept_in_cache(run, place)


def train_and_evaluate(watcher: Watcher, run: RunConfig, bases: Path) -> tuple[Path, ...]:
    """One job: a run, gone on with where it was broken off, then its measures.

    Returns the folder of its base policy, where that is kept beside the runs.
    """
    directory = RunDirectory(run.output_dir)
    directory.path.parent.mkdir(parents=True, exist_ok=True)
    with held(directory.path):
        if not (directory.begun and directory.finished):
            resume = directory.begun and directory.settings().flat() == run.flat()
            if not resume:
                directory.set_aside()
            train(run, watcher, bases, resume)
        evaluate(directory, KNOWING)
    kept = base_folder(directory)
    return (bases / kept.name,) if kept.parent == bases.resolve() else ()


def file_static_gates(watcher: Watcher, run: RunConfig, file: Path) -> None:
    """One job: the gates that need no RL, with the honest setting's base policy."""
    quiet()
    base = LanguagePolicy.of(load_base_policy(ensure_base_policy(run)), run.task)
    with faults_told(run.task.name, run.task):
        learning = honest_learning(run)
        found = static_gates(run.task, base, watcher, run.dials.unintended_share, learning)
        write(file, GatesFile(gates=found))
