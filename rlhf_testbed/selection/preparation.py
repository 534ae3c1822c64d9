"""What a training job starts from: its base policy and, where it has one, a learned overseer.

    accelerate launch --num_processes 4 ...    the first process prepares, in a child that knows of
                                               no other processes; the others wait, and find it all

Each is learned by a trainer of its own, which among several processes would wait for all of them.
"""

from __future__ import annotations

from pathlib import Path

from accelerate import PartialState

from rlhf_testbed.engine.job import Job
from rlhf_testbed.engine.local import run_alone
from rlhf_testbed.judging.learning import OverseerWorth
from rlhf_testbed.judging.overseers import training_overseer
from rlhf_testbed.judging.preference_model import learn
from rlhf_testbed.overseers.learned import Learned
from rlhf_testbed.policy.base_policy import ensure_base_policy, load_base_policy
from rlhf_testbed.selection.processes import main_first
from rlhf_testbed.settings.plugins import blamed, faults_told
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.callbacks import quiet
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.progress import Watcher
from rlhf_testbed.store.base_kept import base_folder, keep_base
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import BaseKept
from rlhf_testbed.tasks.base import Scenario, TaskError


def prepared(
    run: RunConfig, state: PartialState, watcher: Watcher, shared: Path | None = None
) -> Path:
    """The folder of the run's base policy, once that and a learned overseer are there.

    Of several processes the first makes what is missing; all must call this. `shared`: where the
    runs of an experiment keep their base policies. Raises `UsageError`.
    """
    with main_first(state, "preparation"):
        if state.is_main_process and state.num_processes > 1:
            run_alone(Job("what training starts from", prepare_from, (run, shared)))
        elif state.is_main_process:
            prepare(run, watcher, shared)
    return base_folder(RunDirectory(run.output_dir))


def prepare_from(watcher: Watcher, run: RunConfig, shared: Path | None) -> None:
    """One job: `prepare`."""
    quiet()
    prepare(run, watcher, shared)


def prepare(run: RunConfig, watcher: Watcher, shared: Path | None) -> None:
    """Makes or finds the base policy, and lets a learned overseer learn from it, once."""
    directory = RunDirectory(run.output_dir)
    with faults_told(f"{directory.path}: training stopped", run.task):
        if not (directory.path / BaseKept.file).exists():
            keep_base(ensure_base_policy(run, watcher), directory, shared)
        overseer = training_overseer(run, with_model=False)
        if isinstance(overseer, Learned) and not (directory.path / OverseerWorth.file).exists():
            language = load_base_policy(base_folder(directory))
            scenarios = training_scenarios(run)
            learn(overseer, language, scenarios, run.seed, directory.path, watcher)


def training_scenarios(run: RunConfig) -> tuple[Scenario, ...]:
    """The run's training scenarios; raises `UsageError` where the task has too few."""
    try:
        with blamed(f"task {type(run.task).__name__}", "scenarios"):
            return run.task.scenarios(run.dials, run.seed, "train", run.selection.train_scenarios)
    except TaskError as error:
        raise UsageError(str(error)) from None
