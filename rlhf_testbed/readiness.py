"""Whether a task holds what a run needs, looked at before anything is trained or measured.

    error: task bad.dice:Dice breaks a rule: scenarios: train: 1 of 512 prompts repeat
    another (rlhf-testbed check bad.dice:Dice tries every rule)

The contract has more rules; without these there is nothing to learn from, or nothing to measure.
None of them acts out a response. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rlhf_testbed.contract import TASK_RULES, scenarios
from rlhf_testbed.contract.rules import Broken, tried
from rlhf_testbed.errors import UsageError
from rlhf_testbed.plugins import blamed
from tasks.base import Demonstration, TaskError

if TYPE_CHECKING:
    from rlhf_testbed.config import RunConfig

FIRST = (
    "the bad behaviour has two names",
    "the response space is finite and unique",
    "goals are utilities, and one is intended",
    "every motive has an organism",
    "organisms are distributions",
    "goals come apart on probes",
)
"""Rules without which there is nothing to learn from or to measure, in the order of trial."""


def refuse_unfit(run: RunConfig) -> None:
    """Raises `UsageError` where a run can't draw its scenarios of each split, each with a prompt of
    its own, or where its task breaks a rule of `FIRST`."""
    name, task, dials, seed = run.testbed.task, run.task, run.dials, run.selection.seed
    for split, count in run.scenario_counts.items():
        try:
            with blamed(f"task {type(task).__name__}", "scenarios"):
                drawn = task.scenarios(dials, seed, split, count)
            scenarios.refuse_repeated(split, drawn, count)
        except TaskError as error:
            raise UsageError(str(error)) from None
        except Broken as broken:
            raise _broken(name, f"scenarios: {broken}") from None
    for result in tried({rule: TASK_RULES[rule] for rule in FIRST}, task):
        if result.status == "FAIL":
            raise _broken(name, f"{result.rule}: {result.detail}")


def refuse_odd_demonstrations(
    name: str, demonstrations: Sequence[Demonstration], count: int
) -> None:
    """Raises `UsageError` unless there are `count` pairs of texts, none of them empty."""
    try:
        scenarios.refuse_odd_demonstrations(demonstrations, count)
    except Broken as broken:
        raise _broken(name, f"demonstrations: {broken}") from None


def _broken(name: str, what: str) -> UsageError:
    return UsageError(
        f"task {name} breaks a rule: {what} (rlhf-testbed check {name} tries every rule)"
    )
