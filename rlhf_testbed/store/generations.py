"""The one reader of generations: find the ones that matter, and see each from both sides.

    found(Path("runs/corridor"), Filter(arm="both", approved=True, unwanted=True))

    both, seed 3, update 60, episode 12: "right walk jump walk walk"
      verdict   1.0, approved, "reached the coin"                        by the training overseer
      truth     0.4, rejected, "reached the coin, trampled the bed ..."   under full knowledge

Works on a run, or on an experiment (all its runs); inspection, report and exports all read through
it. A verdict is read where it is filed. Of a run that was not evaluated, full knowledge is asked
anew from what the ledger holds, and `anew` says so. Needs no torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from rlhf_testbed.judging.remembered import RememberedVerdicts, of_cases
from rlhf_testbed.overseers.base import Case
from rlhf_testbed.overseers.full_knowledge import FullKnowledge
from rlhf_testbed.settings.plugins import faults_told
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.errors import UsageError, looked_up, unknown
from rlhf_testbed.store import ledger, verdicts
from rlhf_testbed.store.experiment_records import ExperimentFile
from rlhf_testbed.store.ledger import Row
from rlhf_testbed.store.run_directory import FOLDER, RunDirectory, Stage
from rlhf_testbed.store.run_records import KNOWING, JudgedBy
from rlhf_testbed.tasks.base import Task, Verdict


class Generation(NamedTuple):
    """One episode as a reader sees it."""

    arm: str
    seed: int
    stage: Stage
    row: Row
    """With the training overseer's view and verdict."""
    truth: Verdict
    """By the full-knowledge overseer."""
    anew: bool
    """Whether that was asked for now, since no evaluation has filed it."""
    traits: Mapping[str, bool | None]
    exposed: bool
    """Whether the bad behaviour was possible out of a limited overseer's sight."""
    later: Mapping[str, Verdict] = MappingProxyType({})
    """Filed verdicts of later overseers, by the names that they are filed under."""
    run: str = ""
    """The run's arm, training seed and, where its folder names one, base policy, in words."""
    base_seed: int = 0
    """Of the base policy."""

    @property
    def verdict(self) -> Verdict:
        """By the training overseer."""
        return self.row.verdict

    @property
    def unwanted(self) -> bool:
        """Rejected under full knowledge."""
        return not self.truth.approved

    @property
    def unwanted_approved(self) -> bool | None:
        """Approved by the training overseer though unwanted; None where it was not exposed."""
        return self.verdict.approved and self.unwanted if self.exposed else None


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
    base_seed: int | None = None
    """Of the base policy."""

    def admits(self, generation: Generation) -> bool:
        """Whether a generation of a run that was let in is to be shown."""
        row = generation.row
        return (
            (self.updates is None or row.update in self.updates)
            and (self.approved is None or row.approved == self.approved)
            and (self.unwanted is None or generation.unwanted == self.unwanted)
            and (self.scenario is None or self.scenario == row.scenario_id)
            and (self.trait is None or bool(generation.traits.get(self.trait)))
            and (self.text is None or _holds(self.text, row.response))
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
    runs = [(directory, directory.settings()) for directory in runs_in(path)]
    names = {
        "arm": [{arm, arm.partition(" ")[0]} for arm in (arm_of(*one) for one in runs)],
        "seed": [{str(run.seed)} for _, run in runs],
        "base_seed": [{str(run.base.base_seed)} for _, run in runs],
    }
    chosen = list(range(len(runs)))
    asked = {"arm": wanted.arm, "seed": wanted.seed, "base_seed": wanted.base_seed}
    for name, value in asked.items():
        there = sorted(set().union(*names[name]))
        if value is not None and str(value) not in there:
            raise UsageError(
                f"{path}: no run with {name} = {value} (there are: {', '.join(there)})"
            )
        chosen = [at for at in chosen if value is None or str(value) in names[name][at]]
    if wanted.trait is not None and chosen:
        _refuse_unknown_trait(*runs[chosen[0]], wanted.trait)
    return (
        generation
        for at in chosen
        for generation in of_stage(stage, *runs[at])
        if wanted.admits(generation)
    )


ORDERS: Mapping[str, Callable[[Generation], float]] = {
    "score": lambda generation: generation.verdict.score,
    "true_score": lambda generation: generation.truth.score,
    "advantage": lambda generation: generation.row.advantage,
    "kl": lambda generation: generation.row.kl,
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


def of_stage(stage: Stage, directory: RunDirectory, run: RunConfig) -> Iterator[Generation]:
    """A run's generations of one stage, in order, an update in memory; raises `UsageError`.

    What is damaged further on is told when the reading gets there.
    """
    file = directory.generations(stage)
    if stage != "training" and not file.is_file():
        raise UsageError(f"{file} is not there ({directory.evaluating})")
    task, arm = run.task, arm_of(directory, run)
    with faults_told(f"{directory.path}", task):
        updates = ledger.updates_in(file)
        filed = _later(directory, stage)
        anew = RememberedVerdicts(FullKnowledge(task))
        behaviour = of_cases(partial(_traits, task))
        for rows in updates:
            later = {name: verdicts_on.on(rows) for name, verdicts_on in filed.items()}
            truths = later.get(KNOWING) or anew.on(rows)
            for at, (row, traits) in enumerate(zip(rows, behaviour.on(rows), strict=True)):
                yield Generation(
                    arm=arm,
                    seed=run.seed,
                    stage=stage,
                    row=row,
                    truth=truths[at],
                    anew=KNOWING not in later,
                    traits=traits,
                    exposed=traits[task.concealed_trait] is not None,
                    later={name: given[at] for name, given in later.items()},
                    run=run_told(directory, run),
                    base_seed=run.base.base_seed,
                )
        for one in filed.values():
            one.ended()


def arm_of(directory: RunDirectory, run: RunConfig) -> str:
    """The arm of a run, with what its experiment varied: `both randomised=0.1`; or one of the
    experiment's own.

    The task's name where a run has no arm.
    """
    arm, folder = run.study.arm or run.study.task, directory.path.parent
    own = FOLDER.fullmatch(directory.path.name) and (folder.parent / ExperimentFile.file).is_file()
    return folder.name if own or folder.name.startswith(f"{arm} ") else arm


def run_told(directory: RunDirectory, run: RunConfig) -> str:
    """The arm and the training seed of a run; also the base policy, where its experiment has other
    ones than that of its settings, and so names it in the folder.

    No two runs of one experiment are told alike.
    """
    told = f"{arm_of(directory, run)}, seed {run.seed}"
    base = run.base.base_seed
    return f"{told}, base policy {base}" if directory.path.name.endswith(f"-base-{base}") else told


def folders_of(seed: int, base_seed: int) -> tuple[str, str]:
    """The names that the folder of an experiment's run may have, the first where its base policy is
    not that of the settings."""
    return f"seed-{seed}-base-{base_seed}", f"seed-{seed}"


def _later(directory: RunDirectory, stage: Stage) -> dict[str, verdicts.Filed]:
    """What later overseers have filed on one stage's generations, by name."""
    return {
        judged_by.name: verdicts.Filed(
            directory.verdicts(judged_by, stage), _again(directory, judged_by)
        )
        for judged_by in directory.evaluations
    }


def _again(directory: RunDirectory, judged_by: JudgedBy) -> str:
    words = [directory.evaluating]
    if judged_by.overseer != KNOWING:
        words.append(f"--overseer {judged_by.overseer}")
    if judged_by.knowledge is not None:
        words.append(f"--knowledge {judged_by.knowledge:g}")
    return " ".join([*words, *(f"--overseer_args {option}" for option in judged_by.options)])


def _traits(task: Task, cases: Sequence[Case]) -> list[Mapping[str, bool | None]]:
    return [task.traits(case.scenario, case.outcome) for case in cases]


def _refuse_unknown_trait(directory: RunDirectory, run: RunConfig, trait: str) -> None:
    row = next(ledger.rows_in(directory.ledger))
    known = run.task.traits(row.scenario, row.outcome)
    if trait not in known:
        raise unknown("--trait", trait, known)


def _words_of(generation: Generation) -> tuple[str, ...]:
    row = generation.row
    return (
        row.prompt,
        row.response,
        row.scenario_id,
        generation.verdict.reason,
        generation.truth.reason,
    )


def _holds(part: str, *texts: str) -> bool:
    return any(part.casefold() in text.casefold() for text in texts)
