"""What a report is made from: the records of a run, or of all runs of an experiment.

    source = Source.of(Path("runs/corridor"))
    source.results.arms["both"].figure("threat_1")    mean 0.99, low 0.98, high 1.0
    source.runs[0].selection.updates                  threat 1 update by update
    source.missing                                    what is not there, why, and the command that
                                                      makes it

Nothing is made up for what is missing or damaged: it is left out, and said. Of an experiment of
more than `CLOSE` runs, so many are read themselves; the figures of all are in its results.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlhf_testbed.experiment.over_seeds import arm_results
from rlhf_testbed.report.run_record import CLOSE, Missing, RunRecord, drawn
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import read_text
from rlhf_testbed.shared.record import read, read_settings
from rlhf_testbed.store.experiment_records import About, ExperimentFile, Gate, GatesFile, Results
from rlhf_testbed.store.generations import folders_of, runs_in
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import (
    Environment,
    ProxyAndGold,
)
from rlhf_testbed.store.runs_table import read_results

NO_CURVES = ProxyAndGold(curves={})
UNKNOWN = Environment(
    command="",
    python="",
    platform="",
    cores=0,
    memory_gib=math.nan,
    libraries={},
    commit=None,
    clean=None,
    sources={},
)
"""Stands for an environment that can't be read; the page shows nothing of it."""


@dataclass(frozen=True)
class Source:
    """A run or an experiment, as far as it can be read."""

    path: Path
    runs: tuple[RunRecord, ...]
    """In the order of the arms, then of the seeds; at least one, and about `CLOSE` at most."""
    total: int
    """How many runs there are."""
    results: Results
    """As filed; of a single run, or of an unfinished experiment, made from the measures."""
    experiment: ExperimentFile | None
    """None for a single run, and where it can't be read."""
    command: str
    """What made it; empty where that is not known."""
    missing: tuple[Missing, ...]

    @classmethod
    def of(cls, path: Path) -> Source:
        """Reads a run or an experiment; raises `UsageError` where there is neither."""
        missing: list[Missing] = []
        runs = []
        there = runs_in(path)
        for directory in drawn(there, CLOSE):
            try:
                runs.append(RunRecord.of(directory))
            except UsageError as error:
                missing.append(Missing(f"the run {directory.path}", str(error), ""))
        if not runs:
            raise UsageError(missing[0].why)
        results, lacks = _results(path, runs, there)
        order = list(results.arms)
        runs.sort(
            key=lambda run: (
                order.index(run.arm) if run.arm in order else len(order),
                run.base_seed,
                run.seed,
            )
        )
        experiment, command, more = _asked(path, results)
        lacks += [*more, *(lack for run in runs for lack in run.missing)]
        return cls(
            path=path,
            runs=tuple(runs),
            total=len(there),
            results=results,
            experiment=experiment,
            command=command,
            missing=(*missing, *lacks),
        )

    @property
    def task(self) -> str:
        """The task, as the settings name it."""
        return self.settings.study.task

    @property
    def settings(self) -> RunConfig:
        """The settings of the first run: but for arm, dials and seed, those of every run."""
        return self.runs[0].settings

    @property
    def shown_settings(self) -> dict[str, Any]:
        """The settings as their file has them: the experiment's, else those of the first run."""
        if self.experiment is None:
            return self.settings.flat()
        return self.experiment.model_dump(mode="json")

    @property
    def bound(self) -> float:
        """What counts as no difference in threat 2, in nats."""
        if self.experiment is None:
            return self.settings.experiment.equivalent_threat_2
        return self.experiment.equivalent_threat_2

    @property
    def is_experiment(self) -> bool:
        """Whether there are arms and seeds, and not one run."""
        return not _is_run(self.path)

    @property
    def drawn(self) -> bool:
        """Whether there are more runs than were read."""
        return self.total > len(self.runs) and self.total > CLOSE

    @property
    def arms(self) -> list[str]:
        """The arms that there are runs of, in order."""
        return list(dict.fromkeys(run.arm for run in self.runs))


def _is_run(path: Path) -> bool:
    return RunDirectory(path).config.is_file()


