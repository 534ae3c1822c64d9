"""The process that talks to a Ray cluster: looks at its nodes, hands out jobs, tells what becomes
of them.

    parent -> [0, 1, 2, ...]         jobs to be done, by number; again for one that is tried again
    parent <- Found, Begun, Stepped, Finished; or Refused

It ends with its parent, and by Ray's hand where the cluster is lost.
"""

from __future__ import annotations

import os
import signal
import socket
import time
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray.exceptions import OutOfMemoryError, RayError, RaySystemError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from rlhf_testbed.engine.board import log_of
from rlhf_testbed.engine.job import Failure, Job, Orders
from rlhf_testbed.engine.place import Sent
from rlhf_testbed.engine.ray_needs import Needs, refuse_unlike, told
from rlhf_testbed.engine.ray_node import Heard, attend
from rlhf_testbed.engine.shipping import Shared, pack, unpack
from rlhf_testbed.engine.worker import Ended, printed_to
from rlhf_testbed.shared.errors import UsageError, places_told
from rlhf_testbed.shared.progress import TICK, Step

AHEAD = 2
"""Jobs that wait at the cluster, for each that runs there: none stands idle between two."""
KNOCK = 10.0
"""Seconds that the head of a cluster has to answer at all."""
LOOK = 30.0
"""Seconds that all nodes have to answer."""


class Found(NamedTuple):
    """The cluster is found, and takes so many jobs at a time."""

    at_once: int


class Begun(NamedTuple):
    """A job is under way on a node."""

    at: int
    where: str


class Stepped(NamedTuple):
    """A job has made a step."""

    at: int
    step: Step


class Finished(NamedTuple):
    """A job has ended, well without a failure."""

    at: int
    failure: Failure | None


class Said(NamedTuple):
    """Something that whoever started the experiment should know."""

    what: str


class Refused(NamedTuple):
    """The cluster can't run the jobs, or is not found (`lost`)."""

    why: str
    lost: bool


