"""Commands that look at what is there: generations, the report, two side by side, what there is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rlhf_testbed.shared.errors import UsageError, looked_up

if TYPE_CHECKING:
    from rlhf_testbed.store.generations import Filter
    from rlhf_testbed.store.run_directory import Stage

RunPath = Annotated[Path, typer.Argument(help="A run directory.", metavar="RUN")]
CARDS = "cards"
SHOWN = (CARDS, "table")
FORMATS = (*SHOWN, "csv", "jsonl", "parquet")
"""How generations are given: to a reader, or to another program (`export/rows.py`)."""


def inspect(
    run: Annotated[Path, typer.Argument(help="A run, or an experiment.", metavar="RUN")],
    arm: Annotated[str | None, typer.Option(help="Only this arm.")] = None,
    seed: Annotated[int | None, typer.Option(help="Only this training seed.")] = None,
    base_seed: Annotated[
        int | None,
        typer.Option("--base-seed", "--base_seed", help="Only this base policy, by its seed."),
    ] = None,
    update: Annotated[str | None, typer.Option(help="Only these updates: 60, or 55-60.")] = None,
    approved: Annotated[
        bool | None,
        typer.Option(help="Only approved, or only not approved, by the training overseer."),
    ] = None,
    unwanted: Annotated[
        bool | None, typer.Option(help="Only rejected, or only not rejected, under full knowledge.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="Only responses with this in them.")] = None,
    search: Annotated[
        str | None, typer.Option(help="Only with this in prompt, response, name or a reason.")
    ] = None,
    trait: Annotated[
        str | None, typer.Option(help="Only with this behaviour, like 'tramples unseen'.")
    ] = None,
    scenario: Annotated[str | None, typer.Option(help="Only generations of this scenario.")] = None,
    stage: Annotated[
        str,
        typer.Option(
            "--of",
            help="Generations of training, held_out (the selected policy's, once evaluated) or "
            "base (the base policy's).",
        ),
    ] = "training",
    sort: Annotated[
        str | None,
        typer.Option(help="Order: score, true_score, advantage or kl; -kl for falling."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many to show. Default: all in a terminal and in files, else 10."
        ),
    ] = None,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="cards; table (a line each); or, for other programs and without a limit: csv, "
            "jsonl or parquet.",
        ),
    ] = CARDS,
    web: Annotated[bool, typer.Option("--web", help="Write the browser's page instead.")] = False,
) -> None:
    """Read generations: prompt, response, what the overseer saw, and what was true.

    Example: rlhf-testbed inspect runs/corridor --arm both --update 55-60 --approved --unwanted

    Example: rlhf-testbed inspect runs/corridor --approved --unwanted --format jsonl > bad.jsonl

    In a terminal they are shown a page at a time (space, b, / and q, as in less).
    """
    if web:
        from rlhf_testbed.report.page import write_browser

        print(write_browser(run))
        return

    from rlhf_testbed.store.generations import Filter, parse_updates
    from rlhf_testbed.store.run_directory import STAGES

    updates = parse_updates(update) if update else None
    wanted = Filter(
        arm, seed, updates, approved, unwanted, text, search, trait, scenario, base_seed
    )
    chosen = looked_up("--of", stage, {name: name for name in STAGES})
    if looked_up("--format", form, {name: name for name in FORMATS}) in SHOWN:
        _show(run, wanted, chosen, sort, limit, form)
    else:
        _hand_on(run, wanted, chosen, sort, limit, form)


def _show(
    run: Path, wanted: Filter, stage: Stage, sort: str | None, limit: int | None, form: str
) -> None:
    """Shows generations to a reader, as cards or as a table."""
    from rlhf_testbed.report.generations import page_generations, print_generations
    from rlhf_testbed.report.lines import PAGE, print_lines
    from rlhf_testbed.store.generations import found, in_order

    show, at_a_time = (print_generations, 1) if form == CARDS else (print_lines, PAGE)
    if not page_generations(in_order(found(run, wanted, stage), sort), limit, show, at_a_time):
        print("no generation matches")


def _hand_on(
    run: Path, wanted: Filter, stage: Stage, sort: str | None, limit: int | None, form: str
) -> None:
    """Writes generations for another program to standard output, all of them unless limited."""
    from rlhf_testbed.export.rows import write_rows
    from rlhf_testbed.store.generation_rows import rows_of

    if form == "parquet" and sys.stdout.isatty():
        raise UsageError("--format parquet is no text for a terminal (right: ... > FILE.parquet)")
    rows = rows_of(run, wanted, stage, sort, limit)
    sys.stdout.flush()
    if not write_rows(rows, form, sys.stdout.buffer):
        print("no generation matches", file=sys.stderr)


def report(
    run: Annotated[Path, typer.Argument(help="A run, or an experiment.", metavar="RUN")],
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Also write every picture as PDF, for a paper.")
    ] = False,
) -> None:
    """Write the report: one page with verdicts, pictures and every generation. Opens from disk.

    Example: rlhf-testbed report runs/corridor

    Says the finding in one sentence first, on standard error: standard output has the page alone.
    """
    from rich.console import Console

    from rlhf_testbed.report.headline import print_headline
    from rlhf_testbed.report.page import report_of
    from rlhf_testbed.report.sources import Source

    source = Source.of(run)
    print_headline(source.results, Console(stderr=True), source.bound)
    print(report_of(source, pdf=pdf))


def compare(
    a: Annotated[Path, typer.Argument(help="A run, or an experiment.", metavar="A")],
    b: Annotated[Path, typer.Argument(help="Another of the same task.", metavar="B")],
    examples: Annotated[int, typer.Option(min=0, help="How many changed generations to show.")] = 3,
    json: Annotated[
        Path | None,
        typer.Option(help="File to write everything to, as JSON.", metavar="FILE"),
    ] = None,
) -> None:
    """Compare two runs or two experiments: settings, figures that moved, generations that changed.

    Example: rlhf-testbed compare runs/corridor runs/corridor-longer

    Differences are B - A. Of two experiments they are paired by base policy and training seed, with
    95 % intervals; of two runs they are plain.
    """
    from rich.console import Console

    from rlhf_testbed.experiment.compare import compare as compared
    from rlhf_testbed.report.compare import print_comparison, write_comparison

    found = compared(a, b, examples)
    print_comparison(found, Console())
    if json is not None:
        print(f"\nfiled in {write_comparison(found, json)}")


def list_() -> None:
    """Show the tasks with their arms and goals, the overseers, and the selection methods.

    Example: rlhf-testbed list
    """
    from rlhf_testbed.overseers import HELD_OUT, OVERSEERS
    from rlhf_testbed.report.listing import listing
    from rlhf_testbed.tasks import TASKS

    for line in listing(TASKS, OVERSEERS, HELD_OUT):
        print(line)
