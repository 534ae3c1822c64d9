"""Jobs on a Ray cluster that is there: one on this machine, or of any number of machines.

    ray start --head --num-cpus 8                      here, then on other machines:
    ray start --address HEAD:6379
    rlhf-testbed experiment configs/corridor.yaml --engine ray --engine_args cpus=2 memory_gib=4

What talks to the cluster is a process of its own: where a cluster is lost, Ray ends that process,
and not the experiment. It is looked for again, and what was not done is told anew; a run then goes
on from its newest state.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import ray  # noqa: F401  # so that its absence is told before anything is planned

from rlhf_testbed.engine.board import Board
from rlhf_testbed.engine.job import Engine, Job, Orders
from rlhf_testbed.engine.ray_driver import Begun, Finished, Found, Refused, Said, Stepped, drive
from rlhf_testbed.engine.ray_needs import Needs
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.progress import TICK

GRACE = 5.0
"""Seconds that what talks to the cluster has to end."""
AGAIN = 5.0
"""Seconds from one look for a lost cluster to the next."""


class Ray(Engine):
    """Tasks on a Ray cluster.

    Each run is told to need `cpus`, `gpus` and `memory_gib`; a node takes as many at a time as it
    has of these. `address`: the cluster's, by default `RAY_ADDRESS`, else the one on this machine.
    `shared`: "yes" where all nodes must see the experiment's folder, "auto" where what a node that
    doesn't see it has made is fetched back. `patience`: seconds for which a lost cluster is looked
    for.
    """

    summary = "tasks on a Ray cluster"

    def __init__(
        self,
        address: str = "",
        cpus: float = 1.0,
        gpus: float = 0.0,
        memory_gib: float = 0.0,
        shared: str = "auto",
        patience: float = 600.0,
    ) -> None:
        if shared not in ("auto", "yes"):
            raise UsageError(f"--engine_args: shared = {shared} is none of auto, yes")
        for name, value in (("cpus", cpus), ("gpus", gpus), ("memory_gib", memory_gib)):
            if value < 0:
                raise UsageError(f"--engine_args: {name} = {value:g} is not 0 or more")
        self.needs = Needs(address, cpus, gpus, memory_gib, shared == "yes")
        self.patience = patience

    def run(self, jobs: Sequence[Job], orders: Orders = Orders()) -> None:
        """Each job in a process of its own on some node."""
        if not jobs:
            return
        with Board(jobs, orders.workers or 1, "ray", orders) as board:
            left = set(range(len(jobs)))
            lost = time.monotonic()
            found = False
            while left:
                before = len(left)
                with _Driver(board, self.needs, left) as driver:
                    lasted = driver.follow(first=not found)
                found, lost = True, time.monotonic() if lasted or len(left) < before else lost
                if not left:
                    break
                if time.monotonic() - lost > self.patience:
                    raise UsageError(
                        f"the Ray cluster {self.needs.place} is lost, and was not found again in "
                        f"{self.patience:g} s; the same command goes on with what is missing"
                    )
                lost_is = f"the Ray cluster {self.needs.place} is lost (logs/ray.log)"
                board.say(f"{lost_is}, and looked for again")
                time.sleep(AGAIN)
        board.close()


class _Driver:
    """The process that talks to the cluster, told what to do; use as a context."""

    def __init__(self, board: Board, needs: Needs, left: set[int]) -> None:
        self.board, self.left = board, left
        context = multiprocessing.get_context("spawn")
        self.connection: Connection
        self.connection, theirs = context.Pipe()
        told = (theirs, board.jobs, board.orders, needs)
        self.process: Any = context.Process(target=drive, args=told, daemon=True)
        self.process.start()
        theirs.close()

    def __enter__(self) -> _Driver:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self.process.join(GRACE)
        for end in (self.process.terminate, self.process.kill):
            if self.process.is_alive():
                end()
                self.process.join(GRACE)

    def follow(self, first: bool) -> bool:
        """Follows jobs until none is left or the cluster is lost; returns whether it was found.

        Raises `UsageError` where the cluster can't run them, or, the `first` time, is not found.
        """
        found = False
        try:
            self.connection.send(sorted(self.left))
            while self.left:
                if not self.connection.poll(TICK):
                    self.board.tick()
                    continue
                message = self.connection.recv()
                if isinstance(message, Refused) and (first or not message.lost):
                    raise UsageError(message.why)
                found = found or isinstance(message, Found)
                self._heard(message)
        except (EOFError, OSError):
            pass
        return found

    def _heard(self, message: object) -> None:
        if isinstance(message, Found):
            self.board.display.workers = message.at_once
        elif isinstance(message, Said):
            self.board.say(message.what)
        elif isinstance(message, Begun):
            self.board.began(message.at, message.where)
        elif isinstance(message, Stepped):
            self.board.step(message.at, message.step)
        elif isinstance(message, Finished):
            if self.board.ended(message.at, message.failure):
                self.connection.send([message.at])
            else:
                self.left.discard(message.at)
