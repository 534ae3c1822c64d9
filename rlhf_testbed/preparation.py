"""What a training job starts from: its base population and, where it has one, a learned overseer.

    accelerate launch --num_processes 4 ...    the first process prepares, in a child that knows of
                                               no other processes; the others wait, and find it all

Each is learned by a trainer of its own, which among several processes would wait for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from accelerate import PartialState

from overseers.learned import Learned
from rlhf_testbed.config import RunConfig
from rlhf_testbed.errors import UsageError
from rlhf_testbed.jobs import Job, run_alone
from rlhf_testbed.overseeing import training_overseer
from rlhf_testbed.parsing import parse_run
from rlhf_testbed.plugins import blamed, faults_told
from rlhf_testbed.population import load_population, population_folder
from rlhf_testbed.preference_model import learn
from rlhf_testbed.progress import Watcher, quiet
from rlhf_testbed.run_directory import RunDirectory
from tasks.base import Scenario, TaskError


def prepared(run: RunConfig, state: PartialState, watcher: Watcher) -> Path:
    """The folder of the run's base population, once that and a learned overseer are there.

    Of several processes the first makes what is missing; all must call this. Raises `UsageError`.
    """
    with state.main_process_first():
        if state.num_processes > 1 and state.is_main_process:
            directory = RunDirectory(run.output_dir)
            told = ["--config", str(directory.config), "--output_dir", str(directory.path)]
            run_alone(Job("what training starts from", prepare_from, (told,)))
        return prepare(run, watcher)


def prepare_from(watcher: Watcher, arguments: Sequence[str]) -> None:
    """One job: `prepare`, for a run from the command-line arguments of its training."""
    quiet()
    prepare(parse_run(arguments), watcher)


def prepare(run: RunConfig, watcher: Watcher) -> Path:
    """Builds or finds the base population, and lets a learned overseer learn from it, once."""
    directory = RunDirectory(run.output_dir)
    with faults_told(f"{directory.path}: training stopped", run.task):
        base = population_folder(run, watcher)
        overseer = training_overseer(run, with_model=False)
        if isinstance(overseer, Learned) and not directory.overseer_file.exists():
            language = load_population(base)
            seed = run.selection.seed
            learn(overseer, language, training_scenarios(run), seed, directory, watcher)
    return base


def training_scenarios(run: RunConfig) -> tuple[Scenario, ...]:
    """The run's training scenarios; raises `UsageError` where the task has too few."""
    try:
        with blamed(f"task {type(run.task).__name__}", "scenarios"):
            return run.task.scenarios(
                run.dials, run.selection.seed, "train", run.testbed.train_scenarios
            )
    except TaskError as error:
        raise UsageError(str(error)) from None
