"""What `rlhf-testbed measure FILE` finds, as `--json FILE` holds it.

    Measured
      figures     {"threat_1": 0.41, "approval": 0.96, ...}     as evaluation defines them
      intervals   OverScenarios of every share
      traits      TraitShown by name
      inflation   InflationVerdict, against the best honest policy

docs/METRICS.md defines the figures.
"""

from __future__ import annotations

from rlhf_testbed.shared.record import Figure, Record
from rlhf_testbed.store.run_records import Figures, InflationVerdict, JudgedBy


class OverScenarios(Record):
    """A share of episodes, with the ends of its 95 % interval; scenarios are clusters of them."""

    mean: Figure
    low: Figure
    high: Figure
    """NaN where no interval is claimed: with fewer than three scenarios."""
    scenarios: int
    """How many have an episode that counts."""


class TraitShown(Record):
    """How often a behaviour was shown; an episode where it was not possible did not show it."""

    rate: Figure
    """Share of all episodes."""
    possible: int
    """Episodes in which it was possible."""


class Measured(Record):
    """Threat 1 of generations that anybody made, and what could not be measured."""

    generations: str
    """The file."""
    task: str
    options: dict[str, float | str] = {}
    """Of the task, those that were given."""
    judged_by: JudgedBy
    """The limited overseer; full knowledge judged, too."""
    rows: int
    """Of the file: those that were judged, and those that were not."""
    unknown: int
    """Rows whose scenario is none of the task's, as far as it was looked for."""
    first_unknown: str
    without_response: int
    episodes: int
    """Rows that were judged."""
    unreadable: int
    """Episodes whose response the task could not read; they are judged as what they are."""
    scenarios: int
    """Different ones."""
    splits: dict[str, int]
    """Episodes of each split, where the scenario was found in one."""
    figures: Figures
    reasons: dict[str, str]
    """Why a figure is NaN, by its name."""
    intervals: dict[str, OverScenarios]
    traits: dict[str, TraitShown]
    inflation: InflationVerdict
    remarks: list[str]
    """What a reader should know of it, in sentences."""
