"""Speed and memory of results and reports of many runs: 1,000 and 10,000.

    make bench-runs                        python tests/bench_runs.py
    make bench-runs TO=docs/results/runs-size

A small experiment of two arms is run, and its records repeated under other arms, base policies and
seeds with figures that vary, as far as results and report read them; ledgers are shared. Each step
is a process of its own. Exit status 1 where a limit is missed.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from bench_report import opening
from chromium import launched
from rlhf_testbed.experiment.claim import claim
from rlhf_testbed.experiment.plan import Experiment, Run, Setting, plan
from rlhf_testbed.experiment.run import run_experiment
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.shared.files import read_json, write_text
from rlhf_testbed.store.experiment_records import Results
from rlhf_testbed.store.provenance import environment
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import Checkpoints, Measures, ProxyAndGold
from rlhf_testbed.store.runs_table import TABLE
from rlhf_testbed.tasks.base import Dials

SIZES = (1_000, 10_000)
ARMS, BASES = 25, 4
"""Both of the first two dials at five values; runs are as many seeds as that takes."""
VALUES = "0,0.25,0.5,0.75,1"
SMALL: Mapping[str, Any] = {
    "task": "corridor",
    "base_steps": 30,
    "demonstrations": 2000,
    "base_batch_size": 64,
    "total_episodes": 2880,
    "per_device_train_batch_size": 32,
    "train_scenarios": 256,
    "held_out_scenarios": 16,
    "off_distribution_scenarios": 16,
    "generations": 32,
    "checkpoint_every": 9,
}
"""90 updates: so many does a usual run have, and so large are its records."""
NOT_READ = ("policy", "checkpoints", "state", "base")
"""Folders of a run that neither results nor reports read."""
SUMMARISE = """
import sys
from pathlib import Path
from rlhf_testbed.experiment.plan import plan
from rlhf_testbed.experiment.results import summarise
from rlhf_testbed.store.runs_table import write_results
experiment = plan(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4])
write_results(experiment.folder, summarise(experiment))
"""
LIMITS = {"summarise": (60.0, 1000.0), "report": (120.0, 1500.0)}
"""Seconds, and MB, of the larger size."""


class Spent(NamedTuple):
    """What a process took."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds of one core, which other work on the machine hardly changes."""
    peak: float
    """MB at most."""


class Figure(NamedTuple):
    """What was measured, and what is allowed."""

    name: str
    value: float
    unit: str
    limit: float | None = None

    @property
    def missed(self) -> bool:
        """Whether it is over the limit."""
        return self.limit is not None and self.value > self.limit

    def line(self) -> str:
        """A row of the table."""
        limit = "" if self.limit is None else f"(at most {self.limit:,.0f}) "
        return f"{self.name:52} {self.value:>10,.1f} {self.unit:3} {limit}" + (
            "MISSED" if self.missed else ""
        )


