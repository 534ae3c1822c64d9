"""Size and speed of the report of 100,000 generations, opened from disk in Chromium.

    make bench-report                        python tests/bench_report.py
    make bench-report TO=docs/results/report-size

Scripted policies stand in for trained ones; every generation of a run has a scenario of its own, so
that few texts are the same. A time in the page is from the event of a key or the mouse to the next
frame that is drawn. Exit status 1 where a limit is missed.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from chromium import Opened, launched
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.shared.files import write_text
from rlhf_testbed.store.provenance import environment
from scripted_runs import write_experiment, write_results

ARMS = ("neither", "selection_only", "goal_only", "both", "habit")
SEEDS = range(5)
UPDATES, EPISODES = 50, 80
GENERATIONS = len(ARMS) * len(SEEDS) * UPDATES * EPISODES
OPENINGS = 5
WORDS = ("walk jump", "trampled the bed", "dark", "e", "no such word")
SORTED = ("score", "response", "arm", "kl", "advantage")
DRAWN = """
async ([act, value]) => {
  const { table } = testbed.browser;
  const acts = {
    filter: ([name, chosen]) => {
      const field = document.getElementById("filters").elements[name];
      field.value = chosen;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    },
    sort: (name) => document.querySelector(`th.of-${name} [role=button]`).click(),
    turn: (where) => document.querySelector(`.dt-paging .${where}`).click(),
  };
  const drawn = new Promise((done) => table.one("draw", done));
  const started = performance.now();
  acts[act](value);
  await drawn;
  await new Promise((frame) => requestAnimationFrame(() => setTimeout(frame)));
  return performance.now() - started;
}
"""
OPENED = """
async (at) => {
  const links = document.querySelectorAll("#generations tbody a");
  const started = performance.now();
  links[at].click();
  const dialog = document.getElementById("generation");
  while (!dialog.open) await new Promise(requestAnimationFrame);
  await new Promise((frame) => requestAnimationFrame(() => setTimeout(frame)));
  const took = performance.now() - started;
  const closed = new Promise((done) => dialog.addEventListener("close", done, { once: true }));
  dialog.close();
  await closed;
  return took;
}
"""


class Figure(NamedTuple):
    """What was measured, several times, and what is allowed."""

    name: str
    unit: str
    values: Sequence[float]
    limit: float | None

    @property
    def missed(self) -> bool:
        """Whether the worst is over the limit."""
        return self.limit is not None and max(self.values) > self.limit

    def line(self) -> str:
        """A row of the table."""
        worst = max(self.values)
        median = statistics.median(self.values)
        limit = "" if self.limit is None else f"{self.limit:g} {self.unit}"
        several = f"{median:.3g} {self.unit}" if len(self.values) > 1 else ""
        return f"{self.name:28} {several:>9} {worst:>8.3g} {self.unit:2} {limit:>9}" + (
            "  MISSED" if self.missed else ""
        )


def build(folder: Path) -> tuple[Path, list[Figure]]:
    """The report, as its command builds it: with every picture, imports and all.

    Its CPU time is told as well, which other work on the machine hardly changes.
    """
    command = [str(Path(sys.executable).with_name("rlhf-testbed")), "report", str(folder)]
    started = time.perf_counter()
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    took = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    figures = [Figure("build", "s", [took], 60), Figure("build: CPU time", "s", [cpu], None)]
    return Path(told.stdout.strip()), figures


def opening(browser: Any, page: Path) -> Iterator[float]:
    """Seconds from asking for the page until it can be used."""
    for _ in range(OPENINGS):
        opened = Opened(browser, page)
        started = time.perf_counter()
        opened.go()
        yield time.perf_counter() - started
        opened.context.close()


def using(page: Any) -> Iterator[Figure]:
    """Milliseconds of everything that is done with the table."""

    def filtered(name: str, values: Sequence[str]) -> list[float]:
        found = []
        for value in values:
            found.append(page.evaluate(DRAWN, ["filter", [name, value]]))
            page.evaluate(DRAWN, ["filter", [name, ""]])
        return found

    yield Figure("filter by arm", "ms", filtered("arm", ARMS), 300)
    yield Figure("filter by what was approved", "ms", filtered("approved", ["yes", "no"]), 300)
    yield Figure("search everywhere", "ms", filtered("search", WORDS), 300)
    yield Figure("search of responses", "ms", filtered("text", WORDS), 300)
    sorts = [page.evaluate(DRAWN, ["sort", name]) for name in SORTED for _ in range(3)]
    yield Figure("sort by a column", "ms", sorts, None)
    turns = ["next", "next", "last", "previous", "first"]
    turned = [page.evaluate(DRAWN, ["turn", where]) for where in turns]
    yield Figure("turn the page", "ms", turned, None)
    opened = [page.evaluate(OPENED, at) for at in range(0, 50, 5)]
    yield Figure("open a generation", "ms", opened, None)


def measured(scratch: Path) -> list[Figure]:
    """Writes the experiment, builds its report and uses it."""
    print(f"writing {GENERATIONS:,} generations", flush=True)
    run = {"updates": UPDATES, "episodes": EPISODES, "scenarios": UPDATES * EPISODES}
    folder = write_experiment(scratch / "runs", ARMS, SEEDS, **run)
    write_results(folder)
    print("building the report", flush=True)
    page, built = build(folder)
    size = Figure("size", "MB", [page.stat().st_size / 1e6], 40)
    print("using it", flush=True)
    with launched() as browser:
        usable = Figure("usable after", "s", list(opening(browser, page)), 3)
        opened = Opened(browser, page)
        used = list(using(opened.go()))
        assert opened.complaints == [], opened.complaints
    return [*built, size, usable, *used]


def told(figures: Sequence[Figure], load: float) -> str:
    """The figures with command, date and machine, as a README."""
    machine = environment(parse_run([]))
    heading = f"{'':28} {'median':>9} {'worst':>11} {'limit':>9}"
    table = "\n".join(line.rstrip() for line in [heading, *(one.line() for one in figures)])
    return (
        f"# The report of {GENERATIONS:,} generations\n\n"
        "    make bench-report TO=docs/results/report-size\n\n"
        f"{date.today()}, on {machine.cores} CPU cores with {machine.memory_gib:.0f} GiB "
        f"and a load of {load:.1f} by other work; Chromium, headless, page opened from disk.\n"
        f"{len(ARMS)} arms, {len(SEEDS)} seeds, every generation of a run with a scenario of its "
        "own. A time in the page is from\nthe event to the next frame drawn; that of a filter has "
        "the 60 ms in it that are waited for more keys.\n\n"
        f"```\n{table}\n```\n"
    )


def main() -> int:
    """Prints the figures, and writes them into a folder where one is named."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        figures = measured(Path(scratch))
    text = told(figures, load)
    print(text)
    if len(sys.argv) > 1:
        write_text(Path(sys.argv[1]) / "README.md", text)
    return int(any(one.missed for one in figures))


if __name__ == "__main__":
    sys.exit(main())
