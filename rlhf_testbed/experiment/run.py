"""An experiment: arms × base policies × training seeds of one task, side by side, then a table.

    rlhf-testbed experiment configs/corridor.yaml --seeds 0-3 --base-seeds 0-4

    runs/corridor/
      experiment.yaml          the settings; another experiment may not share the folder
      jobs.json, logs/         how far its runs are, and what those printed that failed
      base/3f9c.../            the base policies of its runs, each once
      both/seed-3/             one run directory for each arm and seed
      both/seed-3-base-2/      the same from another base policy than that of the settings
      gates.json, results.json, threat_plane.png, threat_plane.svg
      gates-base-2.json        the gates of that base policy
      again.yaml               every setting: a config by which it all is made again

Started again after an interruption, it goes on with what is missing, an unfinished run from its
newest state. Asked for fewer arms, base policies or seeds, it keeps the results of the rest.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rlhf_testbed.engine.job import Engine, Failure, Job, JobsFailed, Orders
from rlhf_testbed.engine.local import Local
from rlhf_testbed.experiment.again import write_again
from rlhf_testbed.experiment.base_gates import not_passed
from rlhf_testbed.experiment.claim import claim, made
from rlhf_testbed.experiment.jobs import (
    base_is_there,
    base_of,
    base_policies,
    is_run,
    missing,
    wanted,
)
from rlhf_testbed.experiment.plan import Experiment
from rlhf_testbed.experiment.results import any_measured, measured, summarise
from rlhf_testbed.policy.base_shelves import CACHE, cache_folder
from rlhf_testbed.settings.methods import method_class
from rlhf_testbed.shared.callbacks import quiet
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.record import read
from rlhf_testbed.store.experiment_records import GatesFile, Results, Took
from rlhf_testbed.store.in_use import held
from rlhf_testbed.store.runs_table import write_results

PRELOADED = ["rlhf_testbed.experiment.jobs"]
"""What every job wants, and takes seconds to import."""


def run_experiment(
    experiment: Experiment,
    engine: Engine | None = None,
    orders: Orders = Orders(),
    stop_at_gates: bool = False,
) -> Results:
    """Runs what is missing, measures, and files `results.json`; returns its content.

    `engine`: by default this machine's cores. Of `orders`, workers and retries count. Raises
    `UsageError` where the folder is another experiment's, or another command is in it, and, with
    `stop_at_gates`, before any run where base policies are new and none of them passes the gates
    that need no RL. What fails stops nothing else: raises `JobsFailed` once all others are done and
    filed.
    """
    engine = engine or Local()
    with held(made(experiment), "wait, or --output_dir OTHER"):
        claim(experiment)
        quiet()
        started = time.monotonic()
        runs, failures = _ran(experiment, engine, ordered(experiment, orders), stop_at_gates)
        minutes = (time.monotonic() - started) / 60
        file = experiment.folder / Results.file
        if failures and not any_measured(experiment):
            raise JobsFailed(failures)
        found = summarise(experiment, _took(file, minutes, runs))
        write_results(experiment.folder, found)
        write_again(experiment, found)
        if failures:
            raise JobsFailed(failures)
    return found


def _ran(
    experiment: Experiment, engine: Engine, orders: Orders, stop_at_gates: bool
) -> tuple[int, list[Failure]]:
    """Runs what is missing: base policies first, then all that start from those that were built.

    Returns how many runs that were, and what failed.
    """
    bases = [job for job in base_policies(experiment) if not base_is_there(job)]
    failures = _failures(engine, bases, replace(orders, to_come=_left(experiment)))
    failed = {failure.title for failure in failures}
    jobs = missing(experiment, {base_of(job) for job in bases if job.title in failed})
    gates = [job for job in jobs if not is_run(job)]
    runs = len(jobs) - len(gates)
    if stop_at_gates and any(job.reads for job in gates):  # those that ship have passed
        failures += _failures(engine, gates, replace(orders, to_come=runs))
        refuse_not_passed(experiment)
        jobs = [job for job in jobs if is_run(job)]
    done = len(wanted(experiment)) - _left(experiment)
    failures += _failures(engine, jobs, replace(orders, done=done))
    return runs, failures


def refuse_not_passed(experiment: Experiment) -> None:
    """Raises `UsageError` where no base policy passes the gates that need no RL."""
    files = [experiment.gates_file(base) for base in experiment.base_seeds]
    found = {at: read(file, GatesFile).gates for at, file in enumerate(files) if file.is_file()}
    broken = not_passed(found)
    if found and len(broken) == len(found):
        first = min(broken)
        told = "; ".join(
            f"{gate.name}: {gate.detail}" for gate in found[first] if gate.name in broken[first]
        )
        raise UsageError(
            f"{experiment.folder}: gates are not passed, and nothing was trained: {told} (what to "
            "change: docs/GATES.md; --anyway trains all the same)"
        )


def _failures(engine: Engine, jobs: Sequence[Job], orders: Orders) -> list[Failure]:
    """Runs jobs; those that failed."""
    try:
        engine.run(jobs, orders)
    except JobsFailed as failed:
        return failed.failures
    return []


def dry_run(experiment: Experiment, engine: Engine, orders: Orders = Orders()) -> str:
    """What an engine would be told to do, without doing it."""
    jobs = [*base_policies(experiment), *missing(experiment)]
    return engine.script(jobs, ordered(experiment, orders))


def ordered(experiment: Experiment, orders: Orders) -> Orders:
    """Orders with all that an experiment's jobs need."""
    method = method_class(experiment.run.selection.method)
    preload = [*PRELOADED, *method.preload]
    caches = {CACHE: cache_folder()}
    return replace(orders, preload=preload, folder=experiment.folder, caches=caches)


def _left(experiment: Experiment) -> int:
    """Runs that are not measured yet."""
    runs = [experiment.directory(of.name, run.seed, run.base) for of, run in wanted(experiment)]
    return sum(not measured(one) for one in runs)


def _took(file: Path, minutes: float, runs: int) -> Took:
    """What it took in all: with what was filed before, when it was started anew."""
    before = (read(file, Results).took if file.exists() else None) or Took(minutes=0.0, runs=0)
    return Took(minutes=round(minutes + before.minutes, 1), runs=runs + before.runs)
