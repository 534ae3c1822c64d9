"""Going on with a run: which one, how long, and what of it still holds.

    run = reopened(Resuming(Path("runs/corridor-both-3"), updates=None))
    train(run, watcher, resume=True)    from the newest state of the run

A finished run that is made longer keeps what it had under `earlier/00060/`: its policy, its
evaluation and its settings.
"""

from __future__ import annotations

import dataclasses

from rlhf_testbed.selection.processes import processes
from rlhf_testbed.selection.states import States
from rlhf_testbed.settings.resuming import Resuming
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store.run_directory import RunDirectory


def reopened(asked: Resuming) -> RunConfig:
    """The settings of a run that is to go on; of one that is to be longer they are changed.

    Raises `UsageError` for a run that is not there, has finished, was trained by another number of
    processes, or can't be made longer; nothing is changed then.
    """
    directory = RunDirectory.open(asked.run)
    run = directory.settings()
    state = processes(run.selection.use_cpu)
    States(run, directory).refuse_other_number()
    state.wait_for_everyone()  # until all have read what the first is about to change
    if asked.updates is not None:
        return _lengthened(directory, run, asked.updates)
    if directory.finished:
        done = directory.summary().updates
        raise UsageError(
            f"{directory.path}: has finished its {done} updates: there is nothing to go on with "
            "(--updates N makes it longer)"
        )
    return run


def _lengthened(directory: RunDirectory, run: RunConfig, updates: int) -> RunConfig:
    """The settings with more updates, filed in the run's folder."""
    each = run.method.batch(run.selection.per_device_train_batch_size)
    each *= processes(run.selection.use_cpu).num_processes
    planned = -(-run.selection.total_episodes // each)
    if updates <= planned:
        raise UsageError(f"{directory.path}: has {planned} updates already (right: --updates more)")
    if reason := run.method.fixed_length():
        raise UsageError(
            f"{directory.path}: can't be made longer: {reason} at update {planned} (right: a new "
            "run with a constant one, or with more total_episodes)"
        )
    selection = dataclasses.replace(run.selection, total_episodes=updates * each)
    longer = dataclasses.replace(run, selection=selection)
    newest = States(longer, directory).newest()
    if directory.finished and newest < planned:
        raise UsageError(
            f"{directory.path}: can't be made longer: it keeps no state of update {planned} "
            "(right: a run with save_steps above 0)"
        )
    if processes(run.selection.use_cpu).is_main_process:
        directory.lengthen(longer, planned)
    return longer