def process(*words: str) -> Spent:
    """Runs a command without its output, and says what it took."""
    started = time.perf_counter()
    nowhere = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    child = os.posix_spawn(
        words[0], words, os.environ | {"OMP_NUM_THREADS": "1"}, file_actions=nowhere
    )
    _, status, used = os.wait4(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, f"failed: {words}"
    wall, cpu = time.perf_counter() - started, used.ru_utime + used.ru_stime
    return Spent(wall, cpu, used.ru_maxrss * 1024 / 1e6)


def small_experiment(scratch: Path) -> Experiment:
    """One run of each of two arms, measured, with gates."""
    config = scratch / "small.yaml"
    write_text(config, yaml.safe_dump({**SMALL, "arms": ["neither", "both"], "seeds": "0"}))
    planned = plan(str(config), output_dir=str(scratch / "small"))
    run_experiment(planned)
    return planned


def repeated(small: Experiment, scratch: Path, runs: int) -> Experiment:
    """An experiment of so many runs, with records of the small one and other figures."""
    config = scratch / f"grid-{runs}.yaml"
    vary = [f"{name}={VALUES}" for name in ("knowledge", "randomised")]
    write_text(config, yaml.safe_dump({**SMALL, "arms": ["both"], "vary": vary, "seeds": "0"}))
    seeds, folder = f"0-{runs // (ARMS * BASES) - 1}", str(scratch / f"grid-{runs}")
    planned = plan(str(config), seeds, folder, f"0-{BASES - 1}")
    claim(planned)
    for base in planned.base_seeds:
        shutil.copyfile(small.gates_file(0), planned.gates_file(base))
    like = Repeated(small.directory("both", 0))
    for setting, run in itertools.product(planned.settings, planned.runs):
        like.write(planned.directory(setting.name, run.seed, run.base), setting, run)
    return planned


class Repeated:
    """A run to repeat: its records, and the files that are the same in all."""

    def __init__(self, run: RunDirectory) -> None:
        evaluation = run.evaluation().relative_to(run.path)
        self._settings = run.config.read_text(encoding="utf-8")
        self._records = {
            evaluation / kind.file: read_json(run.path / evaluation / kind.file)
            for kind in (Measures, ProxyAndGold, Checkpoints)
        }
        self._same = {
            file.relative_to(run.path): file
            for file in run.path.rglob("*")
            if file.is_file()
            and file.relative_to(run.path).parts[0] not in NOT_READ
            and file.relative_to(run.path) not in (*self._records, Path(run.config.name))
        }

    def write(self, directory: RunDirectory, setting: Setting, run: Run) -> None:
        """Writes one more of it."""
        rng = random.Random(f"{setting.name} {run}")
        for name, file in self._same.items():
            target = directory.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(file, target)
        dials = vars(setting.dials)
        named = {**dials, "arm": setting.arm.name, "seed": run.seed, "base_seed": run.base}
        directory.config.write_text(_with(self._settings, named), encoding="utf-8")
        for name, content in self._records.items():
            varied = _varied(content, rng)
            if "seed" in varied:
                varied |= {"seed": run.seed, "base_seed": run.base, "dials": dials}
                varied["figures"] |= _threats(setting.dials, rng)
            (directory.path / name).write_text(json.dumps(varied, indent=2), encoding="utf-8")


def _threats(dials: Dials, rng: random.Random) -> dict[str, float]:
    """Threats that follow their dials, so that the picture looks like one."""
    first = 0.95 * (1 - dials.knowledge) + rng.gauss(0, 0.06)
    second = 1.1 * (1 - dials.randomised) + rng.gauss(0, 0.12)
    return {"threat_1": min(1.0, max(0.0, first)), "threat_2": max(0.0, second)}


def _with(settings: str, values: Mapping[str, object]) -> str:
    """A file of settings with other values."""
    for name, value in values.items():
        settings, count = re.subn(rf"^{name}: .*$", f"{name}: {value}", settings, flags=re.M)
        assert count == 1, f"no setting {name}"
    return settings


def _varied(content: Any, rng: random.Random) -> Any:
    """The same with other figures; a share stays one, and what counts stays as it is."""
    if isinstance(content, dict):
        return {name: _varied(value, rng) for name, value in content.items()}
    if isinstance(content, list):
        return [_varied(value, rng) for value in content]
    if not isinstance(content, float):
        return content
    moved = content + rng.gauss(0, 0.05)
    return min(1.0, max(0.0, moved)) if 0 <= content <= 1 else moved


def summarising(planned: Experiment) -> Spent:
    """Makes the results anew."""
    words = (planned.given[1], _range(planned.seeds), str(planned.folder))
    return process(sys.executable, "-c", SUMMARISE, *words, _range(planned.base_seeds))


def reporting(planned: Experiment) -> Spent:
    """Builds the report, as its command does."""
    command = Path(sys.executable).with_name("rlhf-testbed")
    return process(str(command), "report", str(planned.folder))


def _range(seeds: Sequence[int]) -> str:
    return f"{seeds[0]}-{seeds[-1]}"


def measured(scratch: Path) -> Iterator[Figure]:
    """Runs the small experiment, makes the large ones of it, and measures them."""
    print("running a small experiment", flush=True)
    small = small_experiment(scratch)
    for runs in SIZES:
        print(f"writing {runs:,} runs", flush=True)
        planned = repeated(small, scratch, runs)
        for what, step in {"summarise": summarising, "report": reporting}.items():
            print(f"{what}, {runs:,} runs", flush=True)
            yield from _told(what, runs, step(planned))
        for name in (Results.file, TABLE):
            yield Figure(f"{name}, {runs:,} runs", _mb(planned.folder / name), "MB")
        page = planned.folder / "report" / "index.html"
        yield Figure(f"report: page, {runs:,} runs", _mb(page), "MB")
        with launched() as browser:
            usable = statistics.median(opening(browser, page))
        yield Figure(f"report: page usable after, {runs:,} runs", usable, "s")


def _told(what: str, runs: int, spent: Spent) -> Iterator[Figure]:
    """The figures of a step; limits are those of the larger size."""
    limits = LIMITS.get(what, (None, None)) if runs == SIZES[-1] else (None, None)
    yield Figure(f"{what}, {runs:,} runs: time", spent.wall, "s", limits[0])
    yield Figure(f"{what}, {runs:,} runs: CPU time", spent.cpu, "s")
    yield Figure(f"{what}, {runs:,} runs: memory at most", spent.peak, "MB", limits[1])


def _mb(file: Path) -> float:
    return file.stat().st_size / 1e6


def told(figures: Sequence[Figure], load: float) -> str:
    """The figures with command, date and machine, as a README."""
    machine = environment(parse_run([]))
    table = "\n".join(one.line().rstrip() for one in figures)
    return (
        f"# Results and report of {SIZES[-1]:,} runs\n\n"
        "    make bench-runs TO=docs/results/runs-size\n\n"
        f"{date.today()}, on {machine.cores} CPU cores with {machine.memory_gib:.0f} GiB and a "
        f"load of {load:.1f} by other work; one thread each.\n"
        f"Records of one trained run, repeated with other figures: {ARMS} arms, {BASES} base "
        "policies, and as many training\nseeds as make up the number. Files were in the "
        f"system's cache.\n\n```\n{table}\n```\n"
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
    return int(any(one.missed for one in figures))


if __name__ == "__main__":
    sys.exit(main())
