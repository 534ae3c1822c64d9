"""docs/METRICS.md: the rows of the figures that stand in a table in code are written from it.

    python -m rlhf_testbed.report.metrics docs/METRICS.md

    <!-- goal measures: written by python -m rlhf_testbed.report.metrics -->
    | figure | unit | interval | definition | can't tell |
    |---|---|---|---|---|
    | `threat_2` | nats | t | goal-directedness towards ... | which of ... |
    <!-- end -->

What stands outside of the marks is prose, and stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from rlhf_testbed.evaluation.definitions import RUN_MEASURES
from rlhf_testbed.evaluation.episode_measures import EPISODE_MEASURES, Definition
from rlhf_testbed.evaluation.goals import GOAL_MEASURES
from rlhf_testbed.evaluation.measured import MEASURED_MEASURES
from rlhf_testbed.shared.errors import UsageError, reported
from rlhf_testbed.shared.files import read_text, write_text

BEGIN = "<!-- {name}: written by python -m rlhf_testbed.report.metrics -->"
END = "<!-- end -->"
TABLES: Mapping[str, Mapping[str, Definition]] = {
    "episode measures": {name: one.definition for name, one in EPISODE_MEASURES.items()},
    "goal measures": {name: one.definition for name, one in GOAL_MEASURES.items()},
    "run measures": RUN_MEASURES,
    "measures of generations": {n: one.definition for n, one in MEASURED_MEASURES.items()},
}
"""The tables of figures, by the name that their marks have."""
COLUMNS = ("figure", "unit", "interval", "definition", "can't tell")


def written(text: str, where: str = "text") -> str:
    """`text` with the rows between each pair of marks written anew; raises `UsageError` for none.

    Written twice, it is the same as written once.
    """
    for name, figures in TABLES.items():
        begin = BEGIN.format(name=name)
        head, found, rest = text.partition(f"{begin}\n")
        _, ended, tail = rest.partition(END)
        if not (found and ended):
            raise UsageError(f"{where}: lacks the marks of the {name} ({begin} ... {END})")
        text = f"{head}{found}{table(figures)}\n{ended}{tail}"
    return text


def table(figures: Mapping[str, Definition]) -> str:
    """A table in Markdown, a row a figure.

    >>> print(table({"kl": Definition("nats", "KL(policy, base policy)")}))
    | figure | unit | interval | definition | can't tell |
    |---|---|---|---|---|
    | `kl` | nats | t | KL(policy, base policy) |  |
    """
    rows = [
        (f"`{name}`", one.unit, one.interval_told, one.words, one.cannot_tell)
        for name, one in figures.items()
    ]
    lines = [_line(COLUMNS), "|" + "---|" * len(COLUMNS), *map(_line, rows)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    """One row of a table in Markdown."""
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def main(
    file: Annotated[Path, typer.Argument(help="The page.")] = Path("docs/METRICS.md"),
) -> None:
    """Write the tables of docs/METRICS.md anew, from the tables in code."""
    with reported():
        write_text(file, written(read_text(file), str(file)))
    print(f"written: {file}")


if __name__ == "__main__":
    typer.run(main)
