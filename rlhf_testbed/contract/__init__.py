"""The contract of tasks and overseers, as rules to try on anybody's: `rlhf-testbed check`.

    PASS  my_pkg.my_task:Ledger  prompts are unique: 300 in each split
    FAIL  my_pkg.my_task:Ledger  facts are plain: concealable, and no fact: photo 3

What a rule's subject raises is a failure of that rule, told in one line. Needs no torch. The tests
try all rules on everything built in, and break copies to show that each rule can fail.
"""

from __future__ import annotations

from collections.abc import Mapping

from rlhf_testbed.contract.behaviour import BEHAVIOUR_RULES
from rlhf_testbed.contract.demonstrations import DEMONSTRATION_RULES
from rlhf_testbed.contract.judges import OVERSEER_RULES, check_overseer
from rlhf_testbed.contract.responses import RESPONSE_RULES
from rlhf_testbed.contract.rules import Broken, Result, Rule, tried
from rlhf_testbed.contract.scenarios import SCENARIO_RULES
from rlhf_testbed.tasks.base import Task

TASK_RULES: Mapping[str, Rule[Task]] = {
    **SCENARIO_RULES,
    **RESPONSE_RULES,
    **DEMONSTRATION_RULES,
    **BEHAVIOUR_RULES,
}
"""What holds for every task."""

__all__ = ["OVERSEER_RULES", "TASK_RULES", "Broken", "Result", "check_overseer", "check_task"]


def check_task(task: Task) -> list[Result]:
    """Tries the rules of tasks on one."""
    return tried(TASK_RULES, task)
