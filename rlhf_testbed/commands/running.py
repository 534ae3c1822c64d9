"""Commands that run something: experiments, one training job."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rlhf_testbed.commands.finished import finished
from rlhf_testbed.engine.job import ENGINES, Engine, Orders, engine_class
from rlhf_testbed.shared.errors import UsageError


def experiment(
    config: Annotated[Path, typer.Argument(help="An experiment's YAML file.", metavar="CONFIG")],
    seeds: Annotated[str | None, typer.Option(help="Training seeds: 0-4, or 7,11.")] = None,
    base_seeds: Annotated[
        str | None,
        typer.Option(
            "--base-seeds",
            "--base_seeds",
            help="Seeds of base policies, 0-4 or 7,11, each with every training seed.",
        ),
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            help="Run this arm alone, of those of the file; may be given several times. With "
            "--seeds it adds runs to one arm: nothing else is run, and results are of all."
        ),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting, as if the file had it; may be given several times. It is another "
            "experiment then, by default in runs/CONFIG-NAME=VALUE; but arms, vary, methods and "
            "seeds only make an experiment larger or smaller, in the same folder.",
        ),
    ] = None,
    output_dir: Annotated[
        str | None,
        typer.Option(
            "--output_dir", "--output-dir", help="Folder of the experiment. Default: runs/CONFIG."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Runs at a time. Default: as many as there is room for."),
    ] = None,
    engine: Annotated[str, typer.Option(help=f"Where runs run: {', '.join(ENGINES)}.")] = "local",
    engine_args: Annotated[
        list[str] | None,
        typer.Option(
            "--engine_args",
            "--engine-args",
            metavar="NAME=VALUE",
            help="Option of the engine, like cpus=2 or memory_gib=8 for each run; may be given "
            "several times (docs/SCALE.md).",
        ),
    ] = None,
    retries: Annotated[
        int, typer.Option(min=0, help="How often a run that died or raised is tried again.")
    ] = 1,
    anyway: Annotated[
        bool,
        typer.Option(
            "--anyway", help="Train also where a new base policy does not pass the gates."
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", "--dry_run", help="Say what would be run, and run nothing."),
    ] = False,
) -> None:
    """Run arms × base policies × seeds side by side; print gates and table; draw the threat plane.

    Example: rlhf-testbed experiment configs/corridor.yaml --seeds 0-3 --base-seeds 0-4

    Example: rlhf-testbed experiment configs/corridor.yaml --arm both --seeds 5-9

    Example: rlhf-testbed experiment configs/corridor.yaml --set learning_rate=1e-4

    Example: rlhf-testbed experiment status runs/corridor

    Interrupted and started again, it goes on with what is missing. Asked for fewer arms or seeds,
    it keeps the results of the rest. A run that fails stops no other.
    """
    if not config.is_file():
        raise UsageError(f"{config}: no such file")

    from rich.console import Console

    from rlhf_testbed.experiment.plan import plan
    from rlhf_testbed.experiment.results import elsewhere
    from rlhf_testbed.report.contents import draw_headlines
    from rlhf_testbed.report.headline import print_headline
    from rlhf_testbed.report.table import PRINTED
    from rlhf_testbed.settings.sized import told_of_size
    from rlhf_testbed.shared.files import pasted

    console = Console()
    running = _engine(engine, engine_args or [])
    planned = plan(str(config), seeds, output_dir, base_seeds, arm or [], sets or [])
    bases = len(planned.base_seeds)
    console.print(
        f"{planned.task.name}: {len(planned.settings)} arms × "
        f"{f'{bases} base policies × ' if bases > 1 else ''}{len(planned.seeds)} seeds, "
        f"in {planned.folder}",
        highlight=False,
    )
    if told := told_of_size(planned.run):
        console.print(told, highlight=False)
    orders = Orders(workers=workers, retries=retries)
    if dry_run:
        from rlhf_testbed.experiment.run import dry_run as would_run

        print(would_run(planned, running, orders))
        return
    results = finished(planned, running, orders, stop_at_gates=not anyway)
    console.print()
    print_headline(results, console, planned.run.experiment.equivalent_threat_2)
    for show in PRINTED:
        console.print()
        show(results, console)
    for name in elsewhere(planned):
        console.print(
            f"kept      {name}: measured before, and part of the results", highlight=False
        )
    pictures = draw_headlines(results, planned.folder)
    console.print(f"\nresults   {planned.folder / 'results.json'}", highlight=False)
    for picture in pictures:
        if picture.suffix == ".png":
            console.print(f"picture   {picture}", highlight=False)
    console.print(f"read on   rlhf-testbed inspect {pasted(planned.folder)}", highlight=False)
    console.print(f"look      rlhf-testbed report {pasted(planned.folder)}", highlight=False)


def status(
    folder: Annotated[Path, typer.Argument(help="An experiment's folder.", metavar="FOLDER")],
) -> None:
    """Show how far an experiment is: what is done, runs, failed, is left, and how long that takes.

    Example: rlhf-testbed experiment status runs/corridor
    """
    from rich.console import Console

    from rlhf_testbed.experiment.status import status as found
    from rlhf_testbed.report.status import print_status

    print_status(found(folder), Console())


def train(context: typer.Context) -> None:
    """Train one policy: as `accelerate launch -m rlhf_testbed.train`, in one process.

    Example: rlhf-testbed train --config configs/corridor.yaml --arm both --seed 3
    """
    from rlhf_testbed.selection.job import main as train_main

    sys.argv = ["rlhf-testbed train", *context.args]
    train_main()


def _engine(name: str, entries: list[str]) -> Engine:
    """The engine of that name with options from `NAME=VALUE` entries; raises `UsageError`."""
    from rlhf_testbed.settings.options import parse_options

    kind = engine_class(name, "--engine")
    return kind(**parse_options(name, kind, entries, "command line", "--engine_args"))
