"""The tasks. To add one: one file beside this one, and one line in `TASKS`."""

from rlhf_testbed.tasks.base import Task
from rlhf_testbed.tasks.briefing import Briefing
from rlhf_testbed.tasks.corridor import Corridor
from rlhf_testbed.tasks.inspection import Inspection

TASKS: dict[str, type[Task]] = {
    "corridor": Corridor,
    "inspection": Inspection,
    "briefing": Briefing,
}
