"""Whether a task holds what a run needs, looked at before anything is trained or measured.

    error: task bad.dice:Dice breaks a rule: scenarios: train: 1 of 512 prompts repeat
    another (rlhf-testbed check bad.dice:Dice tries every rule)

The contract has more rules; without these there is nothing to learn from, or nothing to measure.
None of them acts out a response. Imports no torch.
"""

from __future__ import annotations

from rlhf_testbed.contract import TASK_RULES, scenarios
from rlhf_testbed.contract.responses import LARGEST_SPACE
from rlhf_testbed.contract.rules import Broken, tried
from rlhf_testbed.settings.plugins import blamed
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.tasks.base import TaskError

FIRST = (
    "the bad behaviour has two names",
    "the response space is finite and unique",
    "goals are utilities, and one is intended",
    "every motive has a scripted policy",
    "scripted policies are distributions",
    "goals come apart off distribution",
)
"""Rules without which there is nothing to learn from or to measure, in the order of trial."""


def refuse_unfit(run: RunConfig) -> None:
    """Raises `UsageError` where a run can't draw its scenarios of each split, each with a prompt of
    its own, or where its task breaks a rule of `FIRST`."""
    name, task, dials, seed = run.study.task, run.task, run.dials, run.seed
    for split, count in run.scenario_counts.items():
        try:
            with blamed(f"task {type(task).__name__}", "scenarios"):
                drawn = task.scenarios(dials, seed, split, count)
            scenarios.refuse_repeated(split, drawn, count)
        except TaskError as error:
            raise UsageError(str(error)) from None
        except Broken as broken:
            raise _broken(name, f"scenarios: {broken}") from None
    count = len(task.responses)
    if count > LARGEST_SPACE and not run.evaluation.response_samples:
        raise UsageError(
            f"task {name}: {count} responses are too many to score whole (response_samples: 64 "
            "scores those that are sampled)"
        )
    for result in tried({rule: TASK_RULES[rule] for rule in FIRST}, task):
        if result.status == "FAIL":
            raise _broken(name, f"{result.rule}: {result.detail}")


def _broken(name: str, what: str) -> UsageError:
    return UsageError(
        f"task {name} breaks a rule: {what} (rlhf-testbed check {name} tries every rule)"
    )
