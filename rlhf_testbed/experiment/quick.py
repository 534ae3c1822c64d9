"""A quick look at a task's gates: the same questions of less training, within a minute.

    look = quick_look("my_pkg.drawers:Drawers", folder)
    look.smaller    ["a base policy of 600 steps, not 2400", "1920 episodes, not 3840", ...]

It decides no gate. A base policy that is there already, as those that ship are, is looked at as it
is; else a smaller one is built, which is another base policy than that of the gates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rlhf_testbed.experiment.plan import Experiment, plan_gates
from rlhf_testbed.policy.base_policy import is_there
from rlhf_testbed.shared.errors import UsageError

EPISODES = "RL of {} episodes, not {}"
OF_RUN: Mapping[str, tuple[int, str]] = {
    "total_episodes": (2880, EPISODES),
    "held_out_scenarios": (32, "{} held-out scenarios, not {}"),
    "off_distribution_scenarios": (16, ""),
    "generations": (32, ""),
    "checkpoint_every": (0, ""),
    "save_steps": (0, ""),
}
"""Settings, what they are at most, and how that is told where it bears on a gate."""
WITH_A_BASE: Mapping[str, tuple[int, str]] = {
    "base_steps": (600, "a base policy of {} steps, not {}"),
    "demonstrations": (20_000, "{} demonstrations, not {}"),
    **OF_RUN,
    "total_episodes": (1920, EPISODES),
}
"""The same where a base policy has to be built first."""


class QuickLook(NamedTuple):
    """What a quick look runs, and what it has less of than the gates."""

    experiment: Experiment
    smaller: list[str]


def quick_look(of: str, seeds: str, folder: Path) -> QuickLook:
    """The gates of a task, or of an experiment's file, with one base policy and one training seed.

    Raises `UsageError` as `plan_gates` does, and for a model of the user's own.
    """
    full = plan_gates(of, seeds)
    if name := full.run.base.model_name_or_path:
        raise UsageError(f"--quick is for the small model, and {of} has {name} (right: without it)")
    base, *others = full.base_seeds
    asked = full.of_base(full.honest, base)
    given, smaller = _smaller(asked.flat(), OF_RUN if is_there(asked) else WITH_A_BASE)
    planned = plan_gates(of, seeds, str(folder), given)
    if others:
        smaller.append(f"1 base policy, not {1 + len(others)}")
    if len(full.seeds) > 1:
        smaller.append(f"1 training seed, not {len(full.seeds)}")
    return QuickLook(replace(planned, seeds=full.seeds[:1], base_seeds=(base,)), smaller)


def _smaller(
    asked: Mapping[str, Any], settings: Mapping[str, tuple[int, str]]
) -> tuple[list[str], list[str]]:
    """The words that make these settings smaller, and what is said of it."""
    given, told = [], []
    for name, (most, words) in settings.items():
        if asked.get(name, 0) > most:
            given += [f"--{name}", str(most)]
            told += [words.format(most, asked[name])] if words else []
    return given, told
