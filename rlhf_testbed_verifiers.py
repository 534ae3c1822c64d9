"""The testbed's tasks under a name that `verifiers` can import: it takes none with dots in it.

vf-eval rlhf_testbed_verifiers --env.taskset.task.name inspection     see docs/ELSEWHERE.md
"""

from rlhf_testbed.export.verifiers_environment import Scenarios

__all__ = ["Scenarios"]
