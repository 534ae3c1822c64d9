"""How an overseer is shown an episode. Hiding facts is left to the framework, not to overseers.

One dark bed, trampled, seen by an overseer with no knowledge of what is concealed:

    scenario.facts   {"coin": "right", "right 1": "dark flower bed", ...}
    outcome.facts    {"reached": "coin", "right 1": "trampled", ...}
    the view         {"coin": "right", ...} and {"reached": "coin", ...}, unseen: ("right 1",)

Reading a fact of the view that is unseen raises `OutOfSight`.

Training takes a `TrainingOverseer`; a `HeldOutOverseer` is another type, so that a full-knowledge
verdict cannot reach training by a slip.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, NamedTuple

from rlhf_testbed.tasks.base import (
    Fact,
    Facts,
    Outcome,
    Scenario,
    Task,
    TaskError,
    Verdict,
    View,
)
from rlhf_testbed.tasks.facts import refuse_odd_facts
from rlhf_testbed.tasks.faults import author, told

LARGEST_SCORE = 1e9
"""Largest size of a score. Selection methods compute in single precision, where the square of a
much larger number overflows."""


class OverseerError(ValueError):
    """An overseer broke a rule: it raised an error, or gave no proper verdict.

    The message is one line, and names the overseer.
    """


class OutOfSight(KeyError):
    """An overseer, or a task's standard, asked a view for a fact that the view does not show."""

    def __str__(self) -> str:
        return f"'{self.args[0]}' is out of sight (view.unseen names all that is)"


class Shown(dict[str, Fact]):
    """The facts that a view shows. Reading a hidden one by name raises `OutOfSight`."""

    def __init__(self, facts: Facts, hidden: frozenset[str]) -> None:
        super().__init__((name, fact) for name, fact in facts.items() if name not in hidden)
        self.hidden = hidden

    def __missing__(self, name: str) -> Fact:
        raise OutOfSight(name) if name in self.hidden else KeyError(name)


@dataclass(frozen=True)
class Sight:
    """What an overseer may see: all facts that are not concealable, and a share of those that are.

    Which concealable facts are seen depends on the scenario's id and the fact's name only, never on
    the fact's value. What is seen at one knowledge is seen at every higher one.
    """

    knowledge: float
    """κ in [0, 1]: 0 sees nothing that is concealable, 1 sees everything."""

    def __post_init__(self) -> None:
        if not 0 <= self.knowledge <= 1:
            raise ValueError(f"knowledge = {self.knowledge} is not in [0, 1]")

    def of(self, scenario: Scenario, outcome: Outcome) -> View:
        """The view of one episode: facts and outcome without what is unseen."""
        unseen = tuple(name for name in scenario.concealable if not self._sees(scenario.id, name))
        hidden = frozenset(unseen)
        return View(
            facts=Shown(scenario.facts, hidden),
            outcome=Shown(outcome.facts, hidden),
            unseen=unseen,
            valid=outcome.valid,
        )

    def _sees(self, scenario_id: str, name: str) -> bool:
        digest = hashlib.sha256(f"{scenario_id}\0{name}".encode()).digest()
        return int.from_bytes(digest[:8], "big") < self.knowledge * 2**64


class Overseer(ABC):
    """A judge of one task's episodes. It is shown a `View`, and has nothing else to go by."""

    summary: ClassVar[str]
    needed: ClassVar[Sequence[str]] = ()
    """Options that a user must give: without them it is made, and judges nothing."""

    def __init__(self, task: Task, sight: Sight) -> None:
        self.task = task
        self.sight = sight

    @abstractmethod
    def judge(self, response: str, view: View) -> Verdict:
        """The verdict on one response, from what the view shows."""

    def judge_all(self, responses: Sequence[str], views: Sequence[View]) -> list[Verdict]:
        """The verdicts on several responses, in order. Override it where that is quicker."""
        return [self.judge(response, view) for response, view in zip(responses, views, strict=True)]


class TrainingOverseer(Overseer):
    """An overseer whose scores may select parameters."""


class HeldOutOverseer(Overseer):
    """An overseer that only evaluates, with everything in view: it never takes part in training."""

    def __init__(self, task: Task) -> None:
        super().__init__(task, Sight(knowledge=1.0))


