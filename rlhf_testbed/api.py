"""Runs and experiments from Python, as frames of pandas.

    import rlhf_testbed as rt

    run = rt.load("runs/corridor/both/seed-0")
    shown = run.generations()                      a row an episode of training
    shown[shown.approved & shown.unwanted].response.value_counts()
    run.generations("held_out").unwanted_approved.mean()          threat 1, sampled
    run.measures()["threat_2"]                     every figure of the run, a Series
    run.checkpoints()[["update", "threat_1"]]      through training

    experiment = rt.load("runs/corridor")
    experiment.table(["threat_1", "threat_2"])     a row an arm: mean, and the ends of its interval
    experiment.runs().groupby("arm").threat_1.std()
    experiment.contrasts()                         what each dial did
    experiment.gates()                             what has to hold before any figure counts
    rt.threat_plane(experiment)                    an Altair chart

All is read from what is on disk, when it is asked for. Nothing is trained; torch is not imported.
Figures are named as docs/METRICS.md defines them; one that could not be judged is NaN. What is
missing or damaged raises `UsageError`, whose message says what would be right.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from rlhf_testbed.report import flat
from rlhf_testbed.report.sources import Source
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.errors import UsageError, looked_up
from rlhf_testbed.store.experiment_records import Results
from rlhf_testbed.store.generation_rows import rows_of
from rlhf_testbed.store.generations import Filter, arm_of, run_told
from rlhf_testbed.store.run_directory import STAGES, RunDirectory, Stage
from rlhf_testbed.store.run_records import KNOWING, Checkpoints, Measures
from rlhf_testbed.store.runs_table import read_results

if TYPE_CHECKING:
    import altair as alt

TYPES = {pa.int32(): pd.Int64Dtype(), pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
"""Types of pandas that have a missing value, so that a column's type does not hang on its rows."""


@dataclass(frozen=True)
class _Folder:
    """What a run and an experiment have in common."""

    path: Path

    def generations(
        self, stage: Stage = "training", *, sort: str | None = None, **wanted: Any
    ) -> pd.DataFrame:
        """Generations, a row an episode, in the order of training.

        `stage`: `training`; `held_out`, by the selected policy; or `base`, by the base policy on
        the same scenarios. `sort` and `wanted` are the options of `rlhf-testbed inspect`, so that
        a part of a large experiment takes the memory of that part:

            run.generations(approved=True, unwanted=True, sort="-score")
            experiment.generations("held_out", arm="both", trait="tramples unseen")
            run.generations(updates=range(55, 61))

        Columns: whose it is (`arm`, `base_seed`, `seed`, `stage`, `update`, `episode`, `scenario`);
        what was read, written and came of it (`prompt`, `response`; `facts`, `outcome` and `view`
        as JSON); the training overseer's `score`, `approved` and `reason`; what selected it
        (`advantage`, `kl` in nats); `exposed`: whether the bad behaviour was possible out of a
        limited overseer's sight; `unwanted`: rejected under full knowledge; `unwanted_approved`:
        approved though unwanted, missing where it was not exposed, so that its mean is threat 1.
        Each later overseer has three columns by its name (`full_knowledge_score`, `_approved`,
        `_reason`), each trait one (`trait_tramples_unseen`; missing: not possible there).

        `anew`: this run was not evaluated, and full knowledge was asked now. Raises `UsageError`
        for an option that there is not, and for a stage that was not evaluated.
        """
        chosen = looked_up("stage", stage, {name: name for name in STAGES})
        for name in wanted:
            looked_up("generations: option", name, Filter.__dataclass_fields__)
        frame: pd.DataFrame = (
            rows_of(self.path, Filter(**wanted), chosen, sort)
            .table()
            .to_pandas(types_mapper=TYPES.get)
        )
        return frame


@dataclass(frozen=True)
class Run(_Folder):
    """One run: a policy that was selected, and all that was written on the way."""

    @cached_property
    def settings(self) -> RunConfig:
        """Every setting; `settings.flat()` has them by the names that YAML and commands use."""
        return self._directory.settings()

    @property
    def arm(self) -> str:
        """The arm, with the dials that its experiment varied: `both randomised=0.1`."""
        return arm_of(self._directory, self.settings)

    @property
    def seed(self) -> int:
        """The training seed."""
        return self.settings.seed

    @property
    def base_seed(self) -> int:
        """The seed of the base policy."""
        return self.settings.base.base_seed

    @property
    def judged_by(self) -> list[str]:
        """The later overseers that have judged it, by the names that `measures` takes."""
        return [one.name for one in self._directory.evaluations]

    def measures(self, by: str = KNOWING) -> pd.Series:
        """Every figure of the run, as a later overseer's evaluation filed it.

        Threat 2 towards each goal is there as `threat_2_by_goal.GOAL`. Raises `UsageError` where
        the run was not evaluated by that overseer.
        """
        figures = flat.measures(self._directory.evaluated(Measures, by))
        return pd.Series(figures, name=run_told(self._directory, self.settings), dtype=float)

    def checkpoints(self, by: str = KNOWING) -> pd.DataFrame:
        """Figures through training: a row a checkpoint, of which update 0 is the base policy.

        What was measured of each goal is there as `goals.GOAL.in_distribution.meg_base` and so on.
        """
        found = self._directory.evaluated(Checkpoints, by)
        return pd.DataFrame([flat.checkpoint(one) for one in found.checkpoints])

    @property
    def _directory(self) -> RunDirectory:
        return RunDirectory(self.path)


