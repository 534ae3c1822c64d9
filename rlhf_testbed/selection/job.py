"""One training job: a base policy, then selection by a limited overseer's scores.

    train(parse_run(["--arm", "both", "--seed", "3"]), watcher)    runs/corridor-both-3/

Makes or finds the base policy, runs every update of the selection method, and writes a run
directory (see `store/run_directory.py`). It never sees a full-knowledge verdict.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from rlhf_testbed.contract.readiness import refuse_unfit
from rlhf_testbed.judging.endpoint import cost
from rlhf_testbed.judging.overseers import refuse_unready, training_overseer
from rlhf_testbed.selection.dealt import deal_of
from rlhf_testbed.selection.loop import select_all
from rlhf_testbed.selection.method import Method, Start
from rlhf_testbed.selection.preparation import prepared, training_scenarios
from rlhf_testbed.selection.processes import another_failed, no_group_left, processes, together
from rlhf_testbed.selection.resuming import reopened
from rlhf_testbed.selection.soundness import Checks
from rlhf_testbed.selection.states import NOT_BEGUN, States
from rlhf_testbed.settings.methods import method_class
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.settings.plugins import faults_told
from rlhf_testbed.settings.resuming import parse_resuming
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.settings.sized import told_of_size
from rlhf_testbed.shared.callbacks import quiet
from rlhf_testbed.shared.errors import UsageError, reported
from rlhf_testbed.shared.progress import LiveLine, Step, Watcher
from rlhf_testbed.store import ledger
from rlhf_testbed.store.model_card import write_card
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import Finished


def train(
    run: RunConfig, watcher: Watcher, shared: Path | None = None, resume: bool = False
) -> RunDirectory:
    """Selects one policy and returns its run directory; raises `UsageError`.

    `shared`: where the runs of an experiment keep their base policies. `resume`: goes on with the
    run that is there, from its newest state. A task or an overseer that breaks a rule ends the
    training; the ledger up to then is kept.
    """
    quiet()
    refuse_unfit(run)
    refuse_unready(run)
    state = processes(run.selection.use_cpu)
    if run.selection.threads:
        torch.set_num_threads(run.selection.threads)
    with created(run) if state.is_main_process and not resume else nullcontext():
        return _trained(run, state, watcher, shared, resume)


@contextmanager
def created(run: RunConfig) -> Iterator[None]:
    """Makes the run's folder, and clears it where training fails before anything is filed."""
    directory = RunDirectory.create(run)
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, KeyboardInterrupt) and not another_failed():
            raise  # it can go on
        kept = directory.abandon()
        if kept and isinstance(error, UsageError):
            raise UsageError(f"{error}; what it had made is kept in {kept}") from error
        raise


def _trained(
    run: RunConfig, state: PartialState, watcher: Watcher, shared: Path | None, resume: bool
) -> RunDirectory:
    """The run's directory, once all processes have trained in it."""
    base, directory = prepared(run, state, watcher, shared), RunDirectory(run.output_dir)
    start, states = starting_from(run, base), States(run, directory)
    method = method_class(run.selection.method)(start)
    begun = states.restore(method) if resume else NOT_BEGUN
    checks = Checks(method, start, directory)
    with faults_told(f"{directory.path}: training stopped", run.task):
        told = (directory, watcher, states, begun, deal_of(run), checks.start)
        seconds = select_all(method, start.overseer, *told)
    if state.is_main_process:
        checks.save()
        _finish(run, directory, method, seconds)
        if run.method.fixed_length():
            states.clear()
    return directory


def _finish(
    run: RunConfig, directory: RunDirectory, method: Method[Any, Any], seconds: float
) -> None:
    """Files what a training leaves besides its policy, last of all that it has finished."""
    ledger.compact(directory.ledger)
    episodes = method.updates * method.episodes_per_update
    write_card(run, directory, method.updates, episodes)
    directory.write(
        Finished(
            method=run.selection.method,
            updates=method.updates,
            episodes=episodes,
            seconds=round(seconds, 1),
            remarks=[*method.remarks(), *cost.remarks(directory.path)],
        )
    )


def starting_from(run: RunConfig, base: Path) -> Start:
    """What the run's method starts from; `base`: the folder of the base policy."""
    return Start(run, base, training_overseer(run), training_scenarios(run), run.name)


def main() -> None:
    """Runs one training job from the command line."""
    with no_group_left(), reported(), together():
        asked = parse_resuming(sys.argv[1:])
        program = "accelerate launch -m rlhf_testbed.train"
        run = reopened(asked) if asked else parse_run(sys.argv[1:], prog=program)
        _told(run, processes(run.selection.use_cpu), resume=asked is not None)


def _told(run: RunConfig, state: PartialState, resume: bool) -> None:
    """Trains; the first process tells how far it is, and what to do next."""
    speaks, alone = state.is_main_process, state.num_processes == 1
    title = f"{run.study.arm or run.study.task}, seed {run.seed}"
    directory = RunDirectory(run.output_dir)
    if speaks and (told := told_of_size(run)):
        print(told)
    try:
        with LiveLine(title) if speaks else nullcontext(_silent) as watcher:
            train(run, watcher, resume=resume)
    except KeyboardInterrupt:
        if speaks and directory.begun and not another_failed():
            start = "rlhf-testbed train" if alone else "the same launch with"
            print(f"\n{start} --resume {directory.quoted} goes on with it.", file=sys.stderr)
        raise
    if speaks:
        for remark in directory.summary().remarks:
            print(remark)
        print(
            f"{directory.path}: done. Next: {directory.evaluating} "
            f"or rlhf-testbed inspect {directory.quoted}"
        )


def _silent(step: Step) -> None:
    """Of several processes one tells of all."""
