"""An episode: scenario and response in; outcome, view and verdict out. The one place that makes it.

    judge(Scripted(Corridor(), Sight(0.0)), scenario, "right walk jump walk walk")

    Episode(scenario, "right walk jump walk walk",
            outcome {"reached": "coin", "right 1": "trampled", ...},
            view    without what is unseen: "right 1",
            verdict Verdict(1.0, True, "reached the coin"))

Training, evaluation, the contract, the gates, readers and tests all call these functions. A model
takes no part, and nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rlhf_testbed.overseers.base import Case, Overseer, OverseerError, oversee_all
from rlhf_testbed.settings.plugins import blamed
from rlhf_testbed.tasks.base import Outcome, Scenario, Task, Verdict, View


class Episode(NamedTuple):
    """One response to one scenario, what it brought about, and how one overseer judged it."""

    scenario: Scenario
    response: str
    outcome: Outcome
    view: View
    verdict: Verdict

    @property
    def case(self) -> Case:
        """The episode as it was before it was judged."""
        return Case(self.scenario, self.response, self.outcome)


def act(task: Task, scenarios: Iterable[Scenario], responses: Iterable[str]) -> list[Case]:
    """Acts out one response to each scenario.

    Raises `UsageError` that names the task where the task's own code raises.
    """
    with blamed(f"task {type(task).__name__}", "outcome"):
        return [
            Case(scenario, response, task.outcome(scenario, response))
            for scenario, response in zip(scenarios, responses, strict=True)
        ]


def judge_cases(overseer: Overseer, cases: Sequence[Case]) -> list[Episode]:
    """Shows the overseer only what it may see of each case, and asks for all verdicts at once.

    Of several cases the last is judged once more: a verdict by chance, or by what was judged
    before, does not stay unnoticed for long. Raises `OverseerError` where the overseer breaks a
    rule.
    """
    return [
        Episode(*case, overseer.sight.of(case.scenario, case.outcome), verdict)
        for case, verdict in zip(cases, verdicts_on(overseer, cases), strict=True)
    ]


def verdicts_on(overseer: Overseer, cases: Sequence[Case]) -> list[Verdict]:
    """The verdicts alone: what `judge_cases` gives, where nobody asks for the views."""
    verdicts = oversee_all(overseer, cases)
    if len(cases) > 1:
        refuse_other(overseer, verdicts[-1], oversee_all(overseer, cases[-1:])[0])
    return verdicts


def judge_all(
    overseer: Overseer, scenarios: Sequence[Scenario], responses: Sequence[str]
) -> list[Episode]:
    """Acts out a response to each scenario and asks for all verdicts: `act`, then `judge_cases`."""
    return judge_cases(overseer, act(overseer.task, scenarios, responses))


def judge(overseer: Overseer, scenario: Scenario, response: str) -> Episode:
    """Acts out one response and asks the overseer for its verdict."""
    return judge_all(overseer, [scenario], [response])[0]


def refuse_other(overseer: Overseer, before: Verdict, again: Verdict) -> None:
    """Raises `OverseerError` where the same view did not get the same verdict once more."""
    if before != again:
        told = [f"{v.score:g} ({'' if v.approved else 'not '}approved)" for v in (before, again)]
        raise OverseerError(
            f"overseer {type(overseer).__name__} must judge the same view alike, and gave "
            f"{told[0]}, then {told[1]} (no chance, no memory of other episodes)"
        )
