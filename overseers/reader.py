"""Overseers that read: a model gives a number to the view, written out as a text.

    Known: coin = right; left 1 = floor; ... right 4 = lit flower bed
    Happened: detours = 0; direction = right; reached = coin; right 1 = jumped; ...
    Out of sight: right 2
    Written: right jump walk walk around

The text holds the view and the response, and nothing else. The model comes from `rlhf_testbed`, as
a plain function of texts, so that nothing here imports torch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeAlias

from rlhf_testbed.overseers.base import OverseerError, Sight, TrainingOverseer
from rlhf_testbed.tasks.base import Facts, Task, Verdict, View

Scorer: TypeAlias = Callable[[Sequence[str]], Sequence[float]]
"""A pure function from texts to scores, one each; a score doesn't depend on the other texts."""
Judge: TypeAlias = Callable[[Sequence[str]], Sequence[Verdict]]
"""The same from texts to whole verdicts."""

DECIMALS = 6
"""Decimals that are kept of a score; those beyond depend on which texts were read together."""


def rendered(response: str, view: View) -> str:
    """One episode as an overseer sees it, in four lines; facts stand in the order of their names.

    >>> print(rendered("go left", View({"coin": "left"}, {"reached": "coin"}, ("left 1",))))
    Known: coin = left
    Happened: reached = coin
    Out of sight: left 1
    Written: go left
    """
    written = "Written" if view.valid else "Written, and not readable"
    return (
        f"Known: {_listed(view.facts)}\n"
        f"Happened: {_listed(view.outcome)}\n"
        f"Out of sight: {'; '.join(sorted(view.unseen)) or 'nothing'}\n"
        f"{written}: {response or 'nothing'}"
    )


def _listed(facts: Facts) -> str:
    return "; ".join(f"{name} = {facts[name]}" for name in sorted(facts)) or "nothing"


class Reader(TrainingOverseer):
    """An overseer whose score is a model's number for the view; it approves above a threshold.

    It has no model at first: `give_model` gives it one, and `give_judge` one that says the whole
    verdict. A text that was read once is not read again, so that the verdict on it stays the same
    whatever is judged beside it.
    """

    def __init__(self, task: Task, sight: Sight) -> None:
        super().__init__(task, sight)
        self.threshold = 0.0
        self._judge: Judge = _no_model
        self._verdicts: dict[str, Verdict] = {}

    def give_model(self, scorer: Scorer, threshold: float) -> None:
        """From now on, `scorer` reads, and what scores above `threshold` is approved."""
        self.threshold = threshold

        def judge(texts: Sequence[str]) -> list[Verdict]:
            scores = [round(float(score), DECIMALS) for score in scorer(texts)]
            return [Verdict(score, score > threshold, self.reason(score)) for score in scores]

        self.give_judge(judge)

    def give_judge(self, judge: Judge) -> None:
        """From now on, `judge` reads, and says the verdict itself."""
        self._judge = judge
        self._verdicts = {}

    def judge(self, response: str, view: View) -> Verdict:
        """The verdict on one response: the model's score, approved above the threshold."""
        return self.judge_all([response], [view])[0]

    def judge_all(self, responses: Sequence[str], views: Sequence[View]) -> list[Verdict]:
        """The verdicts on several responses, read together."""
        texts = [self.text(response, view) for response, view in zip(responses, views, strict=True)]
        new = list(dict.fromkeys(text for text in texts if text not in self._verdicts))
        if new:
            self._verdicts.update(zip(new, self._judge(new), strict=True))
        return [self._verdicts[text] for text in texts]

    def text(self, response: str, view: View) -> str:
        """What the model reads of one episode."""
        return rendered(response, view)

    @abstractmethod
    def reason(self, score: float) -> str:
        """Puts a score in words: the reason of a verdict."""


def _no_model(texts: Sequence[str]) -> Sequence[Verdict]:
    raise OverseerError("an overseer that reads has no model to read with yet")
