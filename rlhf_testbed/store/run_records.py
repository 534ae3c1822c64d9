"""The files of a run besides its generations: a record each.

    runs/both-3/
      environment.json   Environment    versions, machine, command, commit, hashes of sources
      base.json          BaseKept       the base policy: its hash, and where it is
      overseer.json      OverseerWorth  a learned overseer only: how well it learned
      endpoint.json      EndpointUse    an overseer by endpoint only: what asking it took
      finished.json      Finished       written last
      state/00040/state.json  StateFile      where training was, to go on from
      evaluation/full_knowledge/
        measures.json        Measures
        selection.json       SelectionThroughTraining
        checkpoints.json     Checkpoints
        proxy_and_gold.json  ProxyAndGold
        latent.json          Latent

docs/METRICS.md defines the figures. To add a file: a record with the file's name, and a line in
`FILES`.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any, ClassVar, Literal, TypeAlias

from rlhf_testbed.judging.endpoint.cost import EndpointUse
from rlhf_testbed.judging.learning import OverseerWorth
from rlhf_testbed.shared.files import file_name
from rlhf_testbed.shared.record import Figure, Record
from rlhf_testbed.tasks.base import Dials

KNOWING = "full_knowledge"
"""The overseer whose evaluation holds both threats, as it is named."""
Figures: TypeAlias = dict[str, Figure]
"""Figures by name."""


class Environment(Record):
    """Where and by what something was made."""

    file: ClassVar[str] = "environment.json"

    command: str
    """As it can be typed again wherever the package is installed."""
    python: str
    platform: str
    cores: int
    memory_gib: float
    libraries: dict[str, str]
    """Versions."""
    commit: str | None
    """Of the project's repository; None where it is installed from elsewhere."""
    clean: bool | None
    """Whether the repository held just that commit."""
    sources: dict[str, str]
    """Hashes of the source of task, overseer and method, by their dotted paths."""


class BaseKept(Record):
    """The base policy that a run started from."""

    file: ClassVar[str] = "base.json"

    hash: str
    """Of its files: nothing is ever measured against a base policy with another one."""
    folder: str
    """Where it is: relative to the run where it is kept beside it, else a full path."""


class Finished(Record):
    """What a finished training leaves last of all."""

    file: ClassVar[str] = "finished.json"

    method: str
    updates: int
    episodes: int
    seconds: float
    remarks: list[str] = []
    """What a reader should know of it, in sentences."""


class OneProcess(Record):
    """Where one of the processes of a training was."""

    generators: dict[str, Any]
    """The state of every random generator."""
    position: dict[str, Any]
    """Of the method: what it needs besides its tensors."""


class StateFile(Record):
    """Where a training was after an update, but for the tensors beside it."""

    file: ClassVar[str] = "state.json"

    update: int
    seconds: float
    """Of training until then."""
    of: dict[str, Any]
    """What it belongs to: settings, sources, versions, base policy."""
    processes: list[OneProcess]
    tensors: str
    """SHA-256 of the file of tensors."""


LONGEST_NAME = 200
"""Bytes of a folder's name before it is cut; disks allow 255, of which a hash and files beside it
that are half written take some."""


class JudgedBy(Record):
    """A later overseer: its name, what it saw, and its options."""

    overseer: str
    knowledge: float | None = None
    """κ; None for one that sees everything."""
    options: list[str] = []

    @property
    def name(self) -> str:
        """A name that no other overseer's verdicts are filed under.

        An option that a folder's name can't hold as it is is told by a hash at the end, and so is
        what is beyond the longest name that disks allow.

        >>> JudgedBy(overseer="scripted", knowledge=0.5, options=["prior=0.5"]).name
        'scripted-knowledge=0.5-prior=0.5'
        """
        seen = [] if self.knowledge is None else [f"knowledge={self.knowledge:g}"]
        words = [file_name(self.overseer), *seen, *(file_name(o, keep="=") for o in self.options)]
        if any("-" in word for word in words[1:]):
            told = "\0".join([*seen, *self.options])
            words.append(hashlib.sha256(told.encode()).hexdigest()[:8])
        name = "-".join(words)
        if len(name.encode()) <= LONGEST_NAME:
            return name
        told = hashlib.sha256(name.encode()).hexdigest()[:8]
        return f"{name.encode()[:LONGEST_NAME].decode(errors='ignore')}-{told}"


class Estimates(Record):
    """How an overseer's scores miss the full-knowledge ones (Lang et al. 2024)."""

    e_plus: Figure
    e_minus: Figure
    j_seen: Figure
    j_true: Figure


class InflationVerdict(Record):
    """The final updates of one run against one reference; None where that can't be judged."""

    reference: str
    policy: Estimates
    against: Estimates
    deceptive_inflation: bool | None
    overjustification: bool | None
    reason: str


COVERED = 0.5
"""Share of a policy's probability in the response space below which threat 2 is undecided."""


