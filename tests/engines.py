"""One grid of short runs by every engine: are the results the same, and what does an engine cost?

    make engines    python tests/engines.py --to docs/results/engines

    one run at a time           220.2 s
    local, 200 empty jobs         5.7 s   57 ms of a core each
    ray, 200 empty jobs          38.0 s   380 ms of a core each
    local, 2 at a time          116.4 s   0.53 of it
    ray, two nodes of a CPU     163.9 s   1.41 times local; 920 files of runs, 0 differ
    ray, a node killed          192.1 s   1 of 21 jobs tried again; 920 files of runs, 0 differ
    1,000 jobs at a time, 60 s    0.6 s   of CPU, by whoever follows 10,000 that step once a second
    status of 10,000 runs         0.8 s   at most 2 s

All side by side on one machine: `local` before and after Ray, so that what else it does shows. A
file differs where its bytes do; those that tell of a time or a place are left out.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import date
from pathlib import Path

from rich.console import Console

from kills import content
from ray_cluster import Cluster
from rlhf_testbed.engine.board import Board, Jobs, JobState
from rlhf_testbed.engine.job import Job, Orders, engine_named
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.shared.progress import Step
from rlhf_testbed.shared.record import read, write
from rlhf_testbed.store.provenance import environment

GRID = """
task: corridor
arms: [neither, selection_only, goal_only, both, habit]
seeds: 0-3
total_episodes: {episodes}
per_device_train_batch_size: 64
save_steps: 5
held_out_scenarios: 16
off_distribution_scenarios: 16
generations: 64
"""
CORES = 2
EMPTY = 200
"""Jobs that do nothing, by which is measured what an engine costs."""


def main() -> None:
    """Runs the grids, prints and files what was found; exit status 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=1920, help="of each of the 20 runs")
    parser.add_argument("--to", type=Path, help="folder to file the figures in")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        told, differing = compared(Path(scratch), asked.episodes)
    if asked.to:
        asked.to.mkdir(parents=True, exist_ok=True)
        (asked.to / "README.md").write_text(page(told, asked.episodes), encoding="utf-8")
    raise SystemExit(1 if differing else 0)


def compared(folder: Path, episodes: int) -> tuple[list[str], int]:
    """The lines of what was found, printed as they come, and how many files differ."""
    lines: list[str] = []

    def tell(what: str, seconds: float, more: str) -> None:
        lines.append(f"{what:28}{seconds:6.1f} s   {more}".rstrip())
        print(lines[-1], flush=True)

    config = folder / "grid.yaml"
    config.write_text(GRID.format(episodes=episodes))
    differing = 0
    took = {"local": [run(config, folder / "local")]}
    alone = run(config, folder / "alone", "--workers", "1")
    tell("one run at a time", alone, "")
    with Cluster() as cluster:
        away = cluster.node("away")
        for name, options in (("local", {}), ("ray", {"address": cluster.address})):
            seconds = empty_jobs(name, options)
            each = 1000 * seconds * CORES / EMPTY
            tell(f"{name}, {EMPTY} empty jobs", seconds, f"{each:.0f} ms of a core each")
        ray = ["--engine", "ray", "--engine_args", f"address={cluster.address}"]
        seconds = run(config, folder / "ray", *ray)
        took["local"].append(run(config, folder / "again"))
        local = statistics.mean(took["local"])
        tell("local, 2 at a time", local, f"{local / alone:.2f} of it")
        found, of = differ(folder / "local", folder / "ray")
        tell(
            "ray, two nodes of a CPU",
            seconds,
            f"{seconds / local:.2f} times local; {told(found, of)}",
        )
        differing += len(found)
        threading.Thread(target=kill_midway, args=(away, folder / "killed"), daemon=True).start()
        seconds = run(config, folder / "killed", *ray)
        tries = [job.tries for job in read(folder / "killed" / Jobs.file, Jobs).jobs]
        again = sum(count > 1 for count in tries)
        found, of = differ(folder / "local", folder / "killed")
        tell(
            "ray, a node killed",
            seconds,
            f"{again} of {len(tries)} jobs tried again; {told(found, of)}",
        )
        differing += len(found) + (again == 0)
    told_of = "of CPU, by whoever follows 10,000 that step once a second"
    tell("1,000 jobs at a time, 60 s", followed(folder / "board"), told_of)
    tell("status of 10,000 runs", status(folder / "many"), "at most 2 s")
    return lines, differing


