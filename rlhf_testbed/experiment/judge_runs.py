"""A later overseer's word on every run of an experiment, side by side.

    rlhf-testbed evaluate runs/corridor --overseer my_pkg.marker:Marker --knowledge 1

What it says is filed in each run, under its name; the experiment's results are as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rlhf_testbed.engine.job import Engine, Job, Orders
from rlhf_testbed.engine.local import Local
from rlhf_testbed.evaluation.evaluate import evaluate, judged_by
from rlhf_testbed.shared.progress import Watcher
from rlhf_testbed.shared.record import read
from rlhf_testbed.store.in_use import held
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import Measures


class Asked(NamedTuple):
    """Who is to judge."""

    overseer: str
    knowledge: float | None = None
    """None: as much as the run's own."""
    options: tuple[str, ...] | None = None
    """`NAME=VALUE` each; None: the run's own."""


def judge_runs(
    runs: Sequence[RunDirectory], asked: Asked, engine: Engine | None = None
) -> list[Measures]:
    """What the overseer found in each run; raises `JobsFailed` once all others are judged.

    `engine`: by default this machine's cores. Raises `UsageError` where it can't judge at all.
    """
    folders = [_folder(one, asked) for one in runs]
    jobs = [
        Job(f"{one.path.parent.name}/{one.path.name}", judge, (one.path, asked)) for one in runs
    ]
    (engine or Local()).run(jobs, Orders(preload=[__name__]))
    return [read(folder / Measures.file, Measures) for folder in folders]


def judge(watcher: Watcher, path: Path, asked: Asked) -> None:
    """One job: a run's evaluation."""
    directory = RunDirectory.open(path)
    with held(path):
        evaluate(directory, *asked)


def _folder(directory: RunDirectory, asked: Asked) -> Path:
    return directory.evaluation(judged_by(directory.settings(), *asked))
