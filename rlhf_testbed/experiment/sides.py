"""A run or an experiment as `compare` reads it: arms with their runs, and what they were made with.

    side = Side.of(Path("runs/corridor"))
    side.arms["both"].figure("threat_1")     of each run
    side.folders["both", 0, 3]               the run of base policy 0 and training seed 3

An experiment whose runs are elsewhere (a published folder) has its figures in `results.json`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from rlhf_testbed.settings.plugins import dotted, task_class
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import read_yaml
from rlhf_testbed.shared.record import read_settings
from rlhf_testbed.store.comparison_records import What
from rlhf_testbed.store.experiment_records import EQUIVALENT, ExperimentFile, Results
from rlhf_testbed.store.generations import runs_in
from rlhf_testbed.store.run_columns import Runs, as_ranges
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import BaseKept, Environment, Measures
from rlhf_testbed.store.runs_table import read_results

Facts: TypeAlias = dict[tuple[What, str], Any]
"""What something was made with, by kind and name."""
SEED = re.compile(r"seed-(\d+)(?:-base-(\d+))?")
NAMING = ("task", "seed", "base_seed")
"""Settings without which it can't be told what a run is."""
LOOKED_AT = 20
"""Runs of an experiment whose versions and sources are read, one of each arm first."""


@dataclass(frozen=True)
class Side:
    """One of the two that are compared."""

    path: Path
    is_run: bool
    directories: list[RunDirectory]
    results: Results | None
    missing: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, path: Path) -> Side:
        """Reads what is there; raises `UsageError` where it is neither a run nor an experiment."""
        if RunDirectory(path).config.is_file():
            return cls(path, True, [RunDirectory.open(path)], None)
        published = (path / Results.file).is_file()
        directories = [] if published and not any(path.glob("*/seed-*")) else runs_in(path)
        return cls(path, False, directories, read_results(path) if published else None)

    @cached_property
    def task(self) -> str:
        """The dotted path of the task; its name where its code is not here."""
        named = self.settings["task"] if self.directories else self._results.task
        return dotted(task_class(named))

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """Of the run, or of one of the experiment's from its own base policy, flat and as they are
        filed: those of an older version, which has fewer, can be compared, too."""
        own = [one for one in self.directories if "-base-" not in one.path.name]
        file = (own or self.directories)[0].config
        found = read_yaml(file)
        for name in NAMING:
            if name not in found:
                raise UsageError(
                    f"{file}: damaged: {name} missing (a run's file holds every setting)"
                )
        return found

    @cached_property
    def folders(self) -> dict[tuple[str, int, int], RunDirectory]:
        """The runs by arm, base policy and training seed."""
        if self.is_run:
            return {("", self.settings["base_seed"], self.settings["seed"]): self.directories[0]}
        found = {}
        for one in self.directories:
            if named := SEED.fullmatch(one.path.name):
                base = int(named[2]) if named[2] else self.settings["base_seed"]
                found[one.path.parent.name, base, int(named[1])] = one
        return found

    @cached_property
    def arms(self) -> dict[str, Runs]:
        """The figures of every run, by arm; of a run alone by no name."""
        if self.results is not None:
            return {name: arm.runs for name, arm in self.results.arms.items()}
        measured: dict[str, list[Measures]] = {arm: [] for arm, _, _ in self.folders}
        for (arm, base, _), directory in self.folders.items():
            try:
                found = directory.evaluated(Measures)
            except UsageError as error:
                self.missing.append(f"figures: {error}")
                continue
            measured[arm].append(found.model_copy(update={"base_seed": base}))
        return {arm: Runs.of(found) for arm, found in measured.items()}

    @cached_property
    def experiment(self) -> ExperimentFile | None:
        """What the experiment was asked for; None for a run, and where it is not here."""
        file = self.path / ExperimentFile.file
        return None if self.is_run or not file.is_file() else read_settings(file, ExperimentFile)

    @property
    def unknown(self) -> list[str]:
        """What of an experiment can't be told, since its folder lacks it."""
        if self.is_run or self.experiment is not None:
            return []
        return [f"settings: {self.path / ExperimentFile.file} is not there"]

    @property
    def bounds(self) -> Mapping[str, float]:
        """By threat, the difference that counts as none; of a run there is none."""
        if self.is_run:
            return {}
        if self.results is not None:
            return self.results.bounds
        asked = self.experiment
        if asked is None:
            return EQUIVALENT
        return {"threat_1": asked.equivalent_threat_1, "threat_2": asked.equivalent_threat_2}

    @property
    def made_with(self) -> Facts:
        """Settings, base policies, sources, libraries, machine and commit."""
        return {**self._settings, **self._bases, **self._environment}

    @property
    def _settings(self) -> Facts:
        if self.is_run:
            return {("setting", name): value for name, value in self.settings.items()}
        found: Facts = {}
        if self.experiment is not None:
            found |= {("setting", name): v for name, v in self.experiment.config.items()}
        found |= {("bound", threat): bound for threat, bound in self.bounds.items()}
        if self.results is not None:
            for name, arm in self.results.arms.items():
                told = {"method": arm.method, **dataclasses.asdict(arm.dials), **arm.options}
                found |= {("arm", f"{name}: {what}"): value for what, value in told.items()}
        for name, runs in self.arms.items():
            found["arm", f"{name}: training seeds"] = as_ranges(set(runs.seeds))
            found["arm", f"{name}: base policies"] = as_ranges(set(runs.base_seeds))
        return found

    @property
    def _bases(self) -> Facts:
        """The hash of each base policy, by its seed."""
        found: Facts = {}
        for (_, base, _), directory in self.folders.items():
            key: tuple[What, str] = ("base policy", f"base policy {base}")
            if key not in found and (directory.path / BaseKept.file).is_file():
                found[key] = directory.read(BaseKept).hash
        return found

    @property
    def _environment(self) -> Facts:
        """Versions, sources, machine and commit; of runs that differ in them each that there is."""
        first = {one.path.parent: one for one in reversed(self.directories)}
        chosen = list(dict.fromkeys([*first.values(), *self.directories]))[:LOOKED_AT]
        there = [one for one in chosen if (one.path / Environment.file).is_file()]
        made: list[Environment] = [one.read(Environment) for one in there]
        if not made and self.results is not None:
            made = [self.results.about]
        found: dict[tuple[What, str], dict[Any, None]] = {}
        for one in made:
            for key, value in _facts_of(one):
                found.setdefault(key, {})[value] = None
        return {key: _told(values) for key, values in found.items()}

    @property
    def _results(self) -> Results:
        assert self.results is not None  # an experiment without runs has results
        return self.results


def _facts_of(made: Environment) -> Iterable[tuple[tuple[What, str], Any]]:
    yield from ((("source", name), value) for name, value in made.sources.items())
    yield from ((("library", name), value) for name, value in made.libraries.items())
    for name in ("python", "platform", "cores", "commit", "clean"):
        yield ("made by", name), getattr(made, name)


def _told(values: Iterable[Any]) -> Any:
    several = list(values)
    return several[0] if len(several) == 1 else ", ".join(sorted(map(str, several)))