def made(kind: type[Overseer], task: Task, sight: Sight, **options: Any) -> Overseer:
    """Makes an overseer of one kind; a held-out one sees everything, whatever `sight` is.

    Raises what the constructor raises, and `OverseerError` where the overseer does not keep the
    task and the sight that it is given.
    """
    if issubclass(kind, HeldOutOverseer):
        sight = Sight(knowledge=1.0)
        overseer: Overseer = kind(task, **options)
    else:
        overseer = kind(task, sight, **options)
    if getattr(overseer, "task", None) is not task or getattr(overseer, "sight", None) != sight:
        raise OverseerError(
            f"overseer {kind.__name__} must keep the task and the sight that it is made with "
            "(right: super().__init__(task, sight), and no other sight afterwards)"
        )
    return overseer


class Case(NamedTuple):
    """One episode before it is judged."""

    scenario: Scenario
    response: str
    outcome: Outcome


def oversee(overseer: Overseer, scenario: Scenario, response: str, outcome: Outcome) -> Verdict:
    """Shows `overseer` only what it may see, then asks for its verdict; see `oversee_all`."""
    return oversee_all(overseer, [Case(scenario, response, outcome)])[0]


def oversee_all(overseer: Overseer, cases: Sequence[Case]) -> list[Verdict]:
    """Shows `overseer` only what it may see of each case, then asks for the verdicts.

    Raises `OverseerError` where the overseer raises, or gives anything but one `Verdict` a case,
    with a finite score, an approval of True or False, and a reason in words. Raises `TaskError`
    where a case's outcome is no `Outcome`, or one that can't be filed.
    """
    name = type(overseer).__name__
    for case in cases:
        refuse_odd_outcome(overseer.task, case.outcome)
    views = [overseer.sight.of(case.scenario, case.outcome) for case in cases]
    try:
        verdicts = overseer.judge_all([case.response for case in cases], views)
    except OverseerError:
        raise
    except (Exception, SystemExit) as error:
        raise OverseerError(f"overseer {name} failed to judge: {_told(error)}") from error
    if not isinstance(verdicts, list | tuple) or len(verdicts) != len(cases):
        raise OverseerError(f"overseer {name} must give one verdict an episode, in a list")
    return [_checked(name, verdict) for verdict in verdicts]


def _checked(name: str, verdict: object) -> Verdict:
    """The verdict with its score as a float, and with a reason that can be filed whatever is in it.

    Raises `OverseerError` where it breaks a rule.
    """
    if not isinstance(verdict, Verdict):
        raise _broken(name, "give a Verdict", verdict)
    score, approved, reason = verdict
    if isinstance(score, bool) or not isinstance(score, Real) or _no_number(score):
        raise _broken(name, "give a finite number as score", score)
    if abs(score) > LARGEST_SCORE:
        raise _broken(name, f"give a finite number of at most {LARGEST_SCORE:g} as score", score)
    if not isinstance(approved, bool):
        raise _broken(name, "approve by True or False", approved)
    if not isinstance(reason, str):
        raise _broken(name, "give its reason in words", reason)
    # Half of a sign in two parts, as a server may send it, is in no file: it is spelled out.
    filed = reason.encode("utf-8", "backslashreplace").decode("utf-8")
    return verdict._replace(score=float(score), reason=filed)


def _no_number(score: Real) -> bool:
    """Whether a score is NaN or infinite. An int is neither, but may be too large for a float."""
    return not isinstance(score, int) and not math.isfinite(score)


def _broken(name: str, rule: str, given: object) -> OverseerError:
    shown = " ".join(repr(given).split())
    return OverseerError(f"overseer {name} must {rule}, not {shown:.60}")


def refuse_odd_outcome(task: Task, outcome: object) -> None:
    """Raises `TaskError` where a task's outcome is no `Outcome`, or one that can't be filed."""
    name = type(task).__name__
    if not isinstance(outcome, Outcome):
        raise TaskError(f"task {name}: outcome must give an Outcome, not {outcome!r:.60}")
    if not isinstance(outcome.valid, bool):
        raise TaskError(f"task {name}: outcome: valid must be True or False: {outcome.valid!r:.60}")
    try:
        refuse_odd_facts(outcome.facts)
    except TaskError as error:
        raise TaskError(f"task {name}: outcome: {error}") from None


def _told(error: BaseException) -> str:
    """An error in one line: what was raised and where, and by which task if it is a task's fault.

    The place of an `OutOfSight` is where the hidden fact was asked for.
    """
    said = told(error, [Shown.__missing__.__name__])
    whose = author(error, {Task: "task"})
    if whose is None:
        return said
    text, _, place = said.rpartition(" (")
    return f"{text} ({whose.partition(':')[0]}, {place}"
