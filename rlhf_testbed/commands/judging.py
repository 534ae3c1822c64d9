"""Commands that measure finished runs: evaluations by later overseers, probes of hidden states."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rlhf_testbed.commands.finished import ended_by

if TYPE_CHECKING:
    from rich.console import Console

    from rlhf_testbed.store.run_directory import RunDirectory


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run, or an experiment.", metavar="RUN")],
    overseer: Annotated[str, typer.Option(help="Who judges.")] = "full_knowledge",
    knowledge: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="κ of an overseer that has one. Default: the run's."),
    ] = None,
    overseer_args: Annotated[
        list[str] | None,
        typer.Option(
            "--overseer_args",
            "--overseer-args",
            metavar="NAME=VALUE",
            help="Option of the overseer; may be given several times. Default: the run's own, as "
            "far as the overseer has them.",
        ),
    ] = None,
) -> None:
    """Judge a run's generations and fresh held-out ones, and measure both threats.

    Example: rlhf-testbed evaluate runs/corridor/both/seed-0 --overseer full_knowledge

    Example: rlhf-testbed evaluate runs/corridor --overseer my_pkg.marker:Marker --knowledge 1

    Of an experiment each run is judged, side by side; its results are as they were.
    """
    from rich.console import Console

    from rlhf_testbed.store.generations import runs_in

    directories = runs_in(run)
    if directories[0].path != run:
        _each(directories, overseer, knowledge, overseer_args, Console())
        return
    (directory,) = directories
    directory.summary()  # before seconds are spent on importing torch

    from rlhf_testbed.evaluation.evaluate import evaluate as judge_run
    from rlhf_testbed.judging.endpoint import cost
    from rlhf_testbed.report.run_measures import print_measures

    measures = judge_run(directory, overseer, knowledge, overseer_args or None)
    print_measures(measures, Console())
    folder = directory.evaluation(measures.judged_by)
    print(*(f"\n{remark}" for remark in cost.remarks(folder)), sep="", end="")
    print(f"\nfiled in {folder}")


def _each(
    directories: Sequence[RunDirectory],
    overseer: str,
    knowledge: float | None,
    entries: Sequence[str] | None,
    console: Console,
) -> None:
    """Judges the runs of an experiment side by side; ends the program where one can't be."""
    from rlhf_testbed.engine.job import JobsFailed
    from rlhf_testbed.experiment.judge_runs import Asked, judge_runs
    from rlhf_testbed.report.run_measures import print_runs

    asked = Asked(overseer, knowledge, tuple(entries) if entries else None)
    try:
        found = judge_runs(directories, asked)
    except JobsFailed as failed:
        raise ended_by(failed, "The other runs are judged.") from None
    print_runs(found, console)
    names = {one.judged_by.name for one in found}  # κ is each run's own, unless it was given
    print(f"\nfiled in evaluation/{names.pop() if len(names) == 1 else ''} of each run")


def latent(
    run: Annotated[Path, typer.Argument(help="A run directory.", metavar="RUN")],
    episodes: Annotated[
        int, typer.Option(min=1, max=10_000, help="Fresh held-out episodes.")
    ] = 1024,
) -> None:
    """Probe hidden states: can it be read off them that a response is bad, and out of sight?

    Example: rlhf-testbed latent runs/corridor/both/seed-0

    Linear probes, before the response is written and after it, in the policy and in its base
    policy on the same text. They find what can be read off a state, not what the policy uses.
    """
    from rlhf_testbed.store.run_directory import RunDirectory

    directory = RunDirectory.open(run)
    directory.summary()

    from rich.console import Console

    from rlhf_testbed.evaluation.latent import read
    from rlhf_testbed.report.latent import print_latent

    print_latent(read(directory, episodes), Console())
    print(f"\nfiled in {directory.evaluation() / 'latent.json'}")
