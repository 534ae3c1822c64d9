"""Where results come from: versions, machine, command, commit, and the source of plug-ins.

    environment(run).sources    {"rlhf_testbed.tasks.corridor:Corridor": "9f2c09a1...", ...}

What a task or an overseer does is in its source: two runs with the same settings and another source
are two different runs.
"""

from __future__ import annotations

import hashlib
import inspect
import math
import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from rlhf_testbed.settings.methods import method_class
from rlhf_testbed.settings.plugins import dotted, overseer_class, task_class
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.store.run_records import Environment

LIBRARIES = ("rlhf-testbed", "torch", "transformers", "trl", "datasets", "accelerate", "peft")
PLUGGED = ("rlhf_testbed.tasks", "rlhf_testbed.overseers")
"""Our own rooms that are made of plug-ins."""
PROJECT = Path(__file__).parents[2]
DIGITS = 16
"""Of a hash, as it is filed."""


def environment(run: RunConfig) -> Environment:
    """Versions, machine and command of this process, and the sources of a run."""
    return Environment(
        command=this_command(),
        python=platform.python_version(),
        platform=platform.platform(),
        cores=os.cpu_count() or 1,
        memory_gib=_memory_gib(),
        libraries={name: version(name) for name in LIBRARIES},
        commit=_git("rev-parse", "HEAD"),
        clean=None if (changed := _git("status", "--porcelain")) is None else not changed,
        sources=sources(run),
    )


def this_command() -> str:
    """The command of this process, as it can be typed again wherever the package is installed."""
    module = sys.modules["__main__"].__spec__  # of `python -m`
    program = f"python -m {module.name}" if module else Path(sys.argv[0]).name
    return " ".join([program, *map(shlex.quote, sys.argv[1:])])


def sources(run: RunConfig) -> dict[str, str]:
    """The hash of the source of a run's task, overseer and method, by their dotted paths."""
    kinds: tuple[type, ...] = (
        task_class(run.study.task),
        overseer_class(run.study.overseer),
        method_class(run.selection.method),
    )
    return {dotted(kind): source_hash(kind) for kind in kinds}


def source_hash(kind: type) -> str:
    """The hash of the source that a class is made of, in hexadecimal digits.

    That is its module and those of its base classes, with the modules of the same package whose
    functions or classes they use, and so on. Of this package only the former: its commit says the
    rest.
    """
    own = [sys.modules[base.__module__] for base in kind.__mro__]
    waiting, found = list(own), dict[str, str]()
    while waiting:
        module = waiting.pop()
        source = _source(module)
        if module.__name__ not in found and source is not None:
            found[module.__name__] = source
            waiting += _used(module)
    text = "\0".join(f"{name}\0{source}" for name, source in sorted(found.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _used(module: ModuleType) -> list[ModuleType]:
    """The modules of the same package that a module's names come from."""
    package = _package(module.__name__)
    if package.startswith("rlhf_testbed.") and package not in PLUGGED:
        return []
    names = {
        value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        for value in vars(module).values()
    }
    return [
        sys.modules[name]
        for name in names
        if isinstance(name, str) and _package(name) == package and name in sys.modules
    ]


def _package(name: str) -> str:
    """A module's top package; of this project the room."""
    top, _, rest = name.partition(".")
    return f"{top}.{rest.partition('.')[0]}" if top == "rlhf_testbed" else top


def _source(module: ModuleType) -> str | None:
    """A module's source; None for what is Python's own, or has none."""
    if module.__name__.partition(".")[0] in sys.stdlib_module_names:
        return None
    try:
        return inspect.getsource(module)
    except (OSError, TypeError):
        return None


def _git(*words: str) -> str | None:
    """What git says of the project's own repository; None where it is not in one."""
    if not (PROJECT / ".git").exists():
        return None
    try:
        ended = subprocess.run(["git", *words], cwd=PROJECT, capture_output=True, text=True)
    except OSError:
        return None
    return ended.stdout.strip() if ended.returncode == 0 else None


def _memory_gib() -> float:
    """The machine's memory; NaN where the system doesn't tell (Windows)."""
    if not hasattr(os, "sysconf"):
        return math.nan
    memory: int = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return round(memory / 2**30, 1)
