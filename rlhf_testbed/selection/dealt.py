"""Drift control: an update's verdicts are dealt out at random before they become fitness.

    --scores shuffled

    judged    1.0   0.4   1.0   -0.6     filed in the ledger: what the overseer says of each
    dealt     0.4   1.0   -0.6   1.0     what becomes fitness, of this update alone

The spread of the scores is the same, and no trait has a selection differential in expectation:
what then changes from update to update is drift, as of a neutral trait in a finite population. The
KL penalty stays each episode's own, and is all that is still selected for.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from accelerate import PartialState
from accelerate.utils import gather_object

from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.tasks.base import Verdict

Deal: TypeAlias = Callable[[int, Sequence[Verdict]], Sequence[Verdict]]
"""From an update and the verdicts on this process's episodes to those that become fitness."""


def as_judged(update: int, verdicts: Sequence[Verdict]) -> Sequence[Verdict]:
    """Each episode's own verdict."""
    return verdicts


def deal_of(run: RunConfig) -> Deal:
    """What a run's settings say of its scores."""
    return as_judged if run.selection.scores == "overseer" else partial(dealt, run.seed)


def dealt(seed: int, update: int, verdicts: Sequence[Verdict]) -> Sequence[Verdict]:
    """The verdicts of one update, dealt out among its episodes in all processes.

    Depends on the training seed, the update and the verdicts alone, so that a run which goes on
    from a state deals as one that was never stopped; all processes must call this.
    """
    here, counts = PartialState().process_index, gather_object([len(verdicts)])
    every: list[Verdict] = gather_object(list(verdicts))
    random.Random(f"scores {seed} {update}").shuffle(every)
    first = sum(counts[:here])
    return every[first : first + counts[here]]
