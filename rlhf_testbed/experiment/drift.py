"""Selection or drift: each arm beside itself with scores dealt out at random.

    beside(results of runs/corridor, results of runs/corridor-drift, bounds)
    [Drift(arm="both", threat="threat_2", selected=1.02 [...], dealt=0.05 [...], share=0.05, ...)]

With scores dealt out no trait has a selection differential in expectation. What a threat shows then
is the base policy's bias and drift, as a neutral trait drifts in a finite population; what an arm
shows beyond that is selection. Runs are matched by base policy and training seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from rlhf_testbed.experiment.contrasts import contrast_of
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store.experiment_records import ArmResults, Contrast, Drift, Results

DEALT = "scores dealt out"
"""Stands behind an arm's name where it is the control's."""


def beside(results: Results, control: Results, bounds: Mapping[str, float]) -> list[Drift]:
    """Each arm and threat of an experiment beside its control; raises `UsageError`.

    `bounds`: by threat, the difference within which both are equivalent.
    """
    both = [name for name in results.arms if name in control.arms]
    if control.task != results.task or not both:
        raise UsageError(
            f"the control is of {control.task}: {', '.join(control.arms)} "
            f"(right: of {results.task}, one of {', '.join(results.arms)})"
        )
    arms = {**results.arms, **{f"{name}, {DEALT}": control.arms[name] for name in both}}
    pairs = [(f"{name}, {DEALT}", name) for name in both]
    return [
        _drift(results.arms[found.arms[1]], arms[found.arms[0]], found)
        for found in contrast_of(arms, "scores", pairs, bounds)
    ]


def _drift(arm: ArmResults, control: ArmResults, found: Contrast) -> Drift:
    threat = found.threat
    selected, dealt = arm.figures[threat], control.figures[threat]
    return Drift(
        arm=found.arms[1],
        threat=threat,
        selected=selected,
        dealt=dealt,
        share=dealt.mean / selected.mean if selected.mean else math.nan,
        spread=_spread(arm.runs.figure(threat)),
        spread_dealt=_spread(control.runs.figure(threat)),
        late_spread=_mean(arm.runs.figure(f"{threat}_late_spread")),
        late_spread_dealt=_mean(control.runs.figure(f"{threat}_late_spread")),
        contrast=found,
    )


def _spread(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
