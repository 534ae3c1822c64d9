"""Over-optimisation: what the training overseer's score and the full-knowledge one do as KL grows.

    {"ppo":       along update: d 0.5, proxy 0.2, gold 0.1; ...; gold = d (0.9 - 0.4 ln d)
     "best_of_n": along n:      d 0.44, proxy 0.1, gold 0.05; ...}

`proxy` is the training overseer's score, `gold` the full-knowledge one, `teacher` that of a learned
overseer's teacher, all above the base policy's; d = √KL from the base policy in √nats. Forms and
estimator: `measures.overoptimization`.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from rlhf_testbed.judging.episode import act, judge_cases
from rlhf_testbed.measures.overoptimization import (
    best_of_n,
    fit_best_of_n,
    fit_rl,
    kl_best_of_n,
)
from rlhf_testbed.overseers.base import HeldOutOverseer, TrainingOverseer
from rlhf_testbed.policy.policy import Policy
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.arrays import Floats
from rlhf_testbed.store.run_records import Curve, Form, Point

SAMPLES = 64
"""Responses of the base policy to each scenario that best-of-n chooses from."""
NS = (1, 2, 4, 8, 16, 32, 64)
BLOCKS = 12
"""Points of training: the updates of a run are taken together in about so many blocks."""


class TrainingCurve:
    """Proxy and gold along a ledger, whose updates are added in order.

    Sampled, as training saw it: a response that can't be read counts, too, and a learned overseer
    may think well of it. `updates`: how many there are; `base`: the base policy's mean scores,
    which are taken off. Holds the numbers of one block of updates, 8 bytes each.
    """

    def __init__(self, updates: int, base: Mapping[str, float]) -> None:
        self._each = math.ceil(updates / BLOCKS)
        self._base = base
        self._points = [Point(at=0, d=0.0, scores=dict.fromkeys(base, 0.0))]
        self._last = 0
        self._kl = array("d")
        self._scores = {name: array("d") for name in base}

    def add(self, update: int, kl: Iterable[float], scores: Mapping[str, Iterable[float]]) -> None:
        """Takes in one update: KL and scores of each row, these by the names that `base` has."""
        if self._kl and (update - 1) // self._each != (self._last - 1) // self._each:
            self._close()
        self._last = update
        self._kl.extend(kl)
        for name, kept in self._scores.items():
            kept.extend(scores[name])

    def curve(self) -> Curve:
        """One point for each block of updates, after the base policy's at 0, once all are added.

        A point lies at the last update of its block; d comes from the ledger's KL.
        """
        self._close()
        return _fitted("update", self._points)

    def _close(self) -> None:
        """Makes a point of the block, if there is any."""
        if self._kl:
            d = math.sqrt(max(0.0, float(np.mean(self._kl))))
            scores = {
                name: float(np.mean(kept)) - self._base[name] for name, kept in self._scores.items()
            }
            self._points.append(Point(at=self._last, d=d, scores=scores))
        for column in (self._kl, *self._scores.values()):
            del column[:]


def best_of_n_curve(
    run: RunConfig, base: Policy, trained_by: TrainingOverseer, knowing: HeldOutOverseer
) -> Curve:
    """One point for each n of `NS`, from samples of the base policy on held-out scenarios."""
    task = run.task
    count = run.evaluation.held_out_scenarios
    scenarios = task.scenarios(run.dials, run.seed, "held_out", count)
    repeated = [scenario for scenario in scenarios for _ in range(SAMPLES)]
    cases = act(task, repeated, base.sample(repeated, run.seed))
    judged = [judge_cases(overseer, cases) for overseer in (trained_by, knowing)]
    scores = np.array([[one.verdict.score for one in each] for each in judged])
    return _fitted("n", best_of_n_points(*scores.reshape(2, len(scenarios), SAMPLES)))


def best_of_n_points(proxy: Floats, gold: Floats, ns: Sequence[int] = NS) -> list[Point]:
    """One point for each n: the mean over scenarios of the unbiased estimate.

    Scores of the base policy's samples, [scenarios, samples]. The distance is that of samples
    without ties: with ties, an upper bound.
    """
    points = []
    for n in (n for n in ns if n <= proxy.shape[1]):
        best = {
            name: float(np.mean([best_of_n(p, s, n) for p, s in zip(proxy, scores, strict=True)]))
            - float(scores.mean())
            for name, scores in (("proxy", proxy), ("gold", gold))
        }
        points.append(Point(at=n, d=math.sqrt(kl_best_of_n(n)), scores=best))
    return points


def _fitted(along: str, points: list[Point]) -> Curve:
    """Points with both forms fitted to the gold score; an empty `reason` where they could be."""
    d, gold = [point.d for point in points], [point.scores["gold"] for point in points]
    rl_form, best_of_n_form = fit_rl(d, gold), fit_best_of_n(d, gold)
    moved = len({round(x, 9) for x in d if x > 0})
    settled = not math.isnan(rl_form.alpha)
    return Curve(
        along="n" if along == "n" else "update",
        points=points,
        rl_form=Form(**rl_form._asdict()),
        best_of_n_form=Form(**best_of_n_form._asdict()),
        reason="" if settled else f"not fitted: {moved} different distances above 0, of 2",
    )
