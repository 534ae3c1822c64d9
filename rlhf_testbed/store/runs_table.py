"""The results of an experiment on disk: `results.json`, and `runs.parquet` with a row a run.

    write_results(Path("runs/corridor"), results)
    read_results(Path("runs/corridor")).arms["both"].runs.figure("threat_1")

    arm                 method  knowledge  randomised  ...  base_seed  seed  threat_1  threat_2  ...
    both randomised=0.5 ppo     0.0        0.5         ...  2          17    0.98      1.02      ...

    pandas.read_parquet("runs/corridor/runs.parquet").groupby("arm").threat_1.mean()

The table is written beside the results of every experiment. In one of more than `WHOLE` runs
`results.json` leaves the runs' own figures to it: read whole, 10,000 of them take 55 MB on disk and
400 MB in memory. A kill between the two files leaves a table that is of other runs, which is told.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import written_whole
from rlhf_testbed.shared.record import read, write
from rlhf_testbed.store.experiment_records import ArmResults, Results
from rlhf_testbed.store.run_columns import Runs, Tabled, as_ranges
from rlhf_testbed.tasks.base import SYMBOLS

TABLE = "runs.parquet"
WHOLE = 1_000
"""Runs of an experiment up to which `results.json` holds the measures of each run."""
GOALS, OPTIONS, SETTINGS = "threat_2_by_goal", "options", "settings"
"""Columns of several values by name, so that no goal or setting can pass for a figure."""
TYPES = {
    "arm": pa.string(),
    "method": pa.string(),
    "base_seed": pa.int64(),
    "seed": pa.int64(),
}
"""Of the columns that are no numbers, and of those that count."""
KEYS = (*TYPES, *SYMBOLS, OPTIONS, SETTINGS, GOALS)
"""The columns that are no figures."""


def tabled(arm: ArmResults) -> ArmResults:
    """The same arm without its runs' records: their figures are kept in columns."""
    if not arm.seeds:
        return arm
    runs = arm.runs
    bases = dict.fromkeys(runs.base_seeds)
    told = {base: as_ranges(s for b, s in runs.named if b == base) for base in bases}
    kept = Tabled(method=arm.method, options=arm.options, runs=told)
    return arm.model_copy(update={"seeds": [], "tabled": kept}).with_runs(runs)


def write_results(folder: Path, results: Results, *, table: bool = True) -> None:
    """Files the table, then the results; without `table` only where they need one."""
    if table or any(arm.tabled for arm in results.arms.values()):
        with written_whole(folder / TABLE) as aside:
            _write_table(aside, results)
    write(folder / Results.file, results)


def read_results(folder: Path) -> Results:
    """The results of an experiment with every run's figures.

    Raises `UsageError` where they are missing or damaged, or their table is.
    """
    results = read(folder / Results.file, Results)
    if not any(arm.tabled for arm in results.arms.values()):
        return results
    found = read_runs(folder / TABLE)
    for name, arm in results.arms.items():
        there = found[name].named if name in found else []
        if arm.tabled and sorted(arm.runs.named) != sorted(there):
            raise UsageError(
                f"{folder / TABLE}: is not of the runs of {name} that {Results.file} names "
                "(the experiment's command makes both anew)"
            )
    arms = {
        name: arm.with_runs(found[name]) if arm.tabled else arm
        for name, arm in results.arms.items()
    }
    return results.model_copy(update={"arms": arms})


def read_runs(file: Path) -> dict[str, Runs]:
    """The runs of each arm in a table; raises `UsageError` where it is missing or damaged."""
    if not file.is_file():
        raise UsageError(f"{file} is not there (the experiment's command makes it)")
    try:
        table = pq.read_table(file)
        columns = {name: table[name] for name in table.column_names if name not in KEYS}
        flat = table.select(["arm", "base_seed", "seed"]).to_pydict()
        goals = _by_name(table, GOALS)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise UsageError(
            f"{file}: damaged: not a table of runs ({str(error).splitlines()[0]}; "
            "the experiment's command makes it anew)"
        ) from None
    places: dict[str, list[int]] = {}
    for at, arm in enumerate(flat["arm"]):
        places.setdefault(arm, []).append(at)
    return {
        arm: Runs(
            [flat["base_seed"][at] for at in here],
            [flat["seed"][at] for at in here],
            _taken(columns, here),
            _taken(goals, here),
        )
        for arm, here in places.items()
    }


def run_rows(name: str, arm: ArmResults) -> list[dict[str, Any]]:
    """A row a run of one arm, by base policy and training seed."""
    runs = arm.runs
    return [
        {
            "arm": name,
            "method": arm.method,
            **vars(arm.dials),
            OPTIONS: arm.options,
            SETTINGS: arm.settings,
            "base_seed": base,
            "seed": seed,
            **figures,
            GOALS: {goal: values[at] for goal, values in runs.goals.items()},
        }
        for at, (base, seed, figures) in enumerate(runs.rows())
    ]


def _write_table(file: Path, results: Results) -> None:
    """Writes the rows of all arms, an arm in memory at a time."""
    some = [row for name, arm in results.arms.items() for row in run_rows(name, arm)[:1]]
    schema = pa.schema(list(_kinds(some).items()))
    with pq.ParquetWriter(file, schema) as writer:
        for name, arm in results.arms.items():
            rows = _null_for_nan(run_rows(name, arm))
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def _kinds(rows: Sequence[Mapping[str, Any]]) -> dict[str, pa.DataType]:
    """The type of each column; of several values by name those that any run has."""
    kinds: dict[str, pa.DataType] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        if name in (OPTIONS, SETTINGS, GOALS):
            inner = {each: value for row in rows for each, value in row[name].items()}
            if inner:
                kinds[name] = pa.struct({each: _kind(value) for each, value in inner.items()})
        else:
            kinds[name] = TYPES.get(name, pa.float64())
    return kinds


def _kind(value: object) -> pa.DataType:
    if isinstance(value, bool):
        return pa.bool_()
    return pa.string() if isinstance(value, str) else pa.float64()


def _null_for_nan(value: Any) -> Any:
    """As JSON has it: what could not be judged is null, which no query takes for a number."""
    if isinstance(value, dict):
        return {name: _null_for_nan(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_null_for_nan(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _by_name(table: pa.Table, column: str) -> dict[str, pa.ChunkedArray]:
    """The values of a column of several by name."""
    if column not in table.column_names:
        return {}
    found = table[column].combine_chunks()
    return {field.name: found.field(field.name) for field in found.type}


def _taken(columns: Mapping[str, pa.ChunkedArray], here: Sequence[int]) -> dict[str, array[float]]:
    """Some rows of columns of numbers, of those that have a value there; NaN for null."""
    found = {}
    for name, column in columns.items():
        values = column.take(pa.array(here)).to_pylist()
        found[name] = array("d", (math.nan if value is None else value for value in values))
    return found
