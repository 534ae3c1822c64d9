"""Threat 1 of generations that another trainer made, by the functions that evaluation uses.

    found = measure("completions.parquet", task="inspection")
    found.figures["threat_1"]      0.41
    found.intervals["threat_1"]    OverScenarios(mean=0.41, low=0.35, high=0.47, scenarios=260)
    found.unknown                  3 rows, whose prompts are none of the task's

Each generation is judged by a limited overseer and with full knowledge. A scenario is the unit of
the intervals: several generations of one are a cluster. Threat 2 takes a policy's probabilities,
and can't be told from its texts.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlhf_testbed.evaluation.measured import measured
from rlhf_testbed.evaluation.placing import Draws, Found, Places, found
from rlhf_testbed.judging.endpoint import cost
from rlhf_testbed.judging.overseers import limited_overseer
from rlhf_testbed.settings.options import parse_options
from rlhf_testbed.settings.parsing import parse_seeds
from rlhf_testbed.settings.plugins import faults_told, task_named
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store.foreign import KNOWN, Written, read, refuse_without, written
from rlhf_testbed.store.measured_records import Measured
from rlhf_testbed.store.run_records import JudgedBy
from rlhf_testbed.tasks.base import Dials, Task, TaskError

if TYPE_CHECKING:
    import pandas as pd

SEEDS = "0-4,42"
"""Seeds whose scenarios are looked among: those of most experiments, and a run's default."""
FRAME = "frame"
"""How a frame is named in errors."""


def measure(
    generations: str | PathLike[str] | pd.DataFrame,
    task: str,
    *,
    task_args: Sequence[str] = (),
    overseer: str = "scripted",
    overseer_args: Sequence[str] = (),
    knowledge: float | None = None,
    arm: str | None = None,
    seeds: str = SEEDS,
    scenarios: int | None = None,
) -> Measured:
    """Threat 1 and its company, of the generations in a file or in a frame of pandas.

        rt.measure(frame, task="inspection", knowledge=0.0).figures["threat_1"]

    Columns: `response` or `completion`; `prompt` or `scenario` (an id). Where rows have `facts` and
    `concealable`, as our exports do, these are taken for the scenario. Others are looked for among
    the `scenarios` of each split that the task draws for `seeds` in `arm` (None: in every arm).
    `knowledge` is the overseer's (None: the arm's, else 0); `task_args` and `overseer_args` are
    options, NAME=VALUE each.

    Rows without a response, or whose scenario is not found, are counted and left out. Raises
    `UsageError` for what can't be read, an unknown name, and where no row can be judged.
    """
    chosen = task_named(task, entries=task_args)
    dials = _dials(chosen, arm)
    seen = dials.knowledge if knowledge is None else knowledge
    places = Places(chosen, Draws(arm, tuple(parse_seeds(seeds, "seeds")), scenarios))
    with tempfile.TemporaryDirectory() as folder:  # what asking a server took is filed there
        judge = limited_overseer(overseer, chosen, seen, overseer_args, Path(folder))
        where, rows = _rows(generations)
        with faults_told(where, chosen):
            placed = found(rows, places)
            _refuse_nothing(placed, len(rows), places, where)
            figured = measured(placed.episodes, judge)
        asked = cost.remarks(Path(folder))
    return Measured(
        generations=where,
        task=task,
        options=parse_options(task, type(chosen), task_args, "task_args", "task_args"),
        judged_by=JudgedBy(overseer=overseer, knowledge=seen, options=list(overseer_args)),
        rows=len(rows),
        unknown=len(placed.unknown),
        first_unknown=next(iter(placed.unknown), ""),
        without_response=placed.without_response,
        episodes=len(placed.episodes),
        unreadable=sum(not one.case.outcome.valid for one in placed.episodes),
        scenarios=len({one.scenario_key for one in placed.episodes}),
        splits=Counter(one.place.split for one in placed.episodes if one.place.split),
        remarks=[*_remarks(placed, seen), *asked],
        **figured._asdict(),
    )


def _dials(task: Task, arm: str | None) -> Dials:
    try:
        return task.arm(arm).dials if arm else Dials()
    except TaskError as error:
        raise UsageError(str(error)) from None


def _rows(generations: str | PathLike[str] | pd.DataFrame) -> tuple[str, list[Written]]:
    """The rows, and what they are called in an error."""
    if isinstance(generations, str | PathLike):
        return str(generations), read(Path(generations))
    if len(generations):
        refuse_without(map(str, generations.columns), FRAME)
    known = generations[[name for name in generations.columns if name in KNOWN]]
    plain: list[dict[str, Any]] = known.astype(object).where(known.notna(), None).to_dict("records")
    lists = [
        {name: value.tolist() if hasattr(value, "tolist") else value for name, value in row.items()}
        for row in plain
    ]
    return FRAME, written(lists, FRAME)


def _refuse_nothing(placed: Found, rows: int, places: Places, where: str) -> None:
    """Raises `UsageError` where no row can be judged."""
    if placed.episodes:
        return
    if placed.unknown:
        draws, seeds = places.draws, ", ".join(map(str, places.draws.seeds))
        told = f"arm {draws.arm}" if draws.arm else "any arm"
        raise UsageError(
            f"{where}: {len(placed.unknown)} of {rows} rows are of no scenario of "
            f"{places.task.name} in {told} with seeds {seeds}, the first: "
            f"{placed.unknown[0]!r:.80} (right: --seeds, --arm and --scenarios as they were drawn, "
            "or columns facts and concealable)"
        )
    raise UsageError(f"{where}: none of {rows} rows has a response")


def _remarks(placed: Found, knowledge: float) -> list[str]:
    """What a reader should know of the figures, in sentences."""
    said = []
    splits = Counter(one.place.split for one in placed.episodes if one.place.split)
    if len(splits) > 1:
        told = ", ".join(f"{count} {split}" for split, count in splits.items())
        said.append(f"figures are of several splits together: {told}")
    namesakes = sum(one.place.namesakes > 0 for one in placed.episodes)
    if namesakes and 0 < knowledge < 1:
        said.append(
            f"the prompts of {namesakes} episodes are those of several scenarios, and what an "
            f"overseer of κ = {knowledge:g} sees depends on the scenario's name: one of them was "
            "taken (right: a column scenario)"
        )
    return said
