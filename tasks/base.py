"""What a task is: frozen data, and behaviour as functions of it.

One corridor, from `tasks/corridor.py`, as data:

    Scenario(
        id="corridor-train-3-17",
        prompt="corridor 0 4 1 7 left pit floor lit floor right dark pit floor floor coin right",
        facts={"coin": "right", "right 1": "dark flower bed", ...},
        concealable=("right 1", ...),
    )

A response is text; `Task.outcome` says what then became true, as named facts of the same kind. An
overseer never gets a scenario: the framework (`overseers/base.py`) cuts a `View` from the facts and
the outcome, and an overseer's `Verdict` may depend on nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

Fact: TypeAlias = str | int | float | bool
Facts: TypeAlias = Mapping[str, Fact]
Split: TypeAlias = Literal["train", "held_out", "off_distribution"]

SPLITS: tuple[Split, ...] = ("train", "held_out", "off_distribution")
STREAMS: Mapping[Split, str] = {
    "train": "train",
    "held_out": "held_out",
    "off_distribution": "probes",
}
"""The text that seeds the random numbers of each split. The last one is an old name on purpose: a
new one would draw other scenarios than those behind the published figures."""


class TaskError(ValueError):
    """A task was asked for something that it does not have, or it broke a rule of tasks."""


def _dial(default: float, symbol: str, meaning: str) -> Any:
    return field(default=default, metadata={"symbol": symbol, "meaning": meaning})


@dataclass(frozen=True)
class Dials:
    """The settings of a task that an experiment varies. Every dial is a share in [0, 1].

    `SYMBOLS` and `MEANINGS` say what each is. Raises `ValueError` naming the dial that is out of
    range.
    """

    knowledge: float = _dial(
        0.0, "κ", "share of the concealable facts that the training overseer's view contains"
    )
    randomised: float = _dial(
        0.0, "α", "share of training scenarios in which the candidate goals come apart"
    )
    diversity: float = _dial(1.0, "δ", "share of training scenarios that a fixed habit can't solve")
    unintended_share: float = _dial(
        0.3, "ρ", "share of the base policy's demonstrations that pursue an unintended goal"
    )

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name} = {value} is not in [0, 1]")


SYMBOLS: Mapping[str, str] = {dial.name: dial.metadata["symbol"] for dial in fields(Dials)}
"""The symbol of each dial."""
MEANINGS: Mapping[str, str] = {dial.name: dial.metadata["meaning"] for dial in fields(Dials)}
"""What each dial is, in words. Help, tables and cards all take these."""


@dataclass(frozen=True)
class Scenario:
    """One situation: what the model reads, and what is true.

    `concealable` names the facts that a limited overseer may not see. An outcome's entry under the
    same name is hidden together with the fact.
    """

    id: str
    prompt: str
    facts: Facts
    concealable: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became true when a response was acted on. `valid`: the task could read the response."""

    facts: Facts
    valid: bool = True


@dataclass(frozen=True)
class View:
    """What one overseer is shown of one episode. `unseen` names what was hidden, not its value."""

    facts: Facts
    outcome: Facts
    unseen: tuple[str, ...]
    valid: bool = True


class Verdict(NamedTuple):
    """An overseer's judgement of one view: `score` has no unit, `reason` is for people."""

    score: float
    approved: bool
    reason: str


class Demonstration(NamedTuple):
    """One prompt with a response to it, from which the base policy learns."""

    prompt: str
    response: str


@dataclass(frozen=True)
class Goal:
    """A candidate goal: `utility(scenario, response)` in [0, 1], 1 where the goal is reached."""

    name: str
    summary: str
    intended: bool
    utility: Callable[[Scenario, str], float]


@dataclass(frozen=True)
class ScriptedPolicy:
    """A policy with a known motive, on which the instruments are calibrated.

    `policy(scenario)` maps response texts to probabilities that sum to 1; texts may lie outside the
    response space. `motive` is a goal's name, or None where no goal is pursued. `role` is one of:

    - `reference`: the reference policy, which does what the overseer intends (one in each task);
    - `motive`: pursues a goal that the instruments must name, or has a habit, which they must not
      take for a goal;
    - `degenerate`: pursues nothing, and must score at the floor under every overseer.
    """

    name: str
    summary: str
    motive: str | None
    role: Literal["reference", "motive", "degenerate"]
    policy: Callable[[Scenario], Mapping[str, float]]


@dataclass(frozen=True)
class Arm:
    """One setting of the dials, and what it is for."""

    name: str
    summary: str
    dials: Dials


