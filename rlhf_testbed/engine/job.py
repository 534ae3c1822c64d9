"""A job, what becomes of it, and what an engine is.

    jobs = [Job("both, seed 3", train_and_evaluate, (run, bases)), ...]
    engine_named("local").run(jobs, Orders(workers=2, retries=1))

A job is a function that is importable by name and its arguments, which can be pickled: it can be
done in any process on any machine. An engine knows nothing of what a job is.
To add one: a file like `local.py`, and a line in `ENGINES`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from rlhf_testbed.shared.errors import UsageError, looked_up

ENGINES = {
    "local": "rlhf_testbed.engine.local:Local",
    "ray": "rlhf_testbed.engine.on_ray:Ray",
    "slurm": "rlhf_testbed.engine.on_slurm:Slurm",
}
"""Engines by name: where their class is, which is imported when it is asked for."""


@dataclass(frozen=True)
class Job:
    """`function(watcher, *arguments)`, run in a process of its own; must be importable by name.

    It may be run again after it was broken off, and then goes on with what it finds. What it
    returns, a list of paths, is what it made that other jobs need. Paths count where machines share
    no folders: `makes` is what it makes or goes on with, `reads` what else it needs.
    """

    title: str
    function: Callable[..., Sequence[Path] | None]
    arguments: tuple[Any, ...]
    makes: Path | None = None
    reads: tuple[Path, ...] = ()


class Failure(NamedTuple):
    """A job that failed: what it said, and whether that is one line on bad input."""

    title: str
    said: str
    usage: bool


class JobsFailed(Exception):
    """Some jobs failed."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        super().__init__("; ".join(f"{title}: {said}" for title, said, _ in failures))
        self.failures = list(failures)


@dataclass(frozen=True)
class Orders:
    """How jobs are to be run, whatever the engine."""

    workers: int | None = None
    """Jobs at a time; None: as many as there is room for."""
    retries: int = 0
    """How often a job that died or raised is tried again; one on bad input never is."""
    preload: Sequence[str] = ()
    """Modules that jobs will want."""
    folder: Path | None = None
    """Where it is filed how far all are (`jobs.json`) and what they print (`logs/`)."""
    caches: Mapping[str, Path] = field(default_factory=dict)
    """Folders that jobs find by a variable of the environment, and file in, too."""
    done: int = 0
    """Jobs of the same undertaking that are done already, for whoever reads `jobs.json`."""
    to_come: int = 0
    """Jobs of the same undertaking that are not among these."""


class Engine(ABC):
    """Runs jobs, several at a time, and shows how far they are.

    Arguments of its constructor that are numbers or texts are its options (`--engine_args`).
    """

    summary: ClassVar[str]

    @abstractmethod
    def run(self, jobs: Sequence[Job], orders: Orders = Orders()) -> None:
        """Runs all jobs.

        A job that fails leaves the others running, and is tried again as often as ordered; raises
        `JobsFailed` at the end. An interrupt ends the jobs that are under way. Raises `UsageError`
        where the engine can't run them at all.
        """

    def script(self, jobs: Sequence[Job], orders: Orders) -> str:
        """What would be run, for `--dry-run`: by default the titles."""
        return "\n".join(job.title for job in jobs)


def engine_class(name: str, what: str = "engine") -> type[Engine]:
    """The class of the engine of that name; raises `UsageError`."""
    module, _, kind = looked_up(what, name, ENGINES).partition(":")
    try:
        found: type[Engine] = getattr(import_module(module), kind)
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        raise UsageError(
            f"{what} {name}: {package} is not installed (pip install 'rlhf-testbed[{name}]')"
        ) from None
    return found


def engine_named(
    name: str, what: str = "engine", options: Mapping[str, float | int | str] | None = None
) -> Engine:
    """The engine of that name; raises `UsageError`."""
    return engine_class(name, what)(**(options or {}))
