"""How steady training is: approval through training over arms, base policies and training seeds.

    make steadiness     python tests/steadiness.py --name defaults
    python tests/steadiness.py --name clipped --base_seeds 1-4 --seeds 100-102 --max_grad_norm 1

    60 runs: 1 collapsed (0.02), final approval 0.97 at least 0.91, 0.9 reached at update 12

Training alone, nothing is evaluated. Settings that the options below don't name go to each run. The
figures of each run are kept in `NAME.json` as they come, so that it goes on where it was stopped;
`README.md` beside it tells of all such files. Seeds from 100 on are in no reported experiment.

- approval: a running mean over three updates of the share of an update's episodes that is
  approved (a standard error of 0.02 at 0.9 with 64 episodes).
- fall: how far it is ever below its best so far. A run has collapsed where that is above 0.2.
- final: the mean over the last five updates.
- reached: the first update at which the running mean is 0.9; none where it never is.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rlhf_testbed.selection.job import train
from rlhf_testbed.settings.parsing import parse_run, parse_seeds
from rlhf_testbed.shared.arrays import Floats
from rlhf_testbed.shared.record import Figure, Record, read, write
from rlhf_testbed.store import ledger
from rlhf_testbed.store.provenance import environment
from rlhf_testbed.store.run_records import Environment
from rlhf_testbed.tasks import TASKS

WINDOW, LAST = 3, 5
FALL, GOOD = 0.2, 0.9
FOLDER = Path(__file__).parents[1] / "docs" / "results" / "steadiness"


class Approvals(Record):
    """One run: the share of each update's episodes that was approved, and the largest KL."""

    arm: str
    base_seed: int
    seed: int
    approvals: list[float]
    kl: Figure
    """The largest mean of an update, in nats."""


class Trained(Record):
    """All runs with one choice of settings, and by what they were made."""

    task: str
    settings: list[str]
    date: str
    made_by: Environment
    runs: list[Approvals]


class Steadiness(NamedTuple):
    """What the approval of one run says."""

    fall: float
    final: float
    reached: float
    """NaN: never."""


def steadiness(approvals: Sequence[float]) -> Steadiness:
    """The figures of one run, from the approval of each update.

    >>> steadiness([0.3, 0.9, 0.9, 0.9, 0.6, 0.6, 0.6])
    Steadiness(fall=0.3, final=0.72, reached=4.0)
    """
    mean = running_mean(approvals)
    fall = float(np.max(np.maximum.accumulate(mean) - mean))
    good = np.flatnonzero(mean >= GOOD - 1e-9)
    reached = float(good[0] + WINDOW) if len(good) else math.nan
    return Steadiness(fall, float(np.mean(approvals[-LAST:])), reached)


def running_mean(approvals: Sequence[float]) -> Floats:
    """Means over `WINDOW` updates, [updates - WINDOW + 1]: the first ends at update `WINDOW`."""
    found: Floats = np.convolve(approvals, np.full(WINDOW, 1 / WINDOW), mode="valid")
    return found


