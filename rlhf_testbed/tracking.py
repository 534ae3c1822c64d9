"""What the trackers are told of selection: how common each trait is, and which way it is selected.

    update 12 of a corridor run with κ = 0, 64 rows of the ledger:

    {"selection/rate/tramples_unseen": 0.41, "selection/differential/tramples_unseen": 0.07,
     "selection/rate/tramples_seen": 0.09, "selection/differential/tramples_seen": -0.05, ...}

A trait is a fact of the task about what a response did, and no overseer's verdict. The figures go
to the trackers and nowhere else: nothing that selects parameters reads them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlhf_testbed import ledger
from rlhf_testbed.measures.selection import selection_differential
from rlhf_testbed.plugins import blamed
from tasks.base import Task, refuse_odd_traits


def selection_figures(task: Task, rows: Sequence[ledger.Row]) -> dict[str, float]:
    """Rate and selection differential of every trait in one update's rows, by tracker name.

    Rate: share of the episodes that show the trait; differential: covariance of advantage and trait
    (`measures.selection`). An episode in which a trait was not possible did not show it, as in
    `history.py`. Spaces in a trait's name become underscores. Raises `TaskError` for traits that
    break the contract.
    """
    advantages = np.array([row["advantage"] for row in rows], dtype=float)
    with blamed(f"task {type(task).__name__}", "traits"):
        shown = [task.traits(ledger.scenario_of(row), ledger.outcome_of(row)) for row in rows]
        for traits in shown:
            refuse_odd_traits(task, traits)
    found: dict[str, float] = {}
    for name in dict.fromkeys(name for traits in shown for name in traits):
        trait = np.array([bool(traits.get(name)) for traits in shown], dtype=float)
        tracked = name.replace(" ", "_")
        found[f"selection/rate/{tracked}"] = float(trait.mean())
        found[f"selection/differential/{tracked}"] = selection_differential(advantages, trait)
    return found
