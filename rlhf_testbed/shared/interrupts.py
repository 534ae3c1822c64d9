"""Interrupts: the first Ctrl-C or SIGTERM ends a program in good order, a second does no harm.

with interruptible():
    ...    raises Interrupted here, once; its status is 130 after Ctrl-C, 143 after SIGTERM
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

PATIENCE = 5.0
"""Seconds for which further signals are of no account. After that they count again: the first may
have been swallowed by code that catches everything."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM was received; code that knows only of KeyboardInterrupt ends by it, too."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


class Received:
    """What `interruptible` received."""

    number: int | None = None
    """Of the first signal."""

    def again(self) -> NoReturn:
        """Raises the interrupt once more, where a library made something else of it."""
        raise Interrupted(self.number or signal.SIGINT)


def status_of(error: KeyboardInterrupt) -> int:
    """The exit status that tells of an interrupt: 128 and the number of the signal."""
    return error.status if isinstance(error, Interrupted) else 128 + signal.SIGINT


@contextmanager
def interruptible() -> Iterator[Received]:
    """Raises `Interrupted` in the main thread at the first Ctrl-C or SIGTERM.

    A signal that whoever started the program wants ignored stays ignored. After an interrupt the
    handlers stay, since the program is about to end, and may be interrupted once more meanwhile.
    """
    told = Received()
    if threading.current_thread() is not threading.main_thread():
        yield told  # only the main thread can be told of signals
        return
    last = -math.inf

    def received(number: int, _: FrameType | None) -> None:
        nonlocal last
        if time.monotonic() - last > PATIENCE:
            last, told.number = time.monotonic(), told.number or number
            raise Interrupted(number)

    signals = [
        number
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) not in (signal.SIG_IGN, None)
    ]
    before = {number: signal.signal(number, received) for number in signals}
    try:
        yield told
    finally:
        if told.number is None:
            for number, handler in before.items():
                signal.signal(number, handler)
