"""Names that are no setting, and what to say of each: an old name, a trainer's, another method's.

why_not("population", "ppo")   "is now called unintended_share"
why_not("max_steps", "ppo")    "has no effect here: total_episodes says how long training goes on"
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from rlhf_testbed.settings.methods import METHODS, method_class

RENAMED: Mapping[str, str] = {
    "population": "unintended_share",
    "population_steps": "base_steps",
    "population_batch_size": "base_batch_size",
    "population_learning_rate": "base_learning_rate",
    "population_seed": "base_seed",
    "probes": "off_distribution_scenarios",
    "probe_samples": "response_samples",
    "trajectory_scenarios": "held_out_scenarios",
    "checkpoint_scenarios": "held_out_scenarios",
    "keep_every": "checkpoint_every",
}
"""Settings of earlier versions, and what they are called now."""


def why_not(name: str, method: str) -> str | None:
    """Why a name is no setting of a run with that method; None where nothing is known of it."""
    if name in RENAMED:
        return f"is now called {RENAMED[name]}"
    kind = method_class(method)
    if name in kind.no_effect:
        return f"has no effect here: {kind.no_effect[name]}"
    for other in METHODS:
        names = {field.name for field in dataclasses.fields(method_class(other).settings)}
        if name in names and other != method:
            return f"is a setting of method {other}, and the method here is {method}"
    if name in kind.names_of_trainer():
        return "has no effect here: it is a trainer's setting that nothing here reads"
    return None
