"""From token ids to verdicts: which scenario a prompt was, what a response did, what was judged.

    query ids [64, 17] and response ids [64, 6]  ->  64 episodes, each with its scenario, response,
    outcome, view and verdict

A scenario is found by its prompt's ids. The scores go to the selection of parameters and the
episodes to the ledger; nothing here flows back into what a model reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from overseers.base import Case, Overseer, OverseerError, TrainingOverseer, oversee_all
from rlhf_testbed.language_model import Language
from rlhf_testbed.plugins import blamed
from tasks.base import Outcome, Scenario, Task, TaskError, Verdict, View


class Episode(NamedTuple):
    """One generation, and how it was judged."""

    scenario: Scenario
    response: str
    outcome: Outcome
    view: View
    verdict: Verdict


def judged(overseer: Overseer, scenario: Scenario, response: str) -> Episode:
    """Acts out one response and asks the overseer for its verdict; see `judged_all`."""
    return judged_all(overseer, [scenario], [response])[0]


def judged_all(
    overseer: Overseer, scenarios: Sequence[Scenario], responses: Sequence[str]
) -> list[Episode]:
    """Acts out a response to each scenario and asks the overseer for all verdicts at once.

    Of several episodes the last is judged once more: a verdict by chance, or by what was judged
    before, does not stay unnoticed for long.

    Raises `OverseerError` where the overseer breaks a rule, and `UsageError` naming the task where
    the task's own code raises.
    """
    with blamed(f"task {type(overseer.task).__name__}", "outcome"):
        cases = [
            Case(scenario, response, overseer.task.outcome(scenario, response))
            for scenario, response in zip(scenarios, responses, strict=True)
        ]
    verdicts = oversee_all(overseer, cases)
    if len(cases) > 1:
        _refuse_other(overseer, verdicts[-1], oversee_all(overseer, cases[-1:])[0])
    return [
        Episode(*case, overseer.sight.of(case.scenario, case.outcome), verdict)
        for case, verdict in zip(cases, verdicts, strict=True)
    ]


def _refuse_other(overseer: Overseer, before: Verdict, again: Verdict) -> None:
    """Raises `OverseerError` where the same view did not get the same verdict once more."""
    if before != again:
        told = [f"{v.score:g} ({'' if v.approved else 'not '}approved)" for v in (before, again)]
        raise OverseerError(
            f"overseer {type(overseer).__name__} must judge the same view alike, and gave "
            f"{told[0]}, then {told[1]} (no chance, no memory of other episodes)"
        )


class Judge:
    """The training overseer, asked in the trainer's terms: token ids.

    Raises `TaskError` when two scenarios read alike to the model, and `TypeError` for a held-out
    overseer: its verdicts never take part in training.
    """

    def __init__(
        self,
        language: Language,
        task: Task,
        overseer: TrainingOverseer,
        scenarios: Sequence[Scenario],
    ) -> None:
        if not isinstance(overseer, TrainingOverseer):
            raise TypeError(
                f"{type(overseer).__name__} is held out: it can't take part in training"
            )
        self.language = language
        self.task = task
        self.overseer = overseer
        self._scenarios = {
            tuple(language.prompt_ids(scenario.prompt)): scenario for scenario in scenarios
        }
        if len(self._scenarios) < len(scenarios):
            raise TaskError(f"{task.name}: two scenarios have the same prompt for this tokenizer")

    @property
    def prompts(self) -> list[str]:
        """The prompts of all scenarios that can be judged."""
        return [scenario.prompt for scenario in self._scenarios.values()]

    def __call__(self, queries: torch.Tensor, responses: torch.Tensor) -> list[Episode]:
        """The judged episodes of ids [episodes, tokens]; padding is left out of the prompts."""
        padding = self.language.tokenizer.pad_token_id
        asked = [
            self._scenarios[tuple(token for token in query if token != padding)]
            for query in queries.tolist()
        ]
        return judged_all(self.overseer, asked, [self.language.text(r) for r in responses.tolist()])