@dataclass(frozen=True)
class Experiment(_Folder):
    """Arms × base policies × training seeds: what they show together.

    An unfinished one has the figures of the runs that are measured, no gates and no contrasts: a
    warning says so, and `missing` names what is not there. Results are read once: load it again for
    newer ones.
    """

    @cached_property
    def results(self) -> Results:
        """Everything that was found, as `results.json` has it."""
        if (self.path / Results.file).is_file():
            return read_results(self.path)
        warnings.warn(
            f"{self.path}: the experiment has not finished: its figures are those of the runs that "
            "are measured (`missing` says what is not there)",
            stacklevel=4,  # above `cached_property` and the method that asked
        )
        return Source.of(self.path).results

    @property
    def missing(self) -> list[str]:
        """What is not there of it, and why: a sentence each."""
        try:
            return [f"{one.what}: {one.why}" for one in Source.of(self.path).missing]
        except UsageError as error:
            return [f"runs: {error}"]

    def table(self, figures: Sequence[str] | None = None) -> pd.DataFrame:
        """A row an arm: its dials, how many runs, and of each figure the mean and its interval.

            experiment.table(["threat_1"])
            arm  knowledge  ...  base_policies  runs  threat_1  threat_1_low  threat_1_high
            both       0.0  ...              5    20      0.99          0.98           1.00

        The ends are NaN where no interval is claimed: of fewer than three seeds or base policies.
        `intervals` has the same with a row a figure.
        """
        return pd.DataFrame(flat.arms(self.results, figures))

    def intervals(self, figures: Sequence[str] | None = None) -> pd.DataFrame:
        """A row an arm and figure: `mean`, `low` and `high` of its 95 % interval, and `least` and
        `most`, the smallest and largest seed (of several base policies: the smallest base policy's
        mean over its seeds)."""
        return pd.DataFrame(flat.intervals(self.results, figures))

    def runs(self) -> pd.DataFrame:
        """A row a run: arm, method, dials, options, seeds and every figure.

        Threat 2 towards each goal is there as `threat_2_by_goal.GOAL`.
        """
        return pd.DataFrame(flat.runs(self.results))

    def contrasts(self) -> pd.DataFrame:
        """A row a dial, a threat and a pair of neighbouring arms: what the dial did there.

        `arm_more` has the higher value of the dial; `difference` is the threat in `arm_less` minus
        that, with `low` and `high` of its 95 % interval. `verdict` (moved, equivalent, undecided)
        stands beside its `reason`; `p_corrected` is corrected for the number of contrasts.
        """
        rows = [flat.contrast(one) for one in self.results.contrasts]
        return pd.DataFrame(rows, columns=flat.ContrastRow._fields)

    def gates(self, *, by_base_policy: bool = False) -> pd.DataFrame:
        """A row a gate: `status` (PASS, FAIL, DEGENERATE), and in `detail` what was found.

        Each as the base policy has it that fares worst; `by_base_policy`: as each has it, where
        there are several.
        """
        if not by_base_policy:
            rows = [flat.gate(one) for one in self.results.gates]
            return pd.DataFrame(rows, columns=flat.GateRow._fields)
        of_each = self.results.gates_by_base
        if not of_each:
            raise UsageError(f"{self.path}: gates of one base policy only (right: gates())")
        return pd.DataFrame(
            [(base, *flat.gate(one)) for base, gates in of_each.items() for one in gates],
            columns=["base_seed", *flat.GateRow._fields],
        )


def load(path: str | Path) -> Run | Experiment:
    """The run or the experiment in a folder; raises `UsageError` where there is neither.

    `load_run` and `load_experiment` are the same for a type checker's peace.
    """
    folder = Path(path)
    if not folder.exists():
        raise UsageError(f"{folder}: no such run or experiment")
    return load_run(folder) if RunDirectory(folder).begun else load_experiment(folder)


def load_run(path: str | Path) -> Run:
    """The run in a folder; raises `UsageError` where there is none."""
    return Run(RunDirectory.open(Path(path)).path)


def load_experiment(path: str | Path) -> Experiment:
    """The experiment in a folder, finished or not; raises `UsageError` where there is none.

    A folder that `rlhf-testbed publish` wrote will do, but for generations.
    """
    folder = Path(path)
    if not any(folder.glob("*/seed-*/config.yaml")) and not (folder / Results.file).is_file():
        raise UsageError(
            f"{folder}: neither a run (config.yaml) nor an experiment (ARM/seed-N/, {Results.file})"
        )
    return Experiment(folder)


def threat_plane(shown: Run | Experiment) -> alt.TopLevelMixin:
    """The threat plane as an Altair chart: threat 1 across, threat 2 up, a colour an arm.

        rt.threat_plane(rt.load("runs/corridor")).save("plane.html")

    The picture of the report: a dot a run, a diamond an arm's mean, bars its intervals.
    """
    from rlhf_testbed.report import threat_plane as plane  # altair takes a second

    results = shown.results if isinstance(shown, Experiment) else Source.of(shown.path).results
    return plane.figure(results).altair()
