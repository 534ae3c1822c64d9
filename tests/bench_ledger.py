"""Speed and memory of evaluating long runs: 100,000 and 1,000,000 episodes.

    make bench-ledger                        python tests/bench_ledger.py
    make bench-ledger TO=docs/results/ledger-size

A small run is trained, and its ledger repeated under new numbers: 64 rows an update, in segments as
training leaves them. Each evaluation is a process of its own, as its command starts it. What starts
once and what grows with the rows are told apart by the two sizes. Exit status 1 where a limit is
missed.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

from rlhf_testbed.selection.job import train
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.shared.files import write_text
from rlhf_testbed.store import ledger
from rlhf_testbed.store.columns import written
from rlhf_testbed.store.ledger import Row
from rlhf_testbed.store.pieces import piece
from rlhf_testbed.store.provenance import environment
from rlhf_testbed.store.run_directory import RunDirectory

FEW, MANY = 100_000, 1_000_000
EPISODES = 64
"""Of an update."""
SMALL = [
    *("--arm", "both", "--seed", "1", "--base_steps", "20", "--demonstrations", "640"),
    *("--total_episodes", "1920", "--per_device_train_batch_size", str(EPISODES)),
]
OVERSEERS = ("scripted", "full_knowledge")
FASTEST = 100_000
"""Rows a second that a scripted overseer must judge, one core: reading, judging and filing."""
GROWTH = 48
"""MiB by which the memory of that may grow from the few rows to the many."""


class Spent(NamedTuple):
    """What a process took."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds of one core, which other work on the machine hardly changes."""
    peak: float
    """MiB at most."""


class Figure(NamedTuple):
    """What was measured, and what is allowed."""

    name: str
    value: float
    unit: str
    kept: bool | None = None
    """Whether the limit is kept; None where there is none."""

    def line(self) -> str:
        """A row of the table."""
        missed = "  MISSED" if self.kept is False else ""
        return f"{self.name:58} {self.value:>12,.0f} {self.unit}{missed}"


def grown(small: RunDirectory, folder: Path, count: int, rename: Callable[[int], str]) -> Path:
    """The run with a ledger of `count` rows; `rename`: what is added to the scenario's id of each.

    Written as segments at once: the same bytes as update by update, but in seconds.
    """
    shutil.copytree(small.path, folder, ignore=shutil.ignore_patterns("ledger"))
    directory = RunDirectory(folder)
    rows = _repeated(ledger.read(small.ledger), rename)
    updates = -(-count // EPISODES)
    for first in range(1, updates + 1, ledger.SEGMENT):
        last = min(first + ledger.SEGMENT - 1, updates)
        with written(piece(directory.ledger, first, last).path, ledger.SCHEMA) as file:
            for update in range(first, last + 1):
                left = count - (update - 1) * EPISODES
                here = islice(rows, min(EPISODES, left))
                file.add(
                    [
                        dataclasses.replace(row, update=update, episode=at).values()
                        for at, row in enumerate(here)
                    ]
                )
    finished = small.summary().model_copy(update={"updates": updates, "episodes": count})
    directory.write(finished)
    return folder


def _repeated(rows: Sequence[Row], rename: Callable[[int], str]) -> Iterator[Row]:
    for at, row in enumerate(cycle(rows)):
        added = rename(at)
        yield dataclasses.replace(row, scenario_id=row.scenario_id + added) if added else row


def evaluating(folder: Path, overseer: str) -> Spent:
    """Runs the command, and says what it took."""
    command = [str(Path(sys.executable).with_name("rlhf-testbed")), "evaluate", str(folder)]
    started = time.perf_counter()
    nowhere = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    child = os.posix_spawn(
        command[0],
        [*command, "--overseer", overseer],
        os.environ | {"OMP_NUM_THREADS": "1"},
        file_actions=nowhere,
    )
    _, status, used = os.wait4(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, f"evaluate failed: {command}"
    wall, cpu = time.perf_counter() - started, used.ru_utime + used.ru_stime
    return Spent(wall, cpu, used.ru_maxrss / 1024)


def by_overseer(overseer: str, few: Spent, many: Spent) -> Iterator[Figure]:
    """The figures of one overseer, from what both sizes took."""
    speed, growth = (MANY - FEW) / (many.cpu - few.cpu), many.peak - few.peak
    limited = overseer == "scripted"
    for count, spent in ((FEW, few), (MANY, many)):
        yield Figure(f"{overseer}: {count:,} rows, time", spent.wall, "s")
        yield Figure(f"{overseer}: {count:,} rows, CPU time", spent.cpu, "s")
        yield Figure(f"{overseer}: {count:,} rows, memory at most", spent.peak, "MiB")
    yield Figure(
        f"{overseer}: rows more, a second of CPU time",
        speed,
        "",
        speed >= FASTEST if limited else None,
    )
    yield Figure(f"{overseer}: memory more", growth, "MiB", growth <= GROWTH if limited else None)


def measured(scratch: Path) -> Iterator[Figure]:
    """Trains the small run, makes the long ones of it, and evaluates them."""
    print("training a small run", flush=True)
    small = train(parse_run([*SMALL, "--output_dir", str(scratch / "small")]), lambda step: None)
    keys = {row.case_key for row in ledger.rows_in(small.ledger)}
    yield Figure("different cases in the long runs", len(keys), "")
    print(f"writing {FEW:,} rows and {MANY:,}", flush=True)
    runs = [grown(small, scratch / str(count), count, lambda at: "") for count in (FEW, MANY)]
    own = grown(small, scratch / "own", FEW, lambda at: f"-{at}")
    for overseer in OVERSEERS:
        print(f"evaluating by {overseer}", flush=True)
        few, many = (evaluating(run, overseer) for run in runs)
        yield from by_overseer(overseer, few, many)
        if overseer == "scripted":
            spent = evaluating(own, overseer)
            started = few.cpu - FEW * (many.cpu - few.cpu) / (MANY - FEW)
            name = "scripted, where each case comes once: rows a second of CPU time"
            yield Figure(name, FEW / (spent.cpu - started), "")
            yield Figure("scripted, where each case comes once: memory", spent.peak, "MiB")


def told(figures: Sequence[Figure], load: float) -> str:
    """The figures with command, date and machine, as a README."""
    machine = environment(parse_run([]))
    table = "\n".join(one.line().rstrip() for one in figures)
    return (
        f"# Evaluating {MANY:,} episodes\n\n"
        "    make bench-ledger TO=docs/results/ledger-size\n\n"
        f"{date.today()}, on {machine.cores} CPU cores with {machine.memory_gib:.0f} GiB and a "
        f"load of {load:.1f} by other work; one thread each.\n"
        f"A trained run's ledger, repeated, {EPISODES} rows an update. Most of the memory is "
        "taken before the first row\n(libraries, models); `full_knowledge` also keeps a record "
        "an update, which `selection.json` holds.\n\n"
        f"```\n{table}\n```\n"
    )


def main() -> int:
    """Prints the figures, and writes them into a folder where one is named."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        figures = list(measured(Path(scratch)))
    text = told(figures, load)
    print(text)
    if len(sys.argv) > 1:
        write_text(Path(sys.argv[1]) / "README.md", text)
    return int(any(one.kept is False for one in figures))


if __name__ == "__main__":
    sys.exit(main())
