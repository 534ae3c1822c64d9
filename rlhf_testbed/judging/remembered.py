"""What was said of a case is looked up when the same case comes again.

    asked = RememberedVerdicts(Scripted(Corridor(), Sight(0.0)))
    asked.on(rows)      64 rows, 9 different cases: the overseer is asked about 9
    asked.on(more)      64 rows, of which 60 are known: it is asked about 4

An overseer gives the same view the same verdict, and a task's functions depend on their arguments
only: both are rules that `rlhf-testbed check` tries. Reading a long ledger, most cases have come
before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Generic, Protocol, TypeVar

from rlhf_testbed.judging.episode import refuse_other
from rlhf_testbed.overseers.base import Case, Overseer, oversee_all
from rlhf_testbed.tasks.base import Verdict

MOST = 1 << 15
"""Cases that are remembered; of more, those go that have not come for longest. About 1.5 KB each
where every text is different: 50 MB."""

Answer = TypeVar("Answer")


class Told(Protocol):
    """Something that tells of a case, such as a row of a ledger."""

    @property
    def case_key(self) -> Hashable:
        """What is the same for the same case, and for no other."""

    @property
    def case(self) -> Case:
        """The case itself."""


class Remembered(Generic[Answer]):
    """A pure function of cases, which is asked about each different case once.

    `ask` gives one answer a case, in order; `most`: how many answers are kept.
    """

    def __init__(self, ask: Callable[[Sequence[Case]], Sequence[Answer]], most: int = MOST) -> None:
        self._ask = ask
        self._most = most
        self._kept: OrderedDict[Hashable, Answer] = OrderedDict()

    def on(self, told: Sequence[Told]) -> list[Answer]:
        """The answer on each case."""
        kept = self._kept
        keys = [one.case_key for one in told]
        new = {key: one for key, one in zip(keys, told, strict=True) if key not in kept}
        if new:
            answers = self._ask([one.case for one in new.values()])
            kept.update(zip(new, answers, strict=True))
        found = [kept[key] for key in keys]
        for key in keys:
            kept.move_to_end(key)
        while len(kept) > self._most:
            kept.popitem(last=False)
        return found


class RememberedVerdicts(Remembered[Verdict]):
    """An overseer's verdicts, each different case judged once."""

    def __init__(self, overseer: Overseer, most: int = MOST) -> None:
        super().__init__(partial(oversee_all, overseer), most)
        self._overseer = overseer

    def on(self, told: Sequence[Told]) -> list[Verdict]:
        """The verdict on each case; of several, the last is judged once more.

        Raises `OverseerError` where that is another verdict than before, or breaks a rule.
        """
        found = super().on(told)
        if len(told) > 1:
            again = oversee_all(self._overseer, [told[-1].case])
            refuse_other(self._overseer, found[-1], again[0])
        return found