def _results(
    path: Path, runs: Sequence[RunRecord], there: Sequence[RunDirectory]
) -> tuple[Results, list[Missing]]:
    """The results as filed, or made from the measures that there are, and what is missing then."""
    file = path / Results.file
    lacks: list[Missing] = []
    if file.is_file():
        try:
            results = read_results(path)
            return results, _absent(file, results, runs, there)
        except UsageError as error:
            lacks.append(Missing("the experiment's results", str(error), _again(path)))
        try:  # without its table all but the runs' own figures is there
            return read(file, Results), lacks
        except UsageError:
            pass
    elif not _is_run(path):
        measured = sum(run.measures is not None for run in runs)
        begun = f"the {len(runs)} runs begun so far"
        if len(there) > CLOSE:
            begun = f"{len(runs)} runs that were looked at, out of {len(there)} begun so far,"
        why = (
            f"{file} is not there: the experiment has not finished; {measured} of {begun} "
            "are measured, and the figures below are of those"
        )
        lacks.append(Missing("gates, and what each dial did", why, _again(path)))
    gates = _gates(path, lacks)
    try:
        environment = runs[0].directory.read(Environment)
    except UsageError as error:
        environment = UNKNOWN
        lacks.append(Missing("versions, machine and command", str(error), ""))
    return _from_measures(runs, environment, gates), lacks


def _gates(path: Path, lacks: list[Missing]) -> list[Gate]:
    """The gates that need no RL, where an experiment has decided them already."""
    file = path / GatesFile.file
    if not file.is_file():
        return []
    try:
        return read(file, GatesFile).gates
    except UsageError as error:
        lacks.append(Missing("the gates", str(error), _again(path)))
        return []


def _absent(
    file: Path, results: Results, runs: Sequence[RunRecord], there: Sequence[RunDirectory]
) -> list[Missing]:
    """The runs that the results are of, but that are not here any more."""
    named = bool(results.about.base_seeds)  # in older results no run names its base policy
    here = {(run.arm, run.seed, run.base_seed if named else 0) for run in runs}
    unread = {run.path.relative_to(file.parent) for run in there} - {
        run.directory.path.relative_to(file.parent) for run in runs
    }
    several = ", base policy {}" if len(results.about.base_seeds) > 1 else ""
    return [
        Missing(
            "a run",
            f"{file} tells of {name}, seed {seed}{several.format(base)}, which is not here",
            "",
        )
        for name, arm in results.arms.items()
        for base, seed in arm.runs.named
        if (name, seed, base if named else 0) not in here
        and unread.isdisjoint(Path(name, folder) for folder in folders_of(seed, base))
    ]


def _from_measures(
    runs: Sequence[RunRecord], environment: Environment, gates: Sequence[Gate]
) -> Results:
    measured = [
        (run, run.measures.model_copy(update={"base_seed": run.base_seed}))
        for run in runs
        if run.measures is not None
    ]
    arms = {}
    for name in dict.fromkeys(run.arm for run, _ in measured):
        here = [(run, measures) for run, measures in measured if run.arm == name]
        arms[name] = arm_results(
            "",
            [measures for _, measures in here],
            [run.proxy_and_gold or NO_CURVES for run, _ in here],
        )
    told = [run for run, _ in measured] or runs
    return Results(
        task=runs[0].settings.study.task,
        gates=list(gates),
        arms=arms,
        contrasts=[],
        about=About(
            **environment.model_dump(),
            config="",
            date="",
            seeds=sorted({run.seed for run in told}),
            base_seeds=sorted({run.base_seed for run in told}),
            scores=runs[0].settings.selection.scores,
        ),
    )


def _asked(path: Path, results: Results) -> tuple[ExperimentFile | None, str, list[Missing]]:
    """The experiment's settings, the command as their header has it, and what can't be read."""
    if _is_run(path):
        return None, results.about.command, []
    try:
        experiment = read_settings(path / ExperimentFile.file, ExperimentFile)
    except UsageError as error:
        what = "the experiment's settings (those of its first run are shown)"
        return None, _again(path), [Missing(what, str(error), "")]
    return experiment, _again(path), []


def _again(path: Path) -> str:
    """The command that an experiment was started with; it goes on with what is missing."""
    try:
        header = read_text(path / ExperimentFile.file).partition("\n")[0]
    except UsageError:
        return ""
    return header.lstrip("# ") if header.startswith("#") else ""
