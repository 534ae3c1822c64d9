"""The files of an experiment: its settings, its gates, its results.

    runs/corridor/
      experiment.yaml   ExperimentFile   what was asked; another experiment can't share the folder
      gates.json        GatesFile        the gates that need no RL
      results.json      Results          gates, arms over seeds, contrasts

docs/METRICS.md defines the figures.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from rlhf_testbed.shared.record import Figure, Interval, Record
from rlhf_testbed.store.run_records import COVERED, Environment, Form, Measures
from rlhf_testbed.tasks.base import Dials


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


class Gate(Record):
    """One gate's answer: `figure` holds its numbers, `detail` tells them in words."""

    name: str
    status: Literal["PASS", "FAIL", "DEGENERATE"]
    figure: dict[str, Figure]
    detail: str


class GatesFile(Record):
    """The gates that need no RL."""

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


class ArmResults(Record):
    """One arm over its training seeds."""

    summary: str
    dials: Dials
    seeds: list[Measures]
    figures: dict[str, Interval]
    """Means over seeds with intervals, by figure; NaN where one seed could not be judged."""
    reasons: dict[str, str] = {}
    """Why a threat has no figure."""
    inflation: list[InflationOverSeeds] = []
    over_optimisation: list[OverOptimisation] = []
    orders: list[Order] = []

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


class Decision(Record):
    """Whether a dial moved a threat, and why it is said."""

    verdict: Literal["moved", "equivalent", "undecided"]
    reason: str


class Contrast(Record):
    """What one dial did to one threat: two neighbouring arms over matched seeds."""

    dial: str
    threat: str
    arms: tuple[str, str]
    """The arm with the higher value of the dial first."""
    values: tuple[float, float]
    """The dial in the two arms."""
    difference: Figure
    """Mean over matched seeds of the second arm's threat minus the first's."""
    low: Figure
    high: Figure
    """Its 95 % interval."""
    decision: Decision
    seeds_for_equivalence: int | None
    """Seeds that showing equivalence takes where there is no difference; None: can't be told."""


class Took(Record):
    """What an experiment took in all."""

    minutes: float
    runs: int


class About(Environment):
    """When, where and by what results were made."""

    config: str
    date: str
    seeds: list[int]


class Results(Record):
    """Everything that an experiment found."""

    file: ClassVar[str] = "results.json"

    task: str
    gates: list[Gate]
    arms: dict[str, ArmResults]
    contrasts: list[Contrast]
    about: About
    took: Took | None = None
