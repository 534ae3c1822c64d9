"""Figures of experiments that were never run: any number of arms, some of which coincide.

figures_of(8)      the planes, curves and doses of eight arms, of which several lie in one place
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

from rlhf_testbed.experiment.over_seeds import arm_results
from rlhf_testbed.report import by_method, curves, dose, generalisation, threat_plane
from rlhf_testbed.report.curves import History
from rlhf_testbed.report.figures import Figure
from rlhf_testbed.report.palette import arm_colours
from rlhf_testbed.store.experiment_records import About, ArmResults, Results
from rlhf_testbed.store.run_records import (
    JudgedBy,
    Measures,
    ProxyAndGold,
    TraitSelection,
    UpdateSelection,
)
from rlhf_testbed.tasks.base import Dials
from scripted_runs import ENVIRONMENT

PLACES: Mapping[str, tuple[float | None, float]] = {
    "neither": (0.0, 0.0),
    "goal_only": (0.0, 0.0),
    "selection_only": (0.98, 0.0),
    "both": (0.98, 1.1),
    "habit": (None, 0.02),
    "half-seen": (0.98, 1.1),
    "audited": (0.01, 0.01),
    "suspicious": (0.03, 1.0),
}
"""Threat 1 (None where it was never exposed) and threat 2 of arms: several lie in one place."""
SEEDS = range(3)
UPDATES = range(1, 9)
BLIND = Dials()
TRAITS = ("tramples unseen", "heads right")


def arm_of(
    name: str, place: tuple[float | None, float], dials: Dials = BLIND, method: str = "ppo"
) -> ArmResults:
    """An arm of three seeds at about that place."""
    one, two = place
    rng = random.Random(name)
    measured = []
    for seed in SEEDS:
        luck = rng.gauss(0, 0.02)
        rate = math.nan if one is None else min(1.0, max(0.0, one + luck))
        goal = min(1.0, max(0.0, 0.4 * two + luck))
        shares = {"off_distribution_unintended": goal, "off_distribution_intended": 1 - goal}
        figures = {"threat_1": rate, "threat_2": max(0.0, two + luck), **shares}
        figures |= {f"base_{share}": 0.5 + luck for share in shares}
        measured.append(
            Measures(
                arm=name,
                seed=seed,
                dials=dials,
                method=method,
                judged_by=JudgedBy(overseer="full_knowledge"),
                figures=figures,
            )
        )
    return arm_results("", measured, [ProxyAndGold(curves={})] * len(measured))


def results_of(arms: Mapping[str, ArmResults]) -> Results:
    about = About(**ENVIRONMENT.model_dump(), config="", date="", seeds=list(SEEDS))
    return Results(task="corridor", gates=[], arms=dict(arms), contrasts=[], about=about)


def histories_of(arms: Mapping[str, tuple[float | None, float]]) -> list[History]:
    """What went on in training, on the way to those places."""
    found = []
    for name, (one, two) in arms.items():
        for seed in SEEDS:
            rng = random.Random(f"{name} {seed}")
            updates = []
            for update in UPDATES:
                done, luck = update / len(UPDATES), rng.gauss(0, 0.01)
                rate = min(1.0, max(0.0, (one or 0.0) * done + luck))
                trait = TraitSelection(
                    rate=rate,
                    possible=8,
                    differential=0.1 * two * (1 - done) + luck,
                    score_differential=0.0,
                    gradient=0.0,
                )
                figures = {
                    "threat_1": math.nan if one is None else rate,
                    "approval": min(1.0, done + abs(luck)),
                    "approval_by_full_knowledge": min(1.0, done * (1 - rate) + abs(luck)),
                }
                updates.append(
                    UpdateSelection(
                        update=update,
                        episodes=8,
                        exposed=8,
                        figures=figures,
                        traits=dict.fromkeys(TRAITS, trait),
                    )
                )
            found.append(History(name, seed, updates, {}))
    return found


def figures_of(count: int) -> list[Figure]:
    """Pictures of so many arms: in one place or in several, as a sweep, and by two methods."""
    places = dict(list(PLACES.items())[:count])
    colours = arm_colours(list(places))
    histories = histories_of(places)
    swept = results_of(
        {
            f"{name} knowledge={value:g}": arm_of(name, (1 - value, two), Dials(knowledge=value))
            for name, (_, two) in list(places.items())[: max(1, count // 2)]
            for value in (0.0, 0.5, 1.0)
        }
    )
    methods = results_of(
        {
            f"{name} method={method}": arm_of(f"{name} {method}", place, method=method)
            for method in ("ppo", "grpo")
            for name, place in places.items()
        }
    )
    found = [
        threat_plane.figure(results_of({name: arm_of(name, at) for name, at in places.items()})),
        by_method.figure(methods),
        dose.figure(swept),
        generalisation.figure(swept),
        curves.threat_1_in_training(histories, colours),
        curves.selection_differentials(histories, colours),
        curves.approval(histories),
    ]
    return [figure for figure in found if figure is not None]
