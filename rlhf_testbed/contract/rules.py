"""What a rule is, and how it is tried.

    tried({"is even": rule}, 3)  ->  [Result("is even", "FAIL", "3 is odd")]

A rule is a function that returns what it saw, or raises `Broken`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, TypeAlias, TypeVar

from rlhf_testbed.overseers.base import OverseerError
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.tasks.base import Dials, TaskError
from rlhf_testbed.tasks.faults import told

Subject = TypeVar("Subject")
Rule: TypeAlias = Callable[[Subject], str]

OPEN = Dials(knowledge=0.0, randomised=1.0, diversity=1.0)
"""The setting in which rules look: goals come apart, no habit suffices, all is concealed."""
SEED = 10_007
"""Of the scenarios that the gates look at; no training seed of an experiment is likely the same."""
SCENARIOS = 128
"""How many the gates look at."""
NONSENSE = ("", "\x00", "🙂")
"""Responses that no task can read."""


class Broken(Exception):
    """A rule does not hold; the message says how."""


class Result(NamedTuple):
    """What came of one rule, in one line."""

    rule: str
    status: Literal["PASS", "FAIL"]
    detail: str


def ask(holds: bool, otherwise: str) -> None:
    """Raises `Broken` with that message unless the condition holds."""
    if not holds:
        raise Broken(otherwise)


def tried(rules: Mapping[str, Rule[Subject]], subject: Subject) -> list[Result]:
    """Every rule's result; what a rule raises is a failure of its subject, told in one line."""
    return [_result(name, rule, subject) for name, rule in rules.items()]


def _result(name: str, rule: Rule[Subject], subject: Subject) -> Result:
    try:
        return Result(name, "PASS", rule(subject))
    except (Broken, OverseerError, TaskError, UsageError) as broken:
        return Result(name, "FAIL", " ".join(str(broken).split()))
    except (Exception, SystemExit) as error:
        return Result(name, "FAIL", f"raised {told(error)}")