def train_once(task: str, arm: str, base_seed: int, seed: int, more: Sequence[str]) -> Approvals:
    """Trains one run in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as scratch:
        words = ["--task", task, "--arm", arm, "--base_seed", str(base_seed), "--seed", str(seed)]
        words += ["--checkpoint_every", "0", "--save_steps", "0", *more]
        run = parse_run([*words, "--output_dir", f"{scratch}/run"])
        rows = list(ledger.updates_in(train(run, lambda step: None).ledger))
    return Approvals(
        arm=arm,
        base_seed=base_seed,
        seed=seed,
        approvals=[float(np.mean([row.approved for row in each])) for each in rows],
        kl=max(float(np.mean([row.kl for row in each])) for each in rows),
    )


def by_arm(runs: Iterable[Approvals]) -> dict[str, list[Approvals]]:
    """Runs by arm, in the order in which arms come; all together last."""
    every = list(runs)
    found = {
        arm: [one for one in every if one.arm == arm]
        for arm in dict.fromkeys(one.arm for one in every)
    }
    return {**found, "all": every}


def row(name: str, runs: Sequence[Approvals]) -> str:
    """One row of the table, in Markdown."""
    found = [steadiness(one.approvals) for one in runs]
    collapsed = [one.fall > FALL for one in found]
    reached = [one.reached for one in found if not math.isnan(one.reached)]
    median = f"{np.median(reached):.0f}" if reached else "never"
    cells = [
        name,
        f"{len(runs)}",
        f"{sum(collapsed)} ({np.mean(collapsed):.3f})",
        f"{max(one.fall for one in found):.2f}",
        f"{np.mean([one.final for one in found]):.3f}",
        f"{min(one.final for one in found):.3f}",
        f"{median} ({len(reached)})",
        f"{np.mean([np.mean(one.approvals) for one in runs]):.3f}",
        f"{max(one.kl for one in runs):.1f}",
    ]
    return f"| {' | '.join(cells)} |"


COLUMNS = (
    "arm",
    "runs",
    "collapsed (share)",
    "largest fall",
    "final, mean",
    "final, least",
    "0.9 reached, median update (runs)",
    "approval, mean of all updates",
    "largest KL",
)


def section(name: str, found: Trained) -> str:
    """The table of one file, with what made it."""
    made, settings = found.made_by, " ".join(found.settings) or "none: the defaults"
    commit = f"{made.commit or 'unknown'}{'' if made.clean else ' and changes to it'}"
    lines = [
        f"## {name}: {found.task}",
        "",
        f"Settings given: {settings}.",
        "",
        f"    python tests/{made.command}",
        "",
        f"Commit {commit}, {found.date}, {made.cores} cores, {made.memory_gib} GiB.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|" + "---|" * len(COLUMNS),
        *(row(arm, runs) for arm, runs in by_arm(found.runs).items()),
    ]
    return "\n".join(lines) + "\n"


def write_page(folder: Path) -> None:
    """`README.md` of all files in a folder."""
    told = (__doc__ or "").split("\n\n- approval")[1]
    head = f"# How steady training is\n\nWritten by `tests/steadiness.py`.\n\n- approval{told}\n"
    parts = [section(file.stem, read(file, Trained)) for file in sorted(folder.glob("*.json"))]
    (folder / "README.md").write_text(head + "\n".join(["", *parts]), encoding="utf-8")


def main() -> None:
    """Trains what is missing, and writes the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--name", default="defaults", help="file that the runs are kept in")
    parser.add_argument("--to", type=Path, default=FOLDER, help="folder of that file")
    parser.add_argument("--task", default="corridor", choices=sorted(TASKS))
    parser.add_argument("--arms", nargs="+", help="default: all of the task")
    parser.add_argument("--base_seeds", default="1-4")
    parser.add_argument("--seeds", default="100-102")
    asked, more = parser.parse_known_args()
    asked.to.mkdir(parents=True, exist_ok=True)
    file = asked.to / f"{asked.name}.json"
    arms = asked.arms or [arm.name for arm in TASKS[asked.task]().arms]
    told = Trained(
        task=asked.task,
        settings=more,
        date=date.today().isoformat(),
        made_by=environment(parse_run(["--task", asked.task, *more])),
        runs=read(file, Trained).runs if file.exists() else [],
    )
    done = {(one.arm, one.base_seed, one.seed) for one in told.runs}
    numbers = (parse_seeds(asked.seeds, "--seeds"), parse_seeds(asked.base_seeds, "--base_seeds"))
    for seed, base_seed, arm in product(*numbers, arms):
        if (arm, base_seed, seed) not in done:
            found = train_once(asked.task, arm, base_seed, seed, more)
            told = told.model_copy(update={"runs": [*told.runs, found]})
            write(file, told)
            print(len(told.runs), arm, base_seed, seed, steadiness(found.approvals), flush=True)
    write_page(asked.to)
    print(row("all", told.runs))


if __name__ == "__main__":
    main()
