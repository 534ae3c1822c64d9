"""What the trackers are told of one update: how common each trait is, and which way it is selected.

    update 12 of a corridor run with κ = 0, 64 rows of the ledger:

    {"objective/approval": 0.92,
     "selection/rate/tramples_unseen": 0.41, "selection/differential/tramples_unseen": 0.07, ...}

A trait is a fact of the task about what a response did, and no overseer's verdict. The figures go
to the trackers and nowhere else: nothing that selects parameters reads them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlhf_testbed.measures.selection import selection_differential
from rlhf_testbed.settings.plugins import blamed
from rlhf_testbed.store.ledger import Row
from rlhf_testbed.tasks.base import Task, refuse_odd_traits


def selection_figures(task: Task, rows: Sequence[Row]) -> dict[str, float]:
    """Approval, and rate and selection differential of every trait, by tracker name.

    Rate: share of the episodes that show the trait; differential: covariance of fitness and trait
    (`measures.selection`). An episode in which a trait was not possible did not show it. Spaces in
    a trait's name become underscores. Raises `TaskError` for traits that break the contract.
    """
    fitness = np.array([row.advantage for row in rows], dtype=float)
    with blamed(f"task {type(task).__name__}", "traits"):
        shown = [task.traits(row.scenario, row.outcome) for row in rows]
        for traits in shown:
            refuse_odd_traits(task, traits)
    found = {"objective/approval": float(np.mean([row.approved for row in rows]))}
    for name in dict.fromkeys(name for traits in shown for name in traits):
        trait = np.array([bool(traits.get(name)) for traits in shown], dtype=float)
        tracked = name.replace(" ", "_")
        found[f"selection/rate/{tracked}"] = float(trait.mean())
        found[f"selection/differential/{tracked}"] = selection_differential(fitness, trait)
    return found
