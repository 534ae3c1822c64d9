"""Where results come from: versions, machine, command, commit, and the source of plug-ins.

    environment(run).sources    {"rlhf_testbed.tasks.corridor:Corridor": "9f2c09a1...", ...}

What a task or an overseer does is in its source: two runs with the same settings and another source
are two different runs.
"""

from __future__ import annotations

import math
import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from rlhf_testbed.settings.methods import method_class
from rlhf_testbed.settings.plugins import dotted, overseer_class, task_class
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.settings.sources import source_hash
from rlhf_testbed.shared.versions import LIBRARIES
from rlhf_testbed.store.run_records import Environment

PROJECT = Path(__file__).parents[2]


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
