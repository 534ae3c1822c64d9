"""What the processes of one launch know of each other, through torch's store.

    launch = Launch()              of torchrun, by its environment: rank 1 of 2
    launch.speaks_for("disk full") whether this process is the first that tells of a failure
    launch.gone()                  [0]: rank 0 has ended without a word (killed)

A process that waits in a collective can't be told anything, and notices the end of another one at
once (gloo) or never (NCCL). So a thread of each looks at the store, and ends its process where
another one has failed, or where the launcher wants it to end, and it doesn't by itself.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping

from torch.distributed import DistError, PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

ENVIRONMENT = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""By these a process learns of its launch."""
BEAT = 1.0
"""Seconds between two signs of life."""
SILENT = 4.0
"""Seconds without one after which a process is called gone, where something has gone wrong. By
itself silence ends nobody: one that is busy in a library written in C may give no sign."""
GRACE = 8.0
"""Seconds that a process has to end by itself, once it must."""
MEANWHILE = 1.0
"""Seconds by which the first process is ahead in telling of a failure that all have."""
POLL = 0.1
"""Seconds between two looks of a process that waits."""
FAILED, INTERRUPTED = "failed", "interrupted"


class AnotherFailed(Exception):
    """Another process of the launch has failed, and says why."""


class Launch:
    """This process among the others of its launch. What it asks of the store raises `DistError`
    where the launcher, which keeps it, is gone."""

    def __init__(self) -> None:
        store, self.rank, self.size = next(rendezvous("env://"))
        self.store = PrefixStore("rlhf_testbed", store)
        self.own_name = self._name(self.rank, socket.gethostname())
        self.store.set(f"host {self.rank}", socket.gethostname())
        self._ended = threading.Event()
        self._woken, wakes = os.pipe()
        os.set_blocking(wakes, False)
        # Written to by Python at every signal, even while the main thread is deep in a library.
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, daemon=True).start()

    @staticmethod
    def there() -> bool:
        """Whether this process was launched with others."""
        told = [os.environ.get(name) for name in ENVIRONMENT]
        return all(told) and int(os.environ["WORLD_SIZE"]) > 1

    def name(self, rank: int) -> str:
        """A process in words: rank 1 of 2 on gpu-17."""
        joined = self.store.check([f"host {rank}"])
        host = self.store.get(f"host {rank}").decode() if joined else "an unknown host"
        return self._name(rank, host)

    def failed(self) -> bool:
        """Whether a process has told of a failure."""
        return bool(self.store.check([FAILED]))

    def speaks(self) -> bool:
        """Whether this process is the first that tells of a failure."""
        own = str(self.rank)
        return bool(self.store.compare_set(FAILED, "", own).decode() == own)

    def interrupt(self) -> None:
        """Says that this process was interrupted."""
        self.store.set(INTERRUPTED, "")

    def interrupted(self) -> bool:
        """Whether a process was interrupted."""
        return bool(self.store.check([INTERRUPTED]))

    def leave(self) -> None:
        """Says that this process ends, whatever the reason."""
        self.store.set(f"left {self.rank}", "")

    def gone(self) -> list[int]:
        """The other processes that give no sign of life, and have not said that they end."""
        silent: Mapping[int, int] = {
            rank: self._beats(rank) for rank in range(self.size) if rank != self.rank
        }
        until = time.monotonic() + SILENT
        while silent and time.monotonic() < until:
            time.sleep(POLL)
            silent = {
                rank: beats
                for rank, beats in silent.items()
                if self._beats(rank) == beats and not self.store.check([f"left {rank}"])
            }
        return sorted(silent)

    def reach(self, place: str) -> None:
        """Says that this process has reached a place."""
        self.store.add(f"at {place}", 1)

    def wait(self, place: str, processes: int) -> None:
        """Waits, however long it takes, until so many processes have reached a place.

        Raises `AnotherFailed` where one fails instead. A collective would be cut short by the
        group's time limit, and could not be interrupted.
        """
        while self.store.add(f"at {place}", 0) < processes:
            if self.failed():
                raise AnotherFailed
            time.sleep(POLL)

    def end(self) -> None:
        """Ends the watch, where all processes have come to a good end."""
        self._ended.set()
        signal.set_wakeup_fd(-1)

    def tell_of_gone(self) -> bool:
        """Says which processes have ended without a word, unless another says it; whether any
        have."""
        if gone := [self.name(rank) for rank in self.gone()]:
            if self.speaks():
                said = "ended without a word (killed from outside, or out of memory?)"
                print(f"error: {', '.join(gone)} {said}", file=sys.stderr, flush=True)
            return True
        return False

    def tell_of_launcher(self) -> None:
        """Says that the launcher is gone; no process knows of the others then."""
        print(f"error: {self.own_name}: the launcher is gone", file=sys.stderr, flush=True)

    def _name(self, rank: int, host: str) -> str:
        return f"rank {rank} of {self.size} on {host}"

    def _beats(self, rank: int) -> int:
        return int(self.store.add(f"beat {rank}", 0))

    def _watch(self) -> None:
        """Gives signs of life, and ends the process where it must end and does not."""
        try:
            while not self._must_end():
                if self._ended.is_set():
                    return
                self.store.add(f"beat {self.rank}", 1)
            self._beat_for(GRACE)
            if not self.failed():
                self.tell_of_gone()
        except DistError:  # nobody will end the others
            if self._ended.is_set():
                return
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(GRACE)
            self.tell_of_launcher()
        os._exit(1)

    def _must_end(self) -> bool:
        """Waits for a beat; whether another process failed, or a signal wants this one to end."""
        if select.select([self._woken], [], [], BEAT)[0]:
            return bool({signal.SIGINT, signal.SIGTERM} & set(os.read(self._woken, 64)))
        return self.failed()

    def _beat_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.store.add(f"beat {self.rank}", 1)
            time.sleep(BEAT)
