"""The table of generations that a tracker is shown now and then: what was written, and what of it
the training overseer approved.

    update 10, one row of 16:

    {"prompt": "corridor 0 4 1 7 left pit ...", "response": "right walk jump walk walk",
     "score": 1.0, "approved": True, "reason": "reached the coin", "advantage": 0.83,
     "traits": "tramples unseen, heads right"}

The rows are some of the update's own episodes: nothing is sampled for them, and no random number is
drawn. They are those of the ledger, which holds the training overseer's verdicts and no other's.
"""

from __future__ import annotations

import html
import importlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rlhf_testbed.selection.method import Method
from rlhf_testbed.store.ledger import Row
from rlhf_testbed.tasks.base import Task

if TYPE_CHECKING:
    import pandas as pd

NAME = "generations"
COLUMNS = ("prompt", "response", "score", "approved", "reason", "advantage", "traits")
DIGITS = 4
"""After the point, of a score and an advantage."""
SIGNS = re.compile(r"[\\`*_\[\]|]")
"""What Markdown would read as more than a letter."""


def tracked_table(
    method: Method[Any, Any], task: Task, update: int, rows: Sequence[Row]
) -> dict[str, Any]:
    """The table of an update under its name, as the method's tracker takes it; none where it is no
    time for one."""
    if method.is_main and method.tracked_generations and _due(method, update):
        frame = as_frame(task, spread(rows, method.tracked_generations))
        return {NAME: _for_tracker(method.tracker, frame)}
    return {}


def _due(method: Method[Any, Any], update: int) -> bool:
    """At the first update, which the base policy wrote, at checkpoints, and at the last one."""
    every = method.checkpoint_every
    return update in (1, method.updates) or bool(every and update % every == 0)


def spread(rows: Sequence[Row], most: int) -> list[Row]:
    """So many rows at most, evenly spread over all: of several completions to a scenario not all.

    >>> spread(range(64), 4)
    [0, 16, 32, 48]
    >>> spread(range(3), 4)
    [0, 1, 2]
    """
    count = min(most, len(rows))
    return [rows[at * len(rows) // count] for at in range(count)]


def as_frame(task: Task, rows: Sequence[Row]) -> pd.DataFrame:
    """A row an episode, in `COLUMNS`; `traits` names those that it shows."""
    import pandas as pd  # of those that are tracked only: a third of a second

    told = [
        (
            row.prompt,
            row.response,
            round(row.score, DIGITS),
            row.approved,
            row.reason,
            round(row.advantage, DIGITS),
            ", ".join(n for n, shown in task.traits(row.scenario, row.outcome).items() if shown),
        )
        for row in rows
    ]
    return pd.DataFrame(told, columns=list(COLUMNS))


def _for_tracker(tracker: str, frame: pd.DataFrame) -> Any:
    """A table of trackio or wandb, which are called alike; TensorBoard shows Markdown."""
    if tracker == "tensorboard":
        return as_markdown(frame)
    return importlib.import_module(tracker).Table(dataframe=frame)


def as_markdown(frame: pd.DataFrame) -> str:
    """A frame as a table in Markdown, whatever its texts hold.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"response": ["a|b <i>", "two\\nlines"], "score": [1, 0.5]})
    >>> print(as_markdown(frame))
    | response | score |
    | --- | --- |
    | a\\|b &lt;i&gt; | 1 |
    | two<br>lines | 0.5 |
    """
    head = [list(frame.columns), ["---"] * len(frame.columns)]
    rows = [[_cell(value) for value in row] for row in frame.itertuples(index=False)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [*head, *rows])


def _cell(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return SIGNS.sub(r"\\\g<0>", html.escape(text, quote=False)).replace("\n", "<br>")
