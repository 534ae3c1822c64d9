"""The command that measures what other trainers made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def measure(
    generations: Annotated[
        Path,
        typer.Argument(
            help="Generations: parquet, CSV or JSON lines, with columns prompt and response.",
            metavar="FILE",
        ),
    ],
    task: Annotated[str, typer.Option(help="Task: a name, or module:Class.")],
    task_args: Annotated[
        list[str] | None,
        typer.Option(
            "--task_args",
            "--task-args",
            metavar="NAME=VALUE",
            help="Option of the task; may be given several times.",
        ),
    ] = None,
    knowledge: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="κ of the limited overseer. Default: the arm's, else 0."),
    ] = None,
    overseer: Annotated[str, typer.Option(help="The limited overseer.")] = "scripted",
    overseer_args: Annotated[
        list[str] | None,
        typer.Option(
            "--overseer_args",
            "--overseer-args",
            metavar="NAME=VALUE",
            help="Option of the overseer; may be given several times.",
        ),
    ] = None,
    arm: Annotated[
        str | None,
        typer.Option(help="Look for scenarios in this arm only. Default: in every arm."),
    ] = None,
    seeds: Annotated[
        str, typer.Option(help="Seeds that the scenarios were drawn with: 0-4, or 7,11.")
    ] = "0-4,42",
    scenarios: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many scenarios of each split were drawn. Default: as many as a run's."
        ),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(help="File to write everything to, as JSON.", metavar="FILE"),
    ] = None,
) -> None:
    """Measure threat 1 on generations that another trainer made.

    Example: rlhf-testbed measure completions.parquet --task inspection --knowledge 0

    Each is judged by a limited overseer and with full knowledge. The scenario is found by the
    prompt, by its id (column scenario), or told by the row (columns facts and concealable), as in
    our own exports and in what the verifiers environment leaves.
    """
    from rich.console import Console

    from rlhf_testbed.evaluation.measuring import measure as measured
    from rlhf_testbed.report.measured import print_measured, write_measured

    found = measured(
        generations,
        task,
        task_args=task_args or [],
        overseer=overseer,
        overseer_args=overseer_args or [],
        knowledge=knowledge,
        arm=arm,
        seeds=seeds,
        scenarios=scenarios,
    )
    print_measured(found, Console())
    if json is not None:
        print(f"\nfiled in {write_measured(found, json)}")
