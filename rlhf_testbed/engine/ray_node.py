"""What runs on a node of a Ray cluster: a job in a process of its own, and its files sent back
where the experiment's folder is not seen.

A task tells of its steps through an actor; what it returns is how the job ended, and the files.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ray

from rlhf_testbed.engine.job import Failure
from rlhf_testbed.engine.local import Attended
from rlhf_testbed.engine.place import Sent
from rlhf_testbed.engine.server import start_server
from rlhf_testbed.engine.shipping import Packed, Shared, StandIns, pack, unpack
from rlhf_testbed.engine.worker import Ended
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.progress import Step

GPUS = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
"""By these a task is told which GPUs are its own."""
EVERY = 1.0
"""Seconds from one step that is told to the next, at least."""


class Heard:
    """An actor that keeps what tasks tell until the driver asks."""

    def __init__(self) -> None:
        self._told: list[tuple[int, str, Step | None]] = []

    def tell(self, job: int, where: str, step: Step | None) -> None:
        """A job is under way on a node, or has made a step there."""
        self._told.append((job, where, step))

    def all(self) -> list[tuple[int, str, Step | None]]:
        """What was told since the last call."""
        told, self._told = self._told, []
        return told


class Outcome(NamedTuple):
    """How a job ended on a node, and what it made there that is not seen elsewhere."""

    told: Ended | Failure
    packed: Packed


def attend(
    job: int,
    sent: Sent,
    log: Path | None,
    makes: Path | None,
    reads: Sequence[tuple[Path, Any]],
    folders: Sequence[Shared],
    preload: Sequence[str],
    heard: Any,
) -> Outcome:
    """One task: a job, with what it reads put where it is looked for.

    `reads`: places and references to what is packed of them. `folders`: those that jobs file in;
    of one that is not seen here another stands in, below the system's temporary folder.
    """
    heard.tell.remote(job, where := ray.get_runtime_context().get_node_id(), None)
    stand_ins = StandIns(folders, _scratch(folders))
    try:
        for path, packed in reads:
            if place := stand_ins.here(path):
                ((_, archive),) = ray.get(packed)
                unpack(((place, archive),), keep=path != makes)
    except UsageError as error:
        return Outcome(Failure(sent.title, str(error), usage=True), ())
    told = _attended(
        sent, stand_ins, log, preload, lambda step: heard.tell.remote(job, where, step)
    )
    return Outcome(told, _brought_back(told, makes, stand_ins))


def _attended(
    sent: Sent,
    stand_ins: StandIns,
    log: Path | None,
    preload: Sequence[str],
    stepped: Callable[[Step], None],
) -> Ended | Failure:
    """How the job ended, in a process of its own that sees the node's GPUs for this task."""
    folder = stand_ins.working_folder
    if folder is None and not os.path.isdir(sent.folder):
        folder = stand_ins.scratch
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    gpus = {name: os.environ[name] for name in GPUS if name in os.environ}
    here = sent.here(folder, **stand_ins.variables, **gpus)
    if log is not None:
        log = stand_ins.here(log) or sent.folder / log
    return Attended(here, start_server(preload), log).followed(stepped)


def _brought_back(told: Ended | Failure, makes: Path | None, stand_ins: StandIns) -> Packed:
    """What was made in folders that stand in for others; a run leaves nothing behind here."""
    made = {makes: here} if makes and (here := stand_ins.here(makes)) else {}
    told_of = told.made if isinstance(told, Ended) else ()
    made |= {to: stand_ins.scratch / path for path in told_of if (to := stand_ins.there(path))}
    packed = pack(made)
    if makes in made:
        shutil.rmtree(made[makes], ignore_errors=True)
    return packed


def _scratch(folders: Sequence[Shared]) -> Path:
    """The folder below which others stand in: one for each start of an experiment."""
    name = folders[0].token.strip(".") if folders else "nothing-shared"
    return Path(tempfile.gettempdir()) / f"rlhf-testbed-{name}"


def _now_and_then(tell: Callable[[Step], None]) -> Callable[[Step], None]:
    """Tells some of many steps, the last among them."""
    last = 0.0

    def stepped(step: Step) -> None:
        nonlocal last
        if time.monotonic() - last >= EVERY or step.done == step.total:
            last = time.monotonic()
            tell(step)

    return stepped
