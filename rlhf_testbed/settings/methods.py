"""The selection methods by name. To add one: one file in `selection/`, and one line here.

    --method best_of_n --completions 16
    --method my_pkg.my_method:Mine

A method is named by the dotted path of its class, which is imported when it is asked for: its
file says which settings it has, and imports torch only where it runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rlhf_testbed.settings.plugins import class_at
from rlhf_testbed.shared.errors import UsageError, looked_up

if TYPE_CHECKING:
    from rlhf_testbed.selection.method import Method

METHODS = {
    "ppo": "rlhf_testbed.selection.ppo:PPO",
    "grpo": "rlhf_testbed.selection.grpo:GRPO",
    "rloo": "rlhf_testbed.selection.rloo:RLOO",
    "expert_iteration": "rlhf_testbed.selection.expert_iteration:ExpertIteration",
    "raft": "rlhf_testbed.selection.raft:RAFT",
    "best_of_n": "rlhf_testbed.selection.best_of_n:BestOfN",
}
DEFAULT_METHOD = "ppo"
_DECLARED = ("summary", "settings")
"""Class attributes that every method has."""


def method_class(name: str, what: str = "method") -> type[Method[Any, Any]]:
    """The selection method of that name or dotted path; raises `UsageError`."""
    path = name if ":" in name else looked_up(what, name, METHODS)
    found: type[Method[Any, Any]] = class_at(path, f"{what} {name}")
    lacking = [each for each in _DECLARED if not hasattr(found, each)]
    lacking += sorted(getattr(found, "__abstractmethods__", ()))
    if lacking:
        raise UsageError(f"{what} {name}: lacks {', '.join(lacking)}")
    return found
