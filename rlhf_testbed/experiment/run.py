"""An experiment: arms × base policies × training seeds of one task, side by side, then a table.

    rlhf-testbed experiment configs/corridor.yaml --seeds 0-3 --base-seeds 0-4

    runs/corridor/
      experiment.yaml          the settings; another experiment may not share the folder
      base/3f9c.../            the base policies of its runs, each once
      both/seed-3/             one run directory for each arm and seed
      both/seed-3-base-2/      the same from another base policy than that of the settings
      gates.json, results.json, threat_plane.png, threat_plane.svg
      gates-base-2.json        the gates of that base policy

Started again after an interruption, it goes on with what is missing, an unfinished run from its
newest state. Asked for fewer arms, base policies or seeds, it keeps the results of the rest.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rlhf_testbed.engine.job import Job, engine_named
from rlhf_testbed.evaluation.evaluate import evaluate
from rlhf_testbed.experiment.claim import claim, held
from rlhf_testbed.experiment.gates import honest_learning, static_gates
from rlhf_testbed.experiment.plan import Experiment
from rlhf_testbed.experiment.results import measured, summarise
from rlhf_testbed.policy.base_policy import ensure_base_policy, load_base_policy
from rlhf_testbed.policy.language_policy import LanguagePolicy
from rlhf_testbed.selection.job import train
from rlhf_testbed.settings.methods import method_class
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.settings.plugins import faults_told
from rlhf_testbed.shared.callbacks import quiet
from rlhf_testbed.shared.progress import Watcher
from rlhf_testbed.shared.record import read, write
from rlhf_testbed.store.experiment_records import GatesFile, Results, Took
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import KNOWING

GATES = "gates"
PRELOADED = ["rlhf_testbed.experiment.run"]
"""What every job wants, and takes seconds to import."""


def run_experiment(
    experiment: Experiment, workers: int | None = None, engine: str = "local"
) -> Results:
    """Runs what is missing, measures, and files `results.json`; returns its content.

    Raises `UsageError` where the folder is another experiment's, or another command is in it.
    """
    running = engine_named(engine, "--engine")
    with held(experiment):
        claim(experiment)
        quiet()
        started = time.monotonic()
        method = method_class(experiment.run.selection.method)
        preload = [*PRELOADED, *method.preload]
        running.run(_base_policies(experiment), workers, preload)
        jobs = _missing(experiment)
        running.run([*_missing_gates(experiment), *jobs], workers, preload)
        minutes = (time.monotonic() - started) / 60
        file = experiment.folder / Results.file
        found = summarise(experiment, _took(file, minutes, len(jobs)))
        write(file, found)
    return found


def _missing(experiment: Experiment) -> list[Job]:
    """A job for each run that is not measured yet, that of gate 2 included."""
    wanted = [(setting, run) for run in experiment.runs for setting in experiment.settings]
    honest = [(experiment.honest, run) for run in experiment.honest_runs]
    wanted += [pair for pair in honest if pair not in wanted]
    return [
        Job(f"{setting.name}, seed {seed}{_of(experiment, base)}", train_and_evaluate, told)
        for setting, (base, seed) in wanted
        if not measured(experiment.directory(setting.name, seed, base))
        for told in [(experiment.arguments(setting, seed, base), experiment.bases)]
    ]


def _missing_gates(experiment: Experiment) -> list[Job]:
    """A job for each base policy whose gates are not decided yet."""
    return [
        Job(f"{GATES}{_of(experiment, base)}", file_static_gates, (told, file))
        for base in experiment.base_seeds
        for file in [experiment.gates_file(base)]
        if not file.exists()
        for told in [experiment.of_base(experiment.honest, base)]
    ]


def _of(experiment: Experiment, base: int) -> str:
    """Which base policy a job is of, where there are several or another than the settings'."""
    told = len(experiment.base_seeds) > 1 or not experiment.is_own(base)
    return f", base policy {base}" if told else ""


def _base_policies(experiment: Experiment) -> list[Job]:
    """A job for each base policy that the settings start from: one for each ρ and base seed."""
    arguments = {
        (setting.dials.unintended_share, setting.options, base): experiment.of_base(setting, base)
        for base in experiment.base_seeds
        for setting in (experiment.honest, *experiment.settings)
    }
    return [
        Job(_titled(experiment, base, share, options), make_base_policy, (told,))
        for (share, options, base), told in arguments.items()
    ]


def _titled(experiment: Experiment, base: int, share: float, options: Sequence[str]) -> str:
    """The title of a base policy's job."""
    which = _of(experiment, base).removeprefix(", ") or "base policy"
    return ", ".join([which, f"ρ = {share:g}", *options])


def make_base_policy(watcher: Watcher, arguments: Sequence[str]) -> None:
    """One job: the base policy of a setting, if it isn't there yet."""
    quiet()
    ensure_base_policy(parse_run(arguments), watcher)


def train_and_evaluate(watcher: Watcher, arguments: Sequence[str], bases: Path) -> None:
    """One job: a run from the command-line arguments of its training, then its measures."""
    run = parse_run(arguments)
    directory = RunDirectory(run.output_dir)
    if not (directory.begun and directory.finished):
        resume = directory.begun and directory.settings().flat() == run.flat()
        if not resume:
            directory.set_aside()
        train(run, watcher, bases, resume)
    evaluate(directory, KNOWING)


def file_static_gates(watcher: Watcher, arguments: Sequence[str], file: Path) -> None:
    """One job: the gates that need no RL, with the honest setting's base policy."""
    quiet()
    run = parse_run(arguments)
    base = LanguagePolicy.of(load_base_policy(ensure_base_policy(run)), run.task)
    with faults_told(run.task.name, run.task):
        learning = honest_learning(run)
        found = static_gates(run.task, base, watcher, run.dials.unintended_share, learning)
        write(file, GatesFile(gates=found))


def _took(file: Path, minutes: float, runs: int) -> Took:
    """What it took in all: with what was filed before, when it was started anew."""
    before = (read(file, Results).took if file.exists() else None) or Took(minutes=0.0, runs=0)
    return Took(minutes=round(minutes + before.minutes, 1), runs=runs + before.runs)
