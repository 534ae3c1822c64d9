"""The loop of selection, one for every method.

    for each update:
        sample    scenarios -> completions; the scenario travels with its completion
        judge     the overseer is shown views and gives verdicts; no model input ever holds one
        deal      as a control for drift: verdicts go to other episodes of the update (dealt.py)
        record    one row an episode in the ledger, with its fitness and its KL
        select    parameters change, or completions are chosen
        keep      now and then the policy as a checkpoint, and a state to go on from

A model never receives a score: it has written all its completions before the first is judged, and
what is selected writes the next ones.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from rlhf_testbed.judging.episode import Episode, judge_all
from rlhf_testbed.overseers.base import TrainingOverseer
from rlhf_testbed.selection.dealt import Deal, as_judged
from rlhf_testbed.selection.method import Fitness, Judged, Method, Sampled
from rlhf_testbed.selection.states import NOT_BEGUN, Begun, States
from rlhf_testbed.selection.tracked_table import tracked_table
from rlhf_testbed.selection.tracking import selection_figures
from rlhf_testbed.shared.files import written_whole
from rlhf_testbed.shared.progress import Step, Watcher
from rlhf_testbed.store import ledger
from rlhf_testbed.store.ledger import Row
from rlhf_testbed.store.run_directory import RunDirectory

Check: TypeAlias = Callable[[Any, Sequence[float]], None]
"""Looks at the completions of an update, and at each episode's KL in nats; raises `UsageError`."""


def select_all(
    method: Method[Sampled, Judged],
    overseer: TrainingOverseer,
    directory: RunDirectory,
    watcher: Watcher,
    states: States | None = None,
    begun: Begun = NOT_BEGUN,
    deal: Deal = as_judged,
    check: Check = lambda completions, kl: None,
) -> float:
    """Runs every update of a method, or those after `begun`; its policy is then the selected one.

    Returns the seconds of training. Without `states` no state to go on from is kept. `deal`: which
    verdict becomes the fitness of which episode; what is filed is each one's own. `check` sees
    the first update before anything is filed or selected.

    Raises `TypeError` for a held-out overseer: its verdicts never take part in training.
    """
    if not isinstance(overseer, TrainingOverseer):
        raise TypeError(f"{type(overseer).__name__} is held out: it can't take part in training")
    started = time.monotonic()
    with method.under_way():
        for update in range(begun.updates + 1, method.updates + 1):
            completions = method.sample(update)
            episodes = judge_all(overseer, completions.scenarios, completions.texts)
            given = deal(update, [episode.verdict for episode in episodes])
            fitness = method.fitness(completions, given)
            if update == 1:
                check(completions, fitness.kl)
            rows = record(method, directory, update, episodes, fitness)
            losses = method.select(completions, fitness)
            seconds = time.monotonic() - started
            speed = (update - begun.updates) * method.episodes_per_update / seconds
            figures = {**selection_figures(overseer.task, rows), **losses, "eps": speed}
            shown = tracked_table(method, overseer.task, update, rows)
            method.tell(update, {**figures, **shown})
            keep(method, directory, update)
            if states:
                states.keep(method, update, begun.seconds + seconds)
            watcher(Step(update, method.updates, _note(rows, speed)))
    return begun.seconds + time.monotonic() - started


def record(
    method: Method[Sampled, Judged],
    directory: RunDirectory,
    update: int,
    episodes: Sequence[Episode],
    fitness: Fitness,
) -> list[Row]:
    """Files one update's episodes with their fitness; returns the rows of all processes."""
    each = zip(episodes, fitness.values, fitness.kl, strict=True)
    rows = [Row.of(episode, update, at, *told) for at, (episode, *told) in enumerate(each)]
    found = [
        dataclasses.replace(row, episode=index) for index, row in enumerate(method.gathered(rows))
    ]
    if method.is_main:
        ledger.write_update(directory.ledger, update, found)
    return found


def keep(method: Method[Sampled, Judged], directory: RunDirectory, update: int) -> None:
    """Keeps the policy as a checkpoint, if it is time."""
    every = method.checkpoint_every
    if every and update % every == 0 and method.is_main:
        with written_whole(directory.checkpoint(update)) as aside:
            method.keep(aside)


def _note(rows: Sequence[Row], speed: float) -> str:
    """One update in figures: approval, KL, speed."""
    approved = sum(row.approved for row in rows) / len(rows)
    kl = sum(row.kl for row in rows) / len(rows)
    return f"approved {approved:.2f}   KL {kl:4.1f}   {speed:.0f} episodes/s  "
