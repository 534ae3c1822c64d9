"""The ledgers of all runs as one dataset: a row an episode, with its run's arm and seeds.

    rows = scan(Path("runs/corridor"), ["arm", "update", "score"], pc.field("seed") < 10)
    rows.to_reader().read_all().group_by(["arm", "update"]).aggregate([("score", "mean")])
    duckdb.sql("select arm, update, avg(score) from rows group by all")

Nothing is read before it is asked for, and then a piece at a time, so that a query takes the memory
of its answer; files of runs that a filter leaves out are not opened. docs/METRICS.md shows queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow.fs import LocalFileSystem

from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import read_yaml
from rlhf_testbed.store import ledger, verdicts
from rlhf_testbed.store.experiment_records import ExperimentFile
from rlhf_testbed.store.generations import runs_in
from rlhf_testbed.store.pieces import counting
from rlhf_testbed.store.run_directory import FOLDER, RunDirectory, Stage

WHOSE = (("arm", pa.string()), ("base_seed", pa.int64()), ("seed", pa.int64()))
"""The columns that tell a row's run."""


class RunOf(NamedTuple):
    """Which run a directory holds."""

    arm: str
    base_seed: int
    seed: int


def dataset(path: Path, stage: Stage = "training", judged_by: str | None = None) -> ds.Dataset:
    """The generations of one stage of a run, or of all runs of an experiment, as far as they are
    there; raises `UsageError` where there is none.

    Columns: `WHOSE`, then those of the ledger. With `judged_by`, the name of an evaluation such as
    `full_knowledge`: those of its verdicts on the same episodes instead.
    """
    files, whose = [], []
    for directory, run in runs_told(path):
        one = (pc.field(name) == value for name, value in run._asdict().items())
        arm, base, seed = one
        here = list(_files(directory, stage, judged_by))
        files += here
        whose += [arm & base & seed] * len(here)
    if not files:
        of = f"verdicts by {judged_by} on it" if judged_by else "ledger"
        raise UsageError(f"{path}: no {of} here ({stage}) (rlhf-testbed experiment makes it)")
    schema = verdicts.SCHEMA if judged_by else ledger.SCHEMA
    return ds.FileSystemDataset.from_paths(
        [str(file.resolve()) for file in files],
        schema=pa.schema([*WHOSE, *schema]),
        format=ds.ParquetFileFormat(),
        filesystem=LocalFileSystem(),
        partitions=whose,
    )


def scan(
    path: Path,
    columns: Sequence[str],
    where: pc.Expression | None = None,
    stage: Stage = "training",
    judged_by: str | None = None,
) -> ds.Scanner:
    """Some columns of a dataset, for a single reading that keeps nothing: `dataset` remembers the
    header of every file that was read (50 KB each), which of 20,000 files is a gigabyte."""
    found = dataset(path, stage, judged_by)
    return found.scanner(columns=list(columns), filter=where, cache_metadata=False)


def runs_told(path: Path) -> Iterator[tuple[RunDirectory, RunOf]]:
    """Each run with its arm and seeds, from the names of folders: 10,000 in a second.

    Where a name can't tell, the run's own settings do.
    """
    file = path / ExperimentFile.file
    own = read_yaml(file).get("config", {}).get("base_seed") if file.is_file() else None
    for directory in runs_in(path):
        named = FOLDER.fullmatch(directory.path.name)
        base = named and (named[2] or own)
        if directory.path != path and named and base is not None:
            yield directory, RunOf(directory.path.parent.name, int(base), int(named[1]))
            continue
        settings = directory.settings()
        arm = settings.study.arm or settings.study.task
        if directory.path != path:
            arm = directory.path.parent.name
        yield directory, RunOf(arm, settings.base.base_seed, settings.seed)


def _files(directory: RunDirectory, stage: Stage, judged_by: str | None) -> Iterator[Path]:
    """The files of a run that count; none where there is nothing yet."""
    if stage == "training" and not judged_by:
        yield from (piece.path for piece in counting(directory.ledger))
        return
    file = directory.verdicts(judged_by, stage) if judged_by else directory.generations(stage)
    if file.is_file():
        yield file
