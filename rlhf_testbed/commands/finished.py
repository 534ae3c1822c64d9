"""Jobs run to their end for a command, which tells what failed and ends the program."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from rlhf_testbed.engine.job import Engine, JobsFailed, Orders

if TYPE_CHECKING:
    from rlhf_testbed.experiment.plan import Experiment
    from rlhf_testbed.store.experiment_records import Results

TOLD = 10
"""Failures that are told whole; of more it is told how many."""


def finished(
    planned: Experiment,
    engine: Engine | None = None,
    orders: Orders = Orders(),
    stop_at_gates: bool = False,
    kept: bool = True,
) -> Results:
    """The results of an experiment; ends the program when a part fails or it is interrupted.

    `kept`: whether its folder stays, so that the same command goes on.
    """
    from rlhf_testbed.experiment.run import run_experiment

    try:
        return run_experiment(planned, engine, orders, stop_at_gates)
    except JobsFailed as failed:
        rest = "The other runs are kept: the same command goes on with what failed." if kept else ""
        look = f"rlhf-testbed experiment status {planned.folder}"
        raise ended_by(failed, rest, look) from None
    except KeyboardInterrupt:
        if kept:
            print("\nThe same command goes on with what is missing.", file=sys.stderr)
        raise


def ended_by(failed: JobsFailed, rest: str, look: str = "") -> typer.Exit:
    """Tells what failed, a line each, and `rest` of all others; how the program is to end.

    `look`: where it is read what of many failures is not told here.
    """
    for title, said, _ in failed.failures[:TOLD]:
        print(f"error: {title}: {said}", file=sys.stderr)
    if (more := len(failed.failures) - TOLD) > 0:
        print(f"error: and {more} more{f' ({look})' if look else ''}", file=sys.stderr)
    if rest:
        print(rest, file=sys.stderr)
    return typer.Exit(2 if all(failure.usage for failure in failed.failures) else 1)
