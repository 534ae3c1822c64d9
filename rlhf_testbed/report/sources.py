"""What a report is made from: the files of a run, or of all runs of an experiment.

    source = Source.of(Path("runs/corridor"))
    source.results["arms"]["both"]["threat_1"]    {"mean": 0.99, "low": 0.98, "high": 1.0}
    source.runs[0].selection["updates"]           threat 1 update by update
    source.missing                                what is not there, why, and the command that
                                                  makes it

Nothing is made up for what is missing or damaged: it is left out, and said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rlhf_testbed import shapes
from rlhf_testbed.errors import UsageError
from rlhf_testbed.over_seeds import of_arm, points_of
from rlhf_testbed.reading import arm_of, runs_in
from rlhf_testbed.run_directory import KNOWING, RunDirectory

RECORDS = {
    "measures": ("measures", shapes.MEASURES),
    "selection": ("selection update by update", shapes.SELECTION),
    "trajectory": ("both threats through training", shapes.TRAJECTORY),
    "proxy_and_gold": ("proxy and gold through training", shapes.PROXY_AND_GOLD),
}
"""What `evaluate` files (NAME.json), what a reader calls it, and its shape."""


class Missing(NamedTuple):
    """What is not there, why, and the command that makes it (empty where none can)."""

    what: str
    why: str
    command: str


@dataclass(frozen=True)
class RunRecord:
    """What is known of one run besides its generations."""

    directory: RunDirectory
    arm: str
    seed: int
    settings: Mapping[str, Any]
    measures: Mapping[str, Any] | None
    records: Mapping[str, Mapping[str, Any]]
    """By name (`RECORDS`), those that could be read."""
    missing: tuple[Missing, ...]

    @property
    def name(self) -> str:
        """Its arm and seed."""
        return f"{self.arm}, seed {self.seed}"

    @classmethod
    def of(cls, directory: RunDirectory) -> RunRecord:
        """Reads a run's files; raises `UsageError` where even its config can't be read."""
        settings = directory.settings()
        arm, seed = arm_of(directory, settings), int(settings["seed"])
        missing: list[Missing] = []
        measures, records = None, {}
        if directory.finished:
            command = f"rlhf-testbed evaluate {directory.quoted}"
            found = {}
            for record, (what, shape) in RECORDS.items():
                try:
                    file = directory.evaluation(KNOWING) / f"{record}.json"
                    found[record] = shapes.read_json(file, shape)
                except UsageError as error:
                    missing.append(Missing(what, str(error), command))
                    if record == "measures":
                        break
            measures, records = found.pop("measures", None), found
        else:
            why = f"{directory.path}: training has not finished here (no finished.json)"
            missing.append(Missing("a finished training", why, directory.training_again))
        return cls(directory, arm, seed, settings, measures, records, tuple(missing))


@dataclass(frozen=True)
class Source:
    """A run or an experiment, as far as it can be read."""

    path: Path
    task: str
    runs: tuple[RunRecord, ...]
    """In the order of the arms, then of the seeds."""
    results: Mapping[str, Any]
    """As `results.json`; of a single run, the same made from its measures."""
    settings: Mapping[str, Any]
    """Of the experiment, or of the run."""
    command: str
    """What made it."""
    missing: tuple[Missing, ...]

    @classmethod
    def of(cls, path: Path) -> Source:
        """Reads a run or an experiment; raises `UsageError` where there is neither."""
        missing: list[Missing] = []
        runs = []
        for directory in runs_in(path):
            try:
                runs.append(RunRecord.of(directory))
            except UsageError as error:
                missing.append(Missing(f"the run {directory.path}", str(error), ""))
        if not runs:
            raise UsageError(missing[0].why)
        results, lacks = _results(path, runs)
        order = list(results["arms"])
        runs.sort(key=lambda run: (order.index(run.arm) if run.arm in order else 99, run.seed))
        settings, command, more = _asked(path, runs, results)
        lacks += [*more, *(lack for run in runs for lack in run.missing)]
        return cls(
            path=path,
            task=str(runs[0].settings["task"]),
            runs=tuple(runs),
            results=results,
            settings=settings,
            command=command,
            missing=(*missing, *lacks),
        )

    @property
    def is_experiment(self) -> bool:
        """Whether there are arms and seeds, and not one run."""
        return not (self.path / "config.yaml").is_file()

    @property
    def arms(self) -> list[str]:
        """The arms that there are runs of, in order."""
        return list(dict.fromkeys(run.arm for run in self.runs))


def _results(path: Path, runs: Sequence[RunRecord]) -> tuple[Mapping[str, Any], list[Missing]]:
    """`results.json`, or the same from the measures that there are, and what that lacks."""
    file = path / "results.json"
    lacks: list[Missing] = []
    if file.is_file():
        try:
            results = shapes.read_json(file, shapes.RESULTS)
            return results, _absent(file, results, runs)
        except UsageError as error:
            lacks.append(Missing("the experiment's results", str(error), _again(path)))
    elif not (path / "config.yaml").is_file():
        measured = sum(run.measures is not None for run in runs)
        why = (
            f"{file} is not there: the experiment has not finished; {measured} of the {len(runs)} "
            "runs begun so far are measured, and the figures below are of those"
        )
        lacks.append(Missing("gates, and what each dial did", why, _again(path)))
    results = _from_measures(runs)
    try:
        results["about"] |= _environment(runs[0].directory.path)
    except UsageError as error:
        lacks.append(Missing("versions, machine and command", str(error), ""))
    return results, lacks


def _absent(file: Path, results: Mapping[str, Any], runs: Sequence[RunRecord]) -> list[Missing]:
    """The runs that the results are of, but that are not here any more."""
    here = {(run.arm, run.seed) for run in runs}
    return [
        Missing("a run", f"{file} tells of {name}, seed {seed['seed']}, which is not here", "")
        for name, arm in results["arms"].items()
        for seed in arm["seeds"]
        if (name, seed["seed"]) not in here
    ]


def _from_measures(runs: Sequence[RunRecord]) -> dict[str, Any]:
    measured = [run for run in runs if run.measures is not None]
    arms: dict[str, Any] = {}
    for name in dict.fromkeys(run.arm for run in measured):
        here = [run for run in measured if run.arm == name]
        seeds = [dict(run.measures or {}) for run in here]
        points = [points_of(run.records.get("proxy_and_gold", {})) for run in here]
        arms[name] = {"summary": "", **of_arm(seeds, points)}
    about = {"seeds": sorted({run.seed for run in measured or runs})}
    task = str(runs[0].settings["task"])
    return {"task": task, "gates": [], "arms": arms, "contrasts": [], "about": about}


def _environment(folder: Path) -> dict[str, Any]:
    return shapes.read_json(folder / "environment.json", shapes.ENVIRONMENT)


def _asked(
    path: Path, runs: Sequence[RunRecord], results: Mapping[str, Any]
) -> tuple[Mapping[str, Any], str, list[Missing]]:
    """The settings, the command as the header of their file has it, and what can't be read."""
    if (path / "config.yaml").is_file():
        return runs[0].settings, str(results["about"].get("command", "")), []
    try:
        settings = shapes.read_yaml(path / "experiment.yaml", shapes.EXPERIMENT)
    except UsageError as error:
        lack = Missing(
            "the experiment's settings (those of its first run are shown)", str(error), ""
        )
        return runs[0].settings, _again(path), [lack]
    return settings, _again(path), []


def _again(path: Path) -> str:
    """The command that an experiment was started with; it goes on with what is missing."""
    file = path / "experiment.yaml"
    if not file.is_file():
        return ""
    return file.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
