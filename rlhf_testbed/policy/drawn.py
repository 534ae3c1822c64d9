"""What a language model has drawn, and whether it fits the probabilities that it is scored by.

    drawn = fresh(language, task, scenarios, seed=0)
    fitting(drawn, task)    0.78: sampling and exact scoring are of one distribution

Compared token by token: a text that is written with other tokens than it is scored with counts as
outside of the response space, as it does in every exact measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rlhf_testbed.measures.goodness_of_fit import fit
from rlhf_testbed.policy.language import Language
from rlhf_testbed.policy.scoring import response_log_probabilities, sampled_ids
from rlhf_testbed.tasks.base import Scenario, Task


class Drawn(NamedTuple):
    """Responses to some scenarios, one each, drawn at temperature 1."""

    language: Language
    scenarios: Sequence[Scenario]
    ids: Sequence[Sequence[int]]
    """The tokens of each response; what comes after its end is of no account."""
    length: int
    """Most tokens of a response: no longer one can be drawn."""


def fresh(language: Language, scenarios: Sequence[Scenario], length: int, seed: int = 0) -> Drawn:
    """Draws a response to each scenario; sets torch's generator."""
    prompts = [scenario.prompt for scenario in scenarios]
    return Drawn(language, scenarios, sampled_ids(language, prompts, length, seed), length)


def fitting(drawn: Drawn, task: Task) -> float:
    """The p-value of a chi-square test of what was drawn against its exact probabilities; 1 where
    no response of the task is short enough to be drawn."""
    ids = {text: tuple(drawn.language.response_ids(text)) for text in task.responses}
    texts = [text for text in task.responses if len(ids[text]) <= drawn.length]
    if (
        not texts
    ):  # no response is short enough to be drawn: there is nothing to hold samples against
        return 1.0
    places = {ids[text]: at for at, text in enumerate(texts)}
    end = drawn.language.tokenizer.eos_token_id
    chosen = [places.get(_ended(each, end), len(texts)) for each in drawn.ids]
    prompts = [scenario.prompt for scenario in drawn.scenarios]
    different = list(dict.fromkeys(prompts))
    rows = {prompt: at for at, prompt in enumerate(different)}
    logs = response_log_probabilities(drawn.language, different, texts)
    return fit(np.exp(logs)[[rows[prompt] for prompt in prompts]], chosen)


def _ended(ids: Sequence[int], end: int | None) -> tuple[int, ...]:
    """A response up to its end, that included."""
    found = tuple(ids)
    return found[: found.index(end) + 1] if end in found else found
