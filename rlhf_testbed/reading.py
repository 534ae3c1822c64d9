"""Reading generations: find the ones that matter, and see each from both sides.

    rlhf-testbed inspect runs/corridor --arm both --update 55-60 --approved --unwanted

Works on a run, or on an experiment (all its runs). Needs no torch: the full-knowledge verdict is
given anew from what the ledger holds, after training and for the reader only.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias

from overseers.base import Case, Sight, TrainingOverseer, oversee, oversee_all
from overseers.full_knowledge import FullKnowledge
from rlhf_testbed import ledger
from rlhf_testbed.errors import UsageError, looked_up, unknown
from rlhf_testbed.overseeing import give_model, make_overseer
from rlhf_testbed.plugins import faults_told, task_named
from rlhf_testbed.run_directory import KNOWING, RunDirectory
from tasks.base import Facts, Task, Verdict

Stage: TypeAlias = Literal["training", "held_out", "base"]
"""Where generations come from: training; the trained policy on held-out scenarios, afterwards; the
base population on the same ones."""
STAGES: tuple[Stage, ...] = ("training", "held_out", "base")
SAME_SCORE = 1e-4
"""Two scores of one overseer that differ by less are alike: a model judges in batches."""


class Generation(NamedTuple):
    """One episode as a reader sees it."""

    arm: str
    seed: int
    row: ledger.Row
    facts: Facts
    outcome: Facts
    unseen: tuple[str, ...]
    verdict: Verdict
    """By the training overseer, from its view."""
    truth: Verdict
    """By the full-knowledge overseer."""
    stage: Stage = "training"
    traits: Mapping[str, bool | None] = MappingProxyType({})

    @property
    def unwanted(self) -> bool:
        """Rejected under full knowledge."""
        return not self.truth.approved


@dataclass(frozen=True)
class Filter:
    """Which generations to show; None: any."""

    arm: str | None = None
    seed: int | None = None
    updates: range | None = None
    approved: bool | None = None
    unwanted: bool | None = None
    text: str | None = None
    """Part of the response, in capitals or not."""
    search: str | None = None
    """Part of the prompt, the response, the scenario's name or a reason, in capitals or not."""
    trait: str | None = None
    """A behaviour that the episode shows, such as `tramples unseen`."""
    scenario: str | None = None
    """The scenario's name."""

    def admits(self, generation: Generation) -> bool:
        """Whether a generation of a run that was let in is to be shown."""
        row = generation.row
        return (
            (self.updates is None or row["update"] in self.updates)
            and (self.approved is None or generation.verdict.approved == self.approved)
            and (self.unwanted is None or generation.unwanted == self.unwanted)
            and (self.scenario is None or self.scenario == row["scenario"])
            and (self.trait is None or bool(generation.traits.get(self.trait)))
            and (self.text is None or _holds(self.text, row["response"]))
            and (self.search is None or _holds(self.search, *_words_of(generation)))
        )


def parse_updates(text: str) -> range:
    """A range of updates from `60` or `55-60`; raises `UsageError`.

    >>> parse_updates("55-60")
    range(55, 61)
    """
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text.strip())
    if not match or int(match[2] or match[1]) < int(match[1]):
        raise UsageError(f"--update = {text} can't be read (right: 60, or 55-60)")
    return range(int(match[1]), int(match[2] or match[1]) + 1)


def runs_in(path: Path) -> list[RunDirectory]:
    """The run at `path`, or the runs of the experiment at `path`; raises `UsageError`."""
    if not path.exists():
        raise UsageError(f"{path}: no such run or experiment")
    if (path / "config.yaml").is_file():
        return [RunDirectory.open(path)]
    found = [
        RunDirectory(config.parent)
        for config in sorted(path.glob("*/seed-*/config.yaml"))
        if "." not in config.parent.name
    ]
    if not found:
        raise UsageError(f"{path}: neither a run (config.yaml) nor an experiment (ARM/seed-N/)")
    return found


def generations(path: Path, wanted: Filter, limit: int | None = None) -> list[Generation]:
    """The first `limit` generations that the filter admits; raises `UsageError`."""
    return list(islice(found(path, wanted), limit))


def found(path: Path, wanted: Filter, stage: Stage = "training") -> Iterator[Generation]:
    """The generations that the filter admits, one by one as they are read; raises `UsageError`."""
    settings = [(run, run.settings()) for run in runs_in(path)]
    names = {
        "arm": [{str(of.get("arm")), arm_of(run, of)} for run, of in settings],
        "seed": [{str(of.get("seed"))} for _, of in settings],
    }
    chosen = list(range(len(settings)))
    for name, value in (("arm", wanted.arm), ("seed", wanted.seed)):
        there = sorted(set().union(*names[name]))
        if value is not None and str(value) not in there:
            raise UsageError(
                f"{path}: no run with {name} = {value} (there are: {', '.join(there)})"
            )
        chosen = [at for at in chosen if value is None or str(value) in names[name][at]]
    if wanted.trait is not None and chosen:
        _refuse_unknown_trait(*settings[chosen[0]], wanted.trait)
    return (
        generation
        for at in chosen
        for generation in of_stage(stage, *settings[at])
        if wanted.admits(generation)
    )


ORDERS: Mapping[str, Callable[[Generation], float]] = {
    "score": lambda generation: generation.verdict.score,
    "true_score": lambda generation: generation.truth.score,
    "advantage": lambda generation: float(generation.row["advantage"]),
    "kl": lambda generation: float(generation.row["kl"]),
}
"""What generations can be put in order by."""