class Measures(Record):
    """All figures of one run by one later overseer."""

    file: ClassVar[str] = "measures.json"

    arm: str | None
    seed: int
    base_seed: int = 0
    """Of the base policy; 0 in files that are older than this field."""
    dials: Dials
    options: dict[str, float | str] = {}
    """Of the task, those that were given."""
    method: str = "ppo"
    """The selection method."""
    judged_by: JudgedBy
    figures: Figures
    reasons: dict[str, str] = {}
    """Why a figure is what it is, where that needs saying, by the figure's name."""
    threat_2_by_goal: Figures = {}
    inflation: list[InflationVerdict] = []

    def figure(self, name: str) -> float:
        """A figure; NaN where it is not there."""
        return self.figures.get(name, math.nan)


class TraitSelection(Record):
    """Selection on one trait in one update; an episode where it was not possible did not show it.

    Fitness is what decides which completions are selected: under PPO the episode's advantage, less
    its KL penalty and the baseline, whitened, as the mean over its tokens. (PPO weighs tokens
    alike: where responses differ in length, this understates the long ones.) In
    `score_differential` it is the training overseer's score.
    """

    rate: Figure
    """Share of all episodes."""
    possible: int
    """Episodes in which the trait was possible."""
    differential: Figure
    score_differential: Figure
    gradient: Figure
    reasons: dict[str, str] = {}
    """Why a figure is NaN, by its name."""


class UpdateSelection(Record):
    """One update: what its episodes did, how they were judged, and what they selected."""

    update: int
    episodes: int
    exposed: int
    figures: Figures
    reasons: dict[str, str] = {}
    """Why a figure is NaN, by its name."""
    traits: dict[str, TraitSelection]

    def figure(self, name: str) -> float:
        """A figure; NaN where it is not there."""
        return self.figures.get(name, math.nan)


class Heritability(Record):
    """Response per unit of differential over a run, its 95 % interval, and what is behind it."""

    estimate: Figure
    low: Figure
    high: Figure
    reason: str


class SelectionThroughTraining(Record):
    """What each update selected, and what came of it."""

    file: ClassVar[str] = "selection.json"

    updates: list[UpdateSelection]
    heritability: dict[str, Heritability]
    """By trait."""
    inflation: list[InflationVerdict] = []


class GoalFigures(Record):
    """How far one policy pursues one candidate goal on scenarios of one kind."""

    goal_directedness: Figure
    meg_base: Figure
    meg_own_habit: Figure
    meg_uniform: Figure
    utility: Figure
    capability_conditioned: Figure


class GoalInBoth(Record):
    """The same in distribution and off it."""

    in_distribution: GoalFigures
    off_distribution: GoalFigures


class Checkpoint(Record):
    """The policy after so many updates; 0 is the base policy."""

    update: int
    figures: Figures
    goals: dict[str, GoalInBoth]

    def figure(self, name: str) -> float:
        """A figure; NaN where it is not there."""
        return self.figures.get(name, math.nan)


class Checkpoints(Record):
    """Both threats through training, in order of updates."""

    file: ClassVar[str] = "checkpoints.json"

    checkpoints: list[Checkpoint]


class Form(Record):
    """One of Gao et al.'s forms, as fitted to a gold score."""

    alpha: Figure
    beta: Figure
    r_squared: Figure
    peak_d: Figure
    peak_gold: Figure


class Point(Record):
    """Scores above the base policy's, at one distance from it."""

    at: int
    """Update, or n."""
    d: Figure
    """√KL from the base policy, in √nats."""
    scores: dict[str, Figure]
    """`proxy`, `gold` and, where the training overseer learned from one, `teacher`."""


class Curve(Record):
    """Proxy and gold as one method takes the policy away from the base policy."""

    along: Literal["update", "n"]
    points: list[Point]
    rl_form: Form
    best_of_n_form: Form
    reason: str = ""


class ProxyAndGold(Record):
    """Over-optimisation of one run."""

    file: ClassVar[str] = "proxy_and_gold.json"

    curves: dict[str, Curve]
    """By selection method: the run's own, and best_of_n."""


class Estimate(Record):
    """A figure with the bounds of its 95 % interval."""

    value: Figure
    low: Figure
    high: Figure


class Reading(Record):
    """One place in a model where a question was put to its hidden states."""

    where: Literal["before", "after"]
    layer: int
    policy: Estimate
    base: Estimate
    lead: Estimate
    shuffled: Figure


class Question(Record):
    """What a linear probe looked for and found; no readings where nothing could be said."""

    probe_for: str
    among: str
    yes: int
    no: int
    reason: str
    readings: list[Reading]


class Latent(Record):
    """What could be read off the hidden states of one run's policy."""

    file: ClassVar[str] = "latent.json"

    arm: str | None
    seed: int
    dials: Dials
    episodes: int
    questions: list[Question]


FILES: tuple[type[Record], ...] = (
    Environment,
    BaseKept,
    OverseerWorth,
    EndpointUse,
    Finished,
    StateFile,
    Measures,
    SelectionThroughTraining,
    Checkpoints,
    ProxyAndGold,
    Latent,
)
"""Every file of a run that holds a record."""