def drive(connection: Connection, jobs: Sequence[Job], orders: Orders, needs: Needs) -> None:
    """The process: until its parent has no more for it to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    log = orders.folder / "logs" / "ray.log" if orders.folder else None
    with printed_to(log), suppress(EOFError, BrokenPipeError):
        try:
            _knock(needs)
            ray.init(address=needs.address or "auto", log_to_driver=False, logging_level="ERROR")
        except (OSError, RuntimeError, ValueError) as error:
            connection.send(Refused(_no_cluster(needs, error), lost=True))
            return
        try:
            with places_told(), _tokens(orders) as folders:
                _Driver(connection, jobs, orders, needs, folders).work()
        except UsageError as error:
            connection.send(Refused(str(error), lost=False))


def _knock(needs: Needs) -> None:
    """Raises `OSError` where nobody listens at a given address; Ray would try for minutes."""
    host, _, port = (needs.address or os.environ.get("RAY_ADDRESS", "")).rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=KNOCK).close()


def _no_cluster(needs: Needs, error: Exception) -> str:
    return (
        f"--engine ray: there is no Ray cluster {needs.place} ({_first(error)}): start one with "
        "`ray start --head`, or name it with RAY_ADDRESS or --engine_args address=HOST:PORT"
    )


@contextmanager
def _tokens(orders: Orders) -> Iterator[list[Shared]]:
    """The folders that jobs file in, each with a file by which a node tells that it sees it."""
    folders = []
    try:
        for variable, folder in (("", orders.folder), *orders.caches.items()):
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                token = f".seen-{uuid.uuid4().hex[:12]}"
                one = Shared(folder, folder.absolute(), token, variable)
                (folder / one.token).touch()
                folders.append(one)
        yield folders
    finally:
        for one in folders:
            (one.folder / one.token).unlink(missing_ok=True)


class _Driver:
    """Jobs handed out to a cluster and followed."""

    def __init__(
        self,
        connection: Connection,
        jobs: Sequence[Job],
        orders: Orders,
        needs: Needs,
        folders: list[Shared],
    ) -> None:
        self.connection, self.jobs, self.orders, self.folders = connection, jobs, orders, folders
        self.waiting: deque[int] = deque()
        self.under_way: dict[Any, int] = {}
        self.packed: dict[Path, Any] = {}
        able = needs.met_by([node for node in ray.nodes() if node["Alive"]])
        self.names = {node["NodeID"]: told(node) for node in ray.nodes()}
        answers = _answers(able, folders, orders.preload)
        nodes = [node for node in able if told(node) in answers]
        for node in able:
            if node not in nodes:
                connection.send(Said(f"{told(node)} does not answer, and is left out"))
        self.unseen = _unseen(answers, folders, needs)
        self.where: dict[int, str] = {}
        self.at_once = min(orders.workers or needs.at_once(nodes), len(jobs))
        # On this very node: where it is lost, so is this process.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self.heard = ray.remote(Heard).options(num_cpus=0, scheduling_strategy=here).remote()
        self.task = ray.remote(attend).options(max_retries=0, **needs.options)
        connection.send(Found(self.at_once))

    def work(self) -> None:
        """Until the parent is gone, or the cluster is."""
        most = self.at_once if self.orders.workers else self.at_once * AHEAD
        while True:
            while self.connection.poll(0 if self.under_way else TICK):
                self.waiting += self.connection.recv()
            while self.waiting and len(self.under_way) < most:
                at = self.waiting.popleft()
                self.under_way[self._handed_out(at)] = at
            if self.under_way:
                ray.wait(list(self.under_way), timeout=TICK)
                ended, _ = ray.wait(
                    list(self.under_way), num_returns=len(self.under_way), timeout=0
                )
                self._tell_steps()
                for one in ended:
                    self._tell_end(one, self.under_way.pop(one))

    def _handed_out(self, at: int) -> Any:
        job = self.jobs[at]
        reads = [(path, self._reference(path, job)) for path in (*job.reads, job.makes) if path]
        there = [(path, packed) for path, packed in reads if packed is not None]
        log = log_of(job, self.orders)
        told = (at, Sent.of(job), log, job.makes, there, self.folders, self.orders.preload)
        return self.task.remote(*told, self.heard)

    def _reference(self, path: Path, job: Job) -> Any:
        """What a place holds, in the cluster's store; None where every node sees the place.

        What jobs share is put there once, and their own, which changes, each time.
        """
        if not path.exists() or not any(one.folder in path.parents for one in self.unseen):
            return None
        if path == job.makes:
            return ray.put(pack({path: path}))
        if path not in self.packed:
            self.packed[path] = ray.put(pack({path: path}))
        return self.packed[path]

    def _tell_steps(self) -> None:
        under_way = set(self.under_way.values())
        for at, node, step in ray.get(self.heard.all.remote(), timeout=LOOK):
            if at in under_way:
                self.where[at] = self.names.get(node) or self._looked_up(node)
                self.connection.send(Stepped(at, step) if step else Begun(at, self.where[at]))

    def _looked_up(self, node_id: str) -> str:
        """The name of a node that joined later."""
        self.names |= {node["NodeID"]: told(node) for node in ray.nodes()}
        return self.names.get(node_id, f"node {node_id[:8]}")

    def _tell_end(self, reference: Any, at: int) -> None:
        title = self.jobs[at].title
        failure: Failure | None
        try:
            outcome = ray.get(reference)
            unpack(outcome.packed)
            failure = None if isinstance(outcome.told, Ended) else outcome.told
        except RaySystemError:
            raise
        except OutOfMemoryError as error:
            failure = Failure(title, f"out of memory: {_first(error)}", usage=False)
        except RayError as error:
            failure = Failure(title, f"its node or process was lost: {_first(error)}", usage=False)
        if failure and len(self.names) > 1 and at in self.where:
            failure = failure._replace(said=f"on {self.where[at]}: {failure.said}")
        self.connection.send(Finished(at, failure))


def _answers(
    nodes: Sequence[Any], folders: Sequence[Shared], preload: Sequence[str]
) -> dict[str, tuple[dict[str, str], list[bool]]]:
    """What each node has that results depend on, and which of the folders it sees.

    A node that does not answer is left out: it may just be lost. Each begins to import what jobs
    will want, which takes seconds.
    """

    def look(seen: Sequence[str]) -> tuple[dict[str, str], list[bool]]:
        """Runs on a node, which may lack the package: so it needs none of it."""
        import os

        try:
            from rlhf_testbed.shared.versions import alike

            there = alike()

            from rlhf_testbed.engine.server import start_server

            start_server(preload)
        except Exception as error:
            there = {"error": f"{type(error).__name__}: {error}"}
        return there, [os.path.isfile(file) for file in seen]

    tokens = [str(one.absolute / one.token) for one in folders]
    task, asked = ray.remote(look), {}
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        options = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": there}
        asked[told(node)] = task.options(**options).remote(tokens)
    answers = {}
    until = time.monotonic() + LOOK
    for name, reference in asked.items():
        with suppress(RayError):
            answers[name] = ray.get(reference, timeout=max(0.1, until - time.monotonic()))
    return answers


def _unseen(
    answers: dict[str, tuple[dict[str, str], list[bool]]], folders: Sequence[Shared], needs: Needs
) -> list[Shared]:
    """The folders that some node does not see.

    Raises `UsageError` where no node answers, where one's package is not this one, or, if all must
    be shared, where one does not see them.
    """
    if not answers:
        raise UsageError(f"--engine ray: no node of the Ray cluster {needs.place} answers")
    for name, (there, seen) in answers.items():
        refuse_unlike(name, there)
        for one, sees in zip(folders, seen, strict=True):
            if needs.shared and not sees and not one.variable:
                raise UsageError(
                    f"{name}: does not see {one.absolute} (right: a folder that all nodes share, "
                    "or --engine_args shared=auto, which fetches results back)"
                )
    return [
        one for at, one in enumerate(folders) if not all(seen[at] for _, seen in answers.values())
    ]


def _first(error: Exception) -> str:
    """The first sentence of what Ray says, which goes on with advice."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line.partition(". ")[0]
