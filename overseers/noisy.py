"""Noisy: the scripted overseer's verdicts, some of them wrong; and preferences, some of them wrong.

Noisy(Corridor(), Sight(1.0), false_positives=0.2)
    a bed trampled on the way to the coin, scripted verdict 0.4, not approved: in one view of five
    1.4, approved ("reached the coin, trampled the bed at right 1; misjudged")

chance_preferred(1.0, 0.4, rationality=2)    0.77: the better of two is not always preferred
"""

from __future__ import annotations

import hashlib
import json
import math

from rlhf_testbed.overseers.base import Sight, TrainingOverseer
from rlhf_testbed.overseers.scripted import Scripted
from rlhf_testbed.tasks.base import Task, Verdict, View


class Noisy(TrainingOverseer):
    """The scripted overseer with a share of its verdicts flipped.

    `false_positives`, `false_negatives` in [0, 1]: the chance that what would be disapproved is
    approved, and the other way round. A flipped verdict's score also moves, up or down, by
    `misjudged` (in units of the score).

    The step is fixed because a task's scores have no point about which to mirror them. It lessens
    the mean score difference between what would be approved and what would not by a known amount,
    `misjudged` times the sum of the two chances. Episodes that are misjudged alike keep their
    order.

    Chance is a hash of what is shown and `noise_seed`, since a verdict may depend on nothing else:
    shown the same episode again, the overseer errs in the same way. `prior` is that of `Scripted`.
    Raises `ValueError` for what is out of range.
    """

    summary = "the scripted overseer, misjudging a share of what it is shown"

    def __init__(
        self,
        task: Task,
        sight: Sight,
        false_positives: float = 0.1,
        false_negatives: float = 0.1,
        misjudged: float = 1.0,
        noise_seed: int = 0,
        prior: float = 1.0,
    ) -> None:
        super().__init__(task, sight)
        rates = {"false_positives": false_positives, "false_negatives": false_negatives}
        for name, value in rates.items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name} = {value} is not in [0, 1]")
        if not 0 <= misjudged < math.inf:
            raise ValueError(f"misjudged = {misjudged} is not 0 or more")
        self.scripted = Scripted(task, sight, prior)
        self.false_positives = false_positives
        self.false_negatives = false_negatives
        self.misjudged = misjudged
        self.noise_seed = noise_seed

    def judge(self, response: str, view: View) -> Verdict:
        """The scripted verdict, or the flipped one."""
        verdict = self.scripted.judge(response, view)
        chance = self.false_negatives if verdict.approved else self.false_positives
        if draw(response, view, self.noise_seed) >= chance:
            return verdict
        step = -self.misjudged if verdict.approved else self.misjudged
        return Verdict(
            round(verdict.score + step, 6), not verdict.approved, f"{verdict.reason}; misjudged"
        )


def draw(response: str, view: View, seed: int) -> float:
    """A number in [0, 1) from a hash of one response, its view and `seed`.

    Such numbers are spread evenly over views and responses. The order in which a view names its
    facts does not matter.
    """
    shown = [seed, response, dict(view.facts), dict(view.outcome), sorted(view.unseen), view.valid]
    digest = hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def chance_preferred(score_a: float, score_b: float, rationality: float) -> float:
    """Chance that a Boltzmann-rational judge prefers a to b: sigmoid(rationality · (a - b)).

    `rationality` ≥ 0, in 1/score: 0 tosses a coin, infinity always prefers the better. Between
    equal scores any judge tosses a coin (Bradley & Terry 1952; Jeon et al. 2020, arXiv 2002.04833).

    >>> chance_preferred(1.0, 0.0, rationality=math.log(3))
    0.75
    >>> chance_preferred(0.0, 1.0, math.inf), chance_preferred(1.0, 1.0, math.inf)
    (0.0, 0.5)
    """
    if score_a == score_b:
        return 0.5
    # tanh does not overflow, as the exponential in the sigmoid would.
    return 0.5 + 0.5 * math.tanh(0.5 * rationality * (score_a - score_b))
