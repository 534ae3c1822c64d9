"""The files of an experiment: its settings, its gates, its results.

    runs/corridor/
      experiment.yaml   ExperimentFile   what was asked; another experiment can't share the folder
      gates.json        GatesFile        the gates that need no RL (another base policy's:
                                         gates-base-3.json)
      results.json      Results          gates, arms over seeds, contrasts
      runs.parquet                       a row a run (`store/runs_table.py`)
      again.yaml                         a config by which it all is made again

docs/METRICS.md defines the figures.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import PrivateAttr

from rlhf_testbed.shared.record import Figure, Interval, Record
from rlhf_testbed.store.run_columns import Runs, Tabled
from rlhf_testbed.store.run_records import COVERED, Environment, Form, Measures
from rlhf_testbed.tasks.base import Dials

AGAIN = "again.yaml"
"""Every setting of an experiment, as a config (`experiment/again.py`)."""
Inference: TypeAlias = Literal["training seeds of one base policy", "base policies"]
"""What an interval generalises to."""
SEEDS: Inference = "training seeds of one base policy"
BASES: Inference = "base policies"


EQUIVALENT = {"threat_1": 0.1, "threat_2": 0.3}
"""Bounds of equivalence where results are older than their entry for it."""


class ExperimentFile(Record):
    """What an experiment runs. A folder that holds another one is refused."""

    file: ClassVar[str] = "experiment.yaml"

    config: dict[str, Any]
    """The settings that all its runs share, flat."""
    dials: dict[str, Dials]
    """Of each arm of the task."""
    equivalent_threat_1: float
    equivalent_threat_2: float
    sources: dict[str, str]
    """Hashes of the source of task, overseer and method, by their dotted paths."""
    arms: dict[str, dict[str, float | int | bool | str | list[str]]] = {}
    """What arms of the experiment's own are given, by name, and methods, as `method=NAME`."""


class Gate(Record):
    """One gate's answer: `figure` holds its numbers, `detail` tells them in words."""

    name: str
    status: Literal["PASS", "FAIL", "DEGENERATE"]
    figure: dict[str, Figure]
    detail: str


class GatesFile(Record):
    """The gates of one base policy that need no RL."""

    file: ClassVar[str] = "gates.json"

    gates: list[Gate]


class InflationOverSeeds(Record):
    """Deceptive inflation and overjustification of an arm against one reference."""

    reference: str
    seeds: int
    differences: dict[str, Interval]
    """Policy minus reference, by estimate."""
    seeds_with: dict[str, int]
    """Seeds in which each of the two holds by the numbers of that run alone."""
    deceptive_inflation: str
    overjustification: str
    reason: str = ""
    """Why neither is judged, where that is so."""


class OverOptimisation(Record):
    """Proxy and gold of an arm before and after the gold score's peak, under one method."""

    method: str
    along: Literal["update", "n"]
    until: list[int]
    """Each seed's peak: where the other seeds' mean gold score is largest."""
    risen: dict[str, Interval]
    since: dict[str, Interval]
    form: Form


class Order(Record):
    """Which of two curves sets on first in an arm."""

    question: str
    curves: tuple[str, str]
    difference: Figure
    low: Figure
    high: Figure
    word: Literal["first", "second", "together", "undecided"]
    reason: str


class Components(Record):
    """Variances of a figure over the runs of an arm; NaN where they can't be told."""

    between: Figure
    """Between base policies."""
    within: Figure
    """Between training seeds of one base policy."""
    share: Figure
    """Of a single run's variance, the share between base policies."""


class ArmResults(Record):
    """One arm over its runs: the training seeds of one base policy, or of several."""

    summary: str
    dials: Dials
    seeds: list[Measures]
    """Of each run, by base policy and training seed; of none where there is a table of runs."""
    tabled: Tabled | None = None
    """In an experiment of so many runs that their figures are in `runs.parquet` alone."""
    inference: Inference = SEEDS
    """What the intervals generalise to."""
    figures: dict[str, Interval]
    """Means with intervals over that; NaN where one run could not be judged."""
    components: dict[str, Components] = {}
    """Variance components by figure; with several base policies only."""
    reasons: dict[str, str] = {}
    """Why a threat has no figure."""
    inflation: list[InflationOverSeeds] = []
    over_optimisation: list[OverOptimisation] = []
    orders: list[Order] = []
    settings: dict[str, float | bool | str] = {}
    """Of what the experiment varies besides dials and the task's options, what its runs had."""
    like: str = ""
    """The task's arm that an arm of the experiment's own was made from."""

    _runs: Runs | None = PrivateAttr(None)

    @property
    def runs(self) -> Runs:
        """Its runs in columns; without figures where these are in a table that was not read."""
        if self._runs is not None:
            return self._runs
        return self.tabled.columns if self.tabled else Runs.of(self.seeds)

    def with_runs(self, runs: Runs) -> ArmResults:
        """The same with the columns of its runs from a table."""
        found = self.model_copy()
        found._runs = runs
        return found

    @property
    def method(self) -> str:
        """The selection method of its runs."""
        if self.tabled:
            return self.tabled.method
        return self.seeds[0].method if self.seeds else ""

    @property
    def options(self) -> dict[str, float | str]:
        """Of the task, those that its runs were given."""
        if self.tabled:
            return self.tabled.options
        return self.seeds[0].options if self.seeds else {}

    @property
    def varied(self) -> dict[str, float]:
        """What an experiment can vary that is a number, by name: dials, options of the task,
        settings."""
        given = {**self.options, **self.settings}
        numbers = {name: v for name, v in given.items() if not isinstance(v, str | bool)}
        return {**vars(self.dials), **numbers}

    @property
    def words(self) -> dict[str, bool | str]:
        """The same that is no number, such as an overseer's name."""
        given = {**self.options, **self.settings}
        return {name: v for name, v in given.items() if isinstance(v, str | bool)}

    def figure(self, name: str) -> Interval | None:
        """A figure's mean and interval; None where it is not there or could not be judged."""
        found = self.figures.get(name)
        return None if found is None or found.mean != found.mean else found

    def unread(self, threat: str) -> str:
        """Why no verdict on a threat can be given, though there is a figure; else empty.

        Threat 2 is read off the response space: of a policy that hardly writes in it, it tells
        nothing, neither of a goal nor of none.
        """
        coverage = self.figure("response_space_coverage") if threat == "threat_2" else None
        if coverage is None or coverage.mean >= COVERED:
            return ""
        return (
            f"judged on the {coverage.mean:.2f} of the policy's probability that is in the "
            "response space: most of what it writes can't be read"
        )


