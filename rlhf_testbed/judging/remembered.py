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
from operator import attrgetter
from typing import Generic, Protocol, TypeVar

from rlhf_testbed.judging.episode import refuse_other
from rlhf_testbed.overseers.base import Case, Overseer, oversee_all
from rlhf_testbed.tasks.base import Verdict

MOST = 1 << 15
"""Things that are remembered; of more, those go that have not come for longest. In a
corridor 1.2 KB each where every text is different: 40 MB."""


class Told(Protocol):
    """Something that tells of a case, such as a row of a ledger."""

    @property
    def case_key(self) -> Hashable:
        """What is the same for the same case, and for no other."""

    @property
    def case(self) -> Case:
        """The case itself."""


Thing = TypeVar("Thing")
Answer = TypeVar("Answer")


class Remembered(Generic[Thing, Answer]):
    """A pure function of things, which is asked about each different one once.

    `ask` gives an answer on each of several things, in order; things with the same `key` are the
    same; `most` answers are kept.
    """

    def __init__(
        self,
        ask: Callable[[Sequence[Thing]], Sequence[Answer]],
        key: Callable[[Thing], Hashable],
        most: int = MOST,
    ) -> None:
        self._ask = ask
        self._key = key
        self._most = most
        self._kept: OrderedDict[Hashable, Answer] = OrderedDict()

    def on(self, things: Sequence[Thing]) -> list[Answer]:
        """The answer on each, in order."""
        kept = self._kept
        keys = [self._key(one) for one in things]
        new = {key: one for key, one in zip(keys, things, strict=True) if key not in kept}
        if new:
            kept.update(zip(new, self._ask(list(new.values())), strict=True))
        found = [kept[key] for key in keys]
        for key in keys:
            kept.move_to_end(key)
        while len(kept) > self._most:
            kept.popitem(last=False)
        return found


def of_cases(
    ask: Callable[[Sequence[Case]], Sequence[Answer]], most: int = MOST
) -> Remembered[Told, Answer]:
    """A pure function of cases, asked about each different one once."""
    return Remembered(lambda told: ask([one.case for one in told]), attrgetter("case_key"), most)


class RememberedVerdicts:
    """An overseer's verdicts, each different case judged once."""

    def __init__(self, overseer: Overseer, most: int = MOST) -> None:
        self._overseer = overseer
        self._kept = of_cases(self._judged, most)

    def on(self, told: Sequence[Told]) -> list[Verdict]:
        """The verdict on each case; of several, the last is judged once more.

        Raises `OverseerError` where that is another verdict than before, or breaks a rule.
        """
        found = self._kept.on(told)
        if len(told) > 1:
            refuse_other(self._overseer, found[-1], self._judged([told[-1].case])[0])
        return found

    def _judged(self, cases: Sequence[Case]) -> list[Verdict]:
        return oversee_all(self._overseer, cases)
