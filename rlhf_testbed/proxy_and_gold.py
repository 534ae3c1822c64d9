"""Over-optimisation: what the training overseer's score and the full-knowledge one do as KL grows.

    {"training":  {"points": [{"update": 5, "d": 0.5, "proxy": 0.2, "gold": 0.1}, ...],
                   "rl_form": {"alpha": 0.9, "beta": 0.4, "r_squared": 0.98, "peak_d": 3.5, ...}},
     "best_of_n": {"points": [{"n": 2, "d": 0.44, "proxy": 0.1, "gold": 0.05}, ...], ...}}

`proxy` is the training overseer's score, `gold` the full-knowledge one, `teacher` that of a learned
overseer's teacher, all above the base policy's; d = √KL from the base policy in √nats. Forms and
estimator: `measures.overoptimization`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from overseers.base import Case, HeldOutOverseer, Overseer, TrainingOverseer, oversee_all
from rlhf_testbed import ledger
from rlhf_testbed.arrays import Floats
from rlhf_testbed.config import RunConfig
from rlhf_testbed.language_model import Language, sampled_responses
from rlhf_testbed.measures.overoptimization import (
    Fit,
    best_of_n,
    fit_best_of_n,
    fit_rl,
    kl_best_of_n,
)

SAMPLES = 64
"""Responses of the base policy to each scenario that best-of-n chooses from."""
NS = (1, 2, 4, 8, 16, 32, 64)
BLOCKS = 12
"""Points of training: the updates of a run are taken together in about so many blocks."""

Points = list[dict[str, float]]
Scores = Mapping[str, Sequence[float]]
"""Of the ledger's rows by name: `proxy`, `gold` and, where the training overseer learned from a
teacher, `teacher`."""


def proxy_and_gold(
    run: RunConfig,
    base: Language,
    training: Points,
    trained_by: TrainingOverseer,
    knowing: HeldOutOverseer,
) -> dict[str, Any]:
    """Points and fits of both means of selection: PPO (`training_points`), and best-of-n."""
    sampled = best_of_n_points(*_base_scores(run, base, trained_by, knowing))
    return {
        "training": {"points": training, **_fits(training)},
        "best_of_n": {"points": sampled, **_fits(sampled)},
    }


def training_points(
    rows: Sequence[ledger.Row], scores: Scores, base: Mapping[str, float]
) -> Points:
    """One point for each block of updates of a ledger, after the base policy's at 0.

    `scores`: of each row; `base`: the base policy's mean scores under the same names, which are
    taken off. Sampled, as training saw it: a response that can't be read counts, too, and a learned
    overseer may think well of it. `update` is the last of the block; d comes from the ledger's KL.
    """
    points: Points = [{"update": 0, "d": 0.0, **dict.fromkeys(base, 0.0)}]
    if not rows:
        return points
    update = np.array([row["update"] for row in rows])
    block = (update - 1) // math.ceil(update.max() / BLOCKS)
    for here in (block == at for at in np.unique(block)):
        kl = float(np.mean([row["kl"] for row, inside in zip(rows, here, strict=True) if inside]))
        means = {of: float(np.asarray(scores[of])[here].mean()) for of in base}
        points.append(
            {
                "update": int(update[here].max()),
                "d": math.sqrt(max(0.0, kl)),
                **{of: mean - base[of] for of, mean in means.items()},
            }
        )
    return points


def best_of_n_points(proxy: Floats, gold: Floats, ns: Sequence[int] = NS) -> Points:
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
        points.append({"n": n, "d": math.sqrt(kl_best_of_n(n)), **best})
    return points


def _base_scores(
    run: RunConfig, base: Language, trained_by: TrainingOverseer, knowing: HeldOutOverseer
) -> tuple[Floats, Floats]:
    """Scores by both overseers [scenarios, samples] of the base policy's responses."""
    task, seed = run.task, run.selection.seed
    scenarios = task.scenarios(run.dials, seed, "held_out", run.testbed.trajectory_scenarios)
    length = max(len(base.response_ids(response)) for response in task.responses)
    repeated = [scenario for scenario in scenarios for _ in range(SAMPLES)]
    responses = sampled_responses(base, [s.prompt for s in repeated], length, seed)
    cases = [
        Case(scenario, response, task.outcome(scenario, response))
        for scenario, response in zip(repeated, responses, strict=True)
    ]
    overseers: tuple[Overseer, ...] = (trained_by, knowing)
    scores = [[verdict.score for verdict in oversee_all(one, cases)] for one in overseers]
    proxy, gold = np.array(scores, dtype=np.float64).reshape(2, len(scenarios), SAMPLES)
    return proxy, gold


def _fits(points: Points) -> dict[str, Any]:
    """Both forms fitted to the gold score; an empty `reason` where they could be."""
    d, gold = ([point[name] for point in points] for name in ("d", "gold"))
    forms: dict[str, Callable[..., Fit]] = {"rl_form": fit_rl, "best_of_n_form": fit_best_of_n}
    found = {name: fit(d, gold)._asdict() for name, fit in forms.items()}
    settled = not math.isnan(found["rl_form"]["alpha"])
    moved = len({round(x, 9) for x in d if x > 0})
    return found | {
        "reason": "" if settled else f"not fitted: {moved} different distances above 0, of 2"
    }
