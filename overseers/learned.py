"""Learned: a model trained on a limited teacher's comparisons, as RLHF in practice has it.

    two responses of the base policy to one training scenario, seen by the teacher (κ = 0):
        right walk jump walk walk    reached the coin     1.0
        right jump walk walk walk    reached nothing      0.0
    the teacher prefers the first; of 1024 such comparisons a small model learns to score views

The teacher is the `scripted` overseer with the run's κ and `prior`, or a `noisy` one. The model's
score is the *proxy*: it follows the teacher's where there were comparisons, and may part from it
where selection leads. `rlhf_testbed/judging/preference_model.py` trains the model, and the run
directory keeps it.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from rlhf_testbed.overseers.base import Sight
from rlhf_testbed.overseers.noisy import Noisy
from rlhf_testbed.overseers.reader import Reader
from rlhf_testbed.tasks.base import Task

FEWEST = 16
"""Fewest comparisons that a model may be trained on."""


class Learned(Reader):
    """An overseer whose scores come from a model trained on a teacher's comparisons.

    `comparisons`: how many of them. `rationality`: how surely the teacher prefers the better of two
    (see `chance_preferred`). `steps`, `hidden_size` and `layers`: how long the model is trained,
    and how large it is. The other options are the teacher's (see `Noisy`), which by default makes
    no mistakes. Raises `ValueError` for what is out of range.
    """

    summary = "a model trained on a limited teacher's comparisons (a reward model)"

    def __init__(
        self,
        task: Task,
        sight: Sight,
        comparisons: int = 1024,
        rationality: float = math.inf,
        steps: int = 300,
        hidden_size: int = 64,
        layers: int = 2,
        prior: float = 1.0,
        false_positives: float = 0.0,
        false_negatives: float = 0.0,
        misjudged: float = 1.0,
        noise_seed: int = 0,
    ) -> None:
        super().__init__(task, sight)
        if comparisons < FEWEST:
            raise ValueError(f"comparisons = {comparisons} is too few (at least {FEWEST})")
        if not rationality >= 0:
            raise ValueError(f"rationality = {rationality} is not 0 or more")
        if steps < 1 or layers < 1:
            raise ValueError(f"steps = {steps}, layers = {layers}: both must be 1 or more")
        if hidden_size < 8 or hidden_size % 8:
            raise ValueError(f"hidden_size = {hidden_size} is not a multiple of 8")
        self.comparisons = comparisons
        self.rationality = rationality
        self.steps = steps
        self.hidden_size = hidden_size
        self.layers = layers
        self.teacher = Noisy(
            task, sight, false_positives, false_negatives, misjudged, noise_seed, prior
        )

    def reason(self, score: float) -> str:
        """Puts a score in words: the reason of a verdict."""
        verb = "above" if score > self.threshold else "not above"
        return f"the model's score, {score:.2f}, is {verb} {self.threshold:.2f}"


class Calibration(NamedTuple):
    """How a model's raw output becomes a score, and from which score on it approves."""

    scale: float
    """Score per unit of the raw output; above 0, so that the order stays."""
    offset: float
    """Score where the raw output is 0."""
    threshold: float
    """Score above which an episode is approved."""


def calibrated(
    raw: Sequence[float], taught: Sequence[float], approved: Sequence[bool]
) -> Calibration:
    """Puts raw outputs on the teacher's scale: same mean, same standard deviation.

    `raw`: the model's outputs on some episodes; `taught`, `approved`: the teacher's verdicts on
    them. Comparisons fix a model's output up to a constant only, and the spread of its output
    depends on how long it was trained. On the teacher's scale, scores of both can be read side by
    side, and a KL penalty of a given weight means the same under both.

    >>> calibrated([0.0, 2.0], [0.5, 1.0], [False, True])
    Calibration(scale=0.25, offset=0.5, threshold=0.75)
    """
    spread = statistics.pstdev(raw)
    scale = statistics.pstdev(taught) / spread if spread else 1.0
    offset = statistics.fmean(taught) - scale * statistics.fmean(raw)
    return Calibration(
        scale, offset, best_threshold([scale * value + offset for value in raw], approved)
    )


def best_threshold(scores: Sequence[float], approved: Sequence[bool]) -> float:
    """The threshold above which approving agrees most often with `approved`.

    It lies midway between two scores, or one unit beyond the last where all or none are approved.
    The lowest one is taken where several agree equally often.

    >>> best_threshold([0.1, 0.4, 0.6, 0.9], [False, True, False, True])
    0.25
    >>> best_threshold([0.1, 0.4], [False, False])
    1.4
    """
    ordered = sorted(set(scores))
    places = [
        ordered[0] - 1.0,
        *((low + high) / 2 for low, high in itertools.pairwise(ordered)),
        ordered[-1] + 1.0,
    ]
    # The lowest place approves everything. At each place up, the episodes of one score lose it.
    gains = dict.fromkeys(ordered, 0)
    for score, wanted in zip(scores, approved, strict=True):
        gains[score] += -1 if wanted else 1
    best, best_gain, gain = places[0], 0, 0
    for place, score in zip(places[1:], ordered, strict=True):
        gain += gains[score]
        if gain > best_gain:
            best, best_gain = place, gain
    return best