class Needed(Record):
    """A design that would show a claim with a power of 0.8."""

    claim: Literal["moved", "equivalent"]
    """Moved: a difference as large as the bound of equivalence; equivalent: where there is none."""
    base_policies: int
    seeds: int
    """Of each base policy."""


class Decision(Record):
    """Whether a dial moved a threat, and why it is said."""

    verdict: Literal["moved", "equivalent", "undecided"]
    reason: str


class Contrast(Record):
    """What one dial did to one threat: two neighbouring arms over matched runs."""

    dial: str
    threat: str
    arms: tuple[str, str]
    """The arm with the higher value of the dial first."""
    values: tuple[Figure, Figure]
    """The dial in the two arms; NaN where it is no number."""
    difference: Figure
    """Mean over matched runs of the second arm's threat minus the first's."""
    low: Figure
    high: Figure
    """Its 95 % interval."""
    inference: Inference = SEEDS
    base_policies: int = 0
    runs: int = 0
    """Matched base policies and runs; 0 in results that are older than these two."""
    p: Figure = math.nan
    """That the arms don't differ, taken alone."""
    p_corrected: Figure = math.nan
    """The same, corrected for the number of contrasts of the experiment (Holm)."""
    p_equivalent: Figure = math.nan
    """That they differ by the bound or more, corrected likewise."""
    decision: Decision
    components: Components | None = None
    """Variance components of the difference; with several base policies only."""
    needed: list[Needed] = []
    """Designs that would show either claim, from the variance that was seen."""
    seeds_for_equivalence: int | None = None
    """In older results: the seeds of `needed`, of one base policy, for equivalence."""


class Drift(Record):
    """One threat of an arm beside the same arm with scores dealt out at random."""

    arm: str
    threat: str
    selected: Interval
    dealt: Interval
    share: Figure
    """Of the arm's mean, what the control's is; NaN where the arm's is 0."""
    spread: Figure
    spread_dealt: Figure
    """Standard deviations over runs."""
    late_spread: Figure
    late_spread_dealt: Figure
    """Mean standard deviation over the late checkpoints of a run."""
    contrast: Contrast
    """From the control to the arm."""


class Matched(Record):
    """One arm under one of several selection methods, as far from the base policy as the others."""

    arm: str
    """Without its method."""
    method: str
    episodes: int
    """Judged in training, at the end."""
    kl: Interval
    """Of the last policy, held out, in nats."""
    level: Interval
    """KL at which the next two are read: of each base policy and seed, the least that any method
    ends with."""
    threat_1: Interval
    threat_2: Interval


class Passing(Record):
    """The analysis anew with those base policies alone for which every gate passed."""

    left_out: dict[int, list[str]]
    """By base seed, the gates that did not pass."""
    arms: dict[str, dict[str, Interval]]
    """Figures by arm."""
    contrasts: list[Contrast]


class Took(Record):
    """What an experiment took in all."""

    minutes: float
    runs: int


class About(Environment):
    """When, where and by what results were made."""

    config: str
    date: str
    seeds: list[int]
    base_seeds: list[int] = []
    """Empty in results that are older than this field."""
    scores: str = ""
    """Whose scores selected, as the setting of that name has it; empty in older results."""


class Results(Record):
    """Everything that an experiment found."""

    file: ClassVar[str] = "results.json"

    task: str
    gates: list[Gate]
    """Each as the base policy has it that fares worst."""
    gates_by_base: dict[int, list[Gate]] = {}
    """By base seed; with several base policies only."""
    arms: dict[str, ArmResults]
    contrasts: list[Contrast]
    matched: list[Matched] = []
    """At the same KL; where an experiment has several methods."""
    drift: list[Drift] = []
    """Beside a control for drift, where one was named."""
    bounds: dict[str, float] = EQUIVALENT
    """By threat, the difference within which two arms are equivalent."""
    passing: Passing | None = None
    """Where gates passed for some base policies and not for others."""
    about: About
    took: Took | None = None
