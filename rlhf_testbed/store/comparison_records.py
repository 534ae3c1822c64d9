"""What `rlhf-testbed compare A B` finds, as `--json FILE` holds it.

    Comparison
      differing    Differing   learning_rate: 0.0003 in A, 0.001 in B
      arms         ArmCompared by arm, or of the two runs
        figures    Movement    threat_1: 0.98 in A, 0.41 in B, -0.57 [-0.66, -0.48], moved
        responses  Changed     of 512 scenarios, 230 have another response
      examples     Example     one scenario, and both responses with their verdicts

docs/METRICS.md defines the figures.
"""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

from rlhf_testbed.shared.record import Figure, Record

What: TypeAlias = Literal["setting", "bound", "arm", "base policy", "source", "library", "made by"]
"""Of what kind a difference is, in the order in which they are told."""
Pairing: TypeAlias = Literal["runs", "base policies", "nothing"]
"""What A's and B's runs of an arm were matched by before they were subtracted."""
Found: TypeAlias = Literal[
    "moved", "moved alone", "equivalent", "undecided", "alike", "no interval", "unjudged"
]
"""`moved alone`: taken alone, but not among all that were compared. `alike`: in every run."""


class Side(Record):
    """One of the two."""

    path: str
    runs: int
    arms: list[str]
    """Empty for a run."""


class Differing(Record):
    """Something that the two have differently."""

    what: What
    name: str
    a: Any = None
    b: Any = None
    only_in: Literal["", "A", "B"] = ""
    """Where the other has no such thing."""


class Movement(Record):
    """One figure in both."""

    figure: str
    unit: str
    a: Figure
    b: Figure
    """Means over the units that were compared."""
    difference: Figure
    """B - A."""
    low: Figure
    high: Figure
    """Its 95 % interval."""
    p: Figure = math.nan
    p_corrected: Figure = math.nan
    p_equivalent: Figure = math.nan
    bound: Figure = math.nan
    """Within which A and B count as equivalent."""
    found: Found


class Changed(Record):
    """Held-out generations on the same scenarios."""

    runs: int
    """Pairs of runs that were read."""
    scenarios: int
    """The same in both: name, prompt and facts."""
    other_facts: int
    """Of the same name, but with another prompt or other facts: not compared."""
    unmatched: int
    """In one of the two runs only."""
    responses: int
    """How many differ."""
    verdicts: int
    """How many responses are the same, but judged otherwise."""
    a: int
    b: int
    """Approved yet unwanted, in each."""
    only_a: int
    only_b: int
    """Approved yet unwanted there, and not in the other."""


class Answer(Record):
    """One response with both verdicts."""

    response: str
    approved: bool
    score: Figure
    reason: str
    wanted: bool
    true_score: Figure
    true_reason: str


class Example(Record):
    """One scenario, and what each made of it."""

    arm: str
    runs: tuple[str, str]
    scenario: str
    prompt: str
    a: Answer
    b: Answer


class ArmCompared(Record):
    """One arm in two experiments, or two runs."""

    arm: str
    """Empty for two runs."""
    pairing: Pairing
    unit: Literal["seed", "base policy", ""]
    """What is independent; empty where the two have no common unit."""
    units: tuple[int, int]
    """How many of A and B were compared; matched, they are as many."""
    runs: tuple[int, int]
    """Of A and B that these are of."""
    left_out: tuple[int, int] = (0, 0)
    """Runs of A and B without a counterpart."""
    remarks: list[str] = []
    figures: list[Movement]
    responses: Changed | None = None


class Comparison(Record):
    """Two runs, or two experiments."""

    of: Literal["runs", "experiments"]
    task: str
    a: Side
    b: Side
    differing: list[Differing]
    arms: list[ArmCompared]
    only_a: list[str] = []
    only_b: list[str] = []
    """Arms without a counterpart."""
    tests: int
    """Figures that were tested, over all arms; threats are corrected among themselves."""
    examples: list[Example] = []
    missing: list[str] = []
    """What could not be compared, and why."""