def in_order(generations: Iterator[Generation], by: str | None) -> Iterator[Generation]:
    """Generations by one of `ORDERS`, falling where it begins with a minus; NaN comes last.

    As they come where `by` is None. Raises `UsageError` for another order.
    """
    if by is None:
        return generations
    key = looked_up("--sort", by.removeprefix("-"), ORDERS)
    sign = -1 if by.startswith("-") else 1

    def rank(generation: Generation) -> float:
        value = sign * key(generation)
        return value if value == value else float("inf")

    return iter(sorted(generations, key=rank))


def of_stage(stage: Stage, run: RunDirectory, settings: Mapping[str, Any]) -> Iterator[Generation]:
    """A run's generations of one stage, in order; raises `UsageError`."""
    with faults_told(f"{run.path}", task_of(run, settings)):
        training = stage == "training"
        yield from of_run(run, settings) if training else _fresh(stage, run, settings)


def of_run(run: RunDirectory, settings: Mapping[str, Any]) -> Iterator[Generation]:
    """The generations of a run's training, in order; raises `UsageError`."""
    task, arm = task_of(run, settings), arm_of(run, settings)
    knowing = FullKnowledge(task)
    for row in ledger.read(run.ledger):
        scenario, outcome = ledger.scenario_of(row), ledger.outcome_of(row)
        unseen = tuple(json.loads(row["view"])["unseen"])
        truth = oversee(knowing, scenario, row["response"], outcome)
        yield Generation(
            arm=arm,
            seed=int(settings["seed"]),
            row=row,
            facts=scenario.facts,
            outcome=outcome.facts,
            unseen=unseen,
            verdict=ledger.verdict_of(row),
            truth=truth,
            traits=task.traits(scenario, outcome),
        )


def _fresh(stage: Stage, run: RunDirectory, settings: Mapping[str, Any]) -> Iterator[Generation]:
    """The generations that the run was evaluated on; the training overseer is asked anew."""
    file = run.evaluation(KNOWING) / f"{stage}.parquet"
    if not file.is_file():
        raise UsageError(f"{file} is not there (rlhf-testbed evaluate {run.quoted})")
    task, arm = task_of(run, settings), arm_of(run, settings)
    rows = ledger.read(file)
    cases = [_case(row) for row in rows]
    overseer = overseer_of(run, settings, task)
    for row, case, verdict in zip(rows, cases, oversee_all(overseer, cases), strict=True):
        yield Generation(
            arm=arm,
            seed=int(settings["seed"]),
            row=row,
            facts=case.scenario.facts,
            outcome=case.outcome.facts,
            unseen=overseer.sight.of(case.scenario, case.outcome).unseen,
            verdict=verdict,
            truth=ledger.verdict_of(row),
            stage=stage,
            traits=task.traits(case.scenario, case.outcome),
        )


def _case(row: ledger.Row) -> Case:
    return Case(ledger.scenario_of(row), row["response"], ledger.outcome_of(row))


def arm_of(run: RunDirectory, settings: Mapping[str, Any]) -> str:
    """The arm of a run, with the dials that its experiment varied: `both randomised=0.1`.

    The task's name where a run has no arm.
    """
    arm, folder = str(settings.get("arm") or settings["task"]), run.path.parent.name
    return folder if folder.startswith(f"{arm} ") else arm


def task_of(run: RunDirectory, settings: Mapping[str, Any]) -> Task:
    """The task of a run; raises `UsageError`."""
    return task_named(str(settings.get("task")), f"{run.config}: task")


def overseer_of(run: RunDirectory, settings: Mapping[str, Any], task: Task) -> TrainingOverseer:
    """The overseer that a run was trained with, made anew from its settings.

    It must judge the run's first generations just as the ledger says; else, and where it can't be
    made, raises `UsageError`.
    """
    sight = Sight(float(settings["knowledge"]))
    options = settings.get("overseer_args") or ()
    overseer = make_overseer(str(settings["overseer"]), task, sight, options, str(run.config))
    give_model(overseer, run)
    assert isinstance(overseer, TrainingOverseer)  # a held-out one was refused for training
    rows = ledger.read(ledger.update_file(run.ledger, 1))
    for row, now in zip(rows, oversee_all(overseer, [_case(row) for row in rows]), strict=True):
        alike = math.isclose(now.score, row["score"], rel_tol=SAME_SCORE, abs_tol=SAME_SCORE)
        if not alike or now.approved != row["approved"]:
            raise UsageError(
                f"{run.path}: the training overseer can't be made anew from {run.config}: "
                f"it judges {row['scenario']} in another way than the ledger says"
            )
    return overseer


def _refuse_unknown_trait(run: RunDirectory, settings: Mapping[str, Any], trait: str) -> None:
    task = task_of(run, settings)
    row = ledger.read(ledger.update_file(run.ledger, 1))[0]
    known = task.traits(ledger.scenario_of(row), ledger.outcome_of(row))
    if trait not in known:
        raise unknown("--trait", trait, known)


def _words_of(generation: Generation) -> tuple[str, ...]:
    row = generation.row
    return (
        row["prompt"],
        row["response"],
        row["scenario"],
        generation.verdict.reason,
        generation.truth.reason,
    )


def _holds(part: str, *texts: str) -> bool:
    return any(part.casefold() in text.casefold() for text in texts)