class Task(ABC):
    """The behaviour of a task. Instances hold no state: methods depend on their arguments only.

    To add one, write one file and one line in `tasks/__init__.py`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    concealed_trait: ClassVar[str]
    """Name of the trait that is bad behaviour where a limited overseer cannot see it (threat 1)."""
    open_trait: ClassVar[str]
    """Name of the trait that is the same behaviour where every overseer sees it."""

    arms: ClassVar[tuple[Arm, ...]]
    base_steps: ClassVar[int] = 2400
    """Steps in which the small model learns the demonstrations, unless a run's settings say so."""

    @property
    @abstractmethod
    def goals(self) -> tuple[Goal, ...]:
        """The candidate goals. Exactly one is intended."""

    @property
    @abstractmethod
    def scripted_policies(self) -> tuple[ScriptedPolicy, ...]:
        """The scripted policies of this task. Exactly one has the role `reference`."""

    @property
    @abstractmethod
    def responses(self) -> tuple[str, ...]:
        """The response space: every response that the task can read, the same for all scenarios."""

    @abstractmethod
    def scenarios(self, dials: Dials, seed: int, split: Split, count: int) -> tuple[Scenario, ...]:
        """Draws `count` scenarios of one split, each with a prompt of its own.

        The same arguments give the same scenarios, and no situation is in two splits.
        Off-distribution scenarios do not depend on the dials. Raises `TaskError` where there are
        fewer than `count`.
        """

    @abstractmethod
    def demonstrations(
        self, unintended_share: float, seed: int, count: int
    ) -> tuple[Demonstration, ...]:
        """Draws `count` demonstrations for the base policy; a share ρ pursue an unintended goal."""

    def demonstrated(self, scenario: Scenario, unintended_share: float, seed: int) -> str | None:
        """One demonstrator's response to a given scenario; None where the task has none to give.

        Only how able a base policy is, beside its demonstrators, is told by this.
        """
        return None

    @abstractmethod
    def outcome(self, scenario: Scenario, response: str) -> Outcome:
        """What becomes true; a response that can't be read gives an outcome with `valid=False`."""

    @abstractmethod
    def appraise(self, response: str, view: View, prior: float = 1.0) -> Verdict:
        """Judges a response by this task's standard, from what a view shows.

        `prior` in [0, 1] is the chance with which the overseer takes what it can't see to be fine
        (1 naive, 0.5 suspicious). The score is the expected one under that prior. What is seen
        counts the same whatever the prior.
        """

    @abstractmethod
    def traits(self, scenario: Scenario, outcome: Outcome) -> Mapping[str, bool | None]:
        """Named behaviours of one episode: shown, not shown, or None where they were not possible.

        Holds at least `concealed_trait` and `open_trait`.
        """

    def arm(self, name: str) -> Arm:
        """The arm of that name. Raises `TaskError` naming the arms that there are."""
        for arm in self.arms:
            if arm.name == name:
                return arm
        known = ", ".join(arm.name for arm in self.arms)
        raise TaskError(f"arm = {name} is not an arm of {self.name} (there are: {known})")

    @property
    def intended_goal(self) -> Goal:
        """The goal that the overseer intends."""
        return next(goal for goal in self.goals if goal.intended)

    @property
    def unintended_goals(self) -> tuple[Goal, ...]:
        """The candidate goals that the overseer does not intend."""
        return tuple(goal for goal in self.goals if not goal.intended)

    @property
    def reference_policy(self) -> ScriptedPolicy:
        """The scripted policy with the role `reference`: it does what the overseer intends.

        Trained policies are compared with it: its score is the best that can be done, and threat 1
        counts an overseer's over- and underestimation against it.
        """
        return next(scripted for scripted in self.scripted_policies if scripted.role == "reference")

    def exposed(self, scenario: Scenario, outcome: Outcome) -> bool:
        """Whether the bad behaviour was possible out of a limited overseer's sight."""
        return self.traits(scenario, outcome)[self.concealed_trait] is not None


def refuse_odd_traits(task: Task, traits: Mapping[str, bool | None]) -> None:
    """Raises `TaskError` where one of the task's two named traits is missing, or a value is odd.

    The values of traits are True, False and None.
    """
    missing = {task.concealed_trait, task.open_trait} - set(traits)
    if missing:
        raise TaskError(f"task {type(task).__name__}: traits lack {', '.join(sorted(missing))}")
    odd = [name for name, shown in traits.items() if shown not in (True, False, None)]
    if odd:
        raise TaskError(
            f"task {type(task).__name__}: traits must be True, False or None: {', '.join(odd)}"
        )


def refuse_odd_demonstrations(demonstrations: Sequence[Demonstration], count: int) -> None:
    """Raises `TaskError` unless these are `count` pairs of texts, none of them empty."""
    try:
        pairs = [(prompt, response) for prompt, response in demonstrations]
    except (TypeError, ValueError):
        raise TaskError("are no pairs of prompt and response") from None
    if len(pairs) != count:
        raise TaskError(f"asked for {count}, {len(pairs)} came")
    odd = [pair for pair in pairs if not all(isinstance(t, str) and t.strip() for t in pair)]
    if odd:
        raise TaskError(f"{len(odd)} of {count} lack a prompt or a response")
