"""A job, what becomes of it, and what an engine is.

    jobs = [Job("both, seed 3", train_and_evaluate, (arguments,)), ...]
    engine_named("local").run(jobs, workers=2)

An engine knows nothing of what a job is: a function that is importable by name, and its arguments.
To add one: a file like `local.py`, and a line in `ENGINES`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

from rlhf_testbed.shared.errors import looked_up

ENGINES = {"local": "rlhf_testbed.engine.local:Local"}
"""Engines by name: where their class is, which is imported when it is asked for."""


@dataclass(frozen=True)
class Job:
    """`function(watcher, *arguments)`, run in a process of its own; must be importable by name."""

    title: str
    function: Callable[..., None]
    arguments: tuple[Any, ...]


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


class Engine(ABC):
    """Runs jobs, several at a time, and shows how far they are."""

    summary: ClassVar[str]

    @abstractmethod
    def run(
        self, jobs: Sequence[Job], workers: int | None = None, preload: Sequence[str] = ()
    ) -> None:
        """Runs all jobs, `workers` at a time (None: as many as there is room for).

        `preload`: modules that jobs will want. A job that fails leaves the others running; raises
        `JobsFailed` at the end. An interrupt ends the jobs that are under way.
        """


def engine_named(name: str, what: str = "engine") -> Engine:
    """The engine of that name; raises `UsageError`."""
    module, _, kind = looked_up(what, name, ENGINES).partition(":")
    engine: Engine = getattr(import_module(module), kind)()
    return engine