def empty_jobs(name: str, options: dict[str, str]) -> float:
    """Seconds that an engine takes for jobs that do nothing."""
    jobs = [Job(f"{at}", logging.debug, ()) for at in range(EMPTY)]  # which does nothing
    engine = engine_named(name, options=options)
    orders = Orders(workers=CORES, preload=["rlhf_testbed.experiment.jobs"])
    engine.run(jobs[:CORES], orders)  # what is imported once is not counted
    started = time.monotonic()
    engine.run(jobs, orders)
    return time.monotonic() - started


def followed(folder: Path) -> float:
    """CPU seconds of following 1,000 jobs of 10,000 for a minute, files included."""
    folder.mkdir()
    now = [0.0]
    jobs = [Job(f"both, seed {at}", logging.debug, ()) for at in range(10_000)]
    console = Console(file=io.StringIO(), width=200)
    before = time.process_time()
    with Board(jobs, 1000, "slurm", Orders(folder=folder), console, lambda: now[0]) as board:
        for at in range(1000):
            board.began(at, "node")
        for second in range(60):
            for at in range(1000):
                board.step(at, Step(second, 60, "approved 0.95  "))
            for _ in range(2):  # as often as engines do
                now[0] += 0.5
                board.tick()
    return time.process_time() - before


def status(folder: Path) -> float:
    """Seconds that `experiment status` takes for 10,000 runs."""
    folder.mkdir()
    (folder / "experiment.yaml").write_text("config: {}\n")
    titles = [f"both, seed {at % 100}, base policy {at // 100}" for at in range(10_000)]
    states = ("ended", "running", "failed", "waiting")
    jobs = [
        JobState(
            title=title, state=states[at % 4], tries=1, said="killed by SIGKILL" * (at % 4 == 2)
        )
        for at, title in enumerate(titles)
    ]
    rest = {"host": "here", "process": 1, "at_once": 1000, "began": 0.0, "told": 0.0}
    write(
        folder / Jobs.file, Jobs(engine="slurm", ended=False, done=0, to_come=0, jobs=jobs, **rest)
    )
    program = str(Path(sys.executable).with_name("rlhf-testbed"))
    started = time.monotonic()
    subprocess.run([program, "experiment", "status", str(folder)], check=True, capture_output=True)
    return time.monotonic() - started


def run(config: Path, folder: Path, *words: str) -> float:
    """Runs the grid; returns how many seconds it took."""
    program = Path(sys.executable).with_name("rlhf-testbed")
    command = [str(program), "experiment", str(config), "--output_dir", str(folder), *words]
    started = time.monotonic()
    ended = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    if ended.returncode:
        raise SystemExit(
            f"{' '.join(command)} failed: {ended.stdout[-1000:]}{ended.stderr[-2000:]}"
        )
    return time.monotonic() - started


def kill_midway(node: object, folder: Path) -> None:
    """Kills a node once a third of the runs has ended."""
    while len(list(folder.glob("*/seed-*/evaluation/full_knowledge/measures.json"))) < 7:
        time.sleep(0.2)
    node.kill()  # type: ignore[attr-defined]
    print("killed a node", flush=True)


def differ(one: Path, other: Path) -> tuple[list[str], int]:
    """The files of runs that are not alike in two folders, and how many there are."""
    here, there = content(one), content(other)
    names = sorted(name for name in here.keys() | there.keys() if "seed-" in name)
    found = [name for name in names if here.get(name) != there.get(name)]
    for name in found:
        print(f"DIFFERS   {name}", flush=True)
    return found, len(names)


def told(found: list[str], of: int) -> str:
    """How many files differ, in words."""
    return f"{of} files of runs, {len(found)} differ"


def page(lines: list[str], episodes: int) -> str:
    """The figures as a page."""
    machine = environment(parse_run([]))
    return "\n".join(
        [
            "# One grid by every engine",
            "",
            f"`make engines`: five arms × four seeds of corridor, {episodes} episodes a run, with",
            "their gates; Ray on two nodes of one CPU each, which are two raylets of one machine.",
            "",
            "```",
            *lines,
            "```",
            "",
            f"{date.today()}, commit {str(machine.commit)[:7]}, on {machine.cores} CPU cores with "
            f"{machine.memory_gib:.0f} GiB and a load of {os.getloadavg()[2]:.1f} in the last",
            "quarter of an hour, two of which are this.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
