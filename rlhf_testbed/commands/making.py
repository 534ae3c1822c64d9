"""Commands that make something of it: starter files, checks, folders and files for others."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from rlhf_testbed.shared.errors import UsageError, looked_up

RunPath = Annotated[Path, typer.Argument(help="A run directory.", metavar="RUN")]


def new(
    kind: Annotated[str, typer.Argument(help="What to begin.", metavar="task|overseer")],
    name: Annotated[str, typer.Argument(help="Its name, as a Python module's.", metavar="NAME")],
    folder: Annotated[Path, typer.Option(help="Where to write NAME.py.")] = Path("."),
) -> None:
    """Write a starter file for a task or an overseer of your own, which works as it is.

    Example: rlhf-testbed new task drawers --folder my_pkg
    """
    from rlhf_testbed.contract.starters import write_starter

    path, dotted = write_starter(kind, name, folder)
    print(f"{path}: written. Edit it; then")
    print(f"  rlhf-testbed check {dotted}")
    print(f"  accelerate launch -m rlhf_testbed.train --{kind} {dotted} --arm both")


def check(
    name: Annotated[
        str, typer.Argument(help="A task or an overseer: a name, or module:Class.", metavar="NAME")
    ],
    task: Annotated[
        list[str] | None,
        typer.Option(help="Try an overseer on this task only. Default: on every one listed."),
    ] = None,
) -> None:
    """Try every rule of the contract on a task or an overseer, your own or a listed one.

    Example: rlhf-testbed check my_pkg.my_task:Ledger

    Exit status 1 if a rule is broken. A NOTE breaks none: it tells what a rule can't.
    """
    from rlhf_testbed.contract import check_overseer, check_task
    from rlhf_testbed.contract.scales import scale_notes
    from rlhf_testbed.overseers.base import Overseer
    from rlhf_testbed.settings.plugins import plugin_class, task_named
    from rlhf_testbed.tasks import TASKS

    found = plugin_class(name, "command line:")
    notes: Iterable[str] = ()
    if issubclass(found, Overseer):
        tasks = [task_named(each, "--task") for each in task or TASKS]
        results, notes = check_overseer(found, tasks), scale_notes(found, tasks)
    else:
        if task:
            raise UsageError(f"--task is for overseers, and {name} is a task")
        results = check_task(task_named(name))
    for result in results:
        print(f"{result.status}  {name}  {result.rule}: {result.detail}", flush=True)
    for note in notes:
        print(f"NOTE  {name}  {note}")
    broken = sum(result.status == "FAIL" for result in results)
    print(f"{len(results) - broken} of {len(results)} rules hold")
    raise typer.Exit(1 if broken else 0)


def publish(
    experiment: Annotated[
        Path, typer.Argument(help="A finished experiment.", metavar="EXPERIMENT")
    ],
    folder: Annotated[Path, typer.Argument(help="Where to write.", metavar="FOLDER")],
    control: Annotated[
        Path | None,
        typer.Option(
            help="The same arms with `scores: shuffled`: what they show beyond it is selection."
        ),
    ] = None,
    latex: Annotated[
        bool,
        typer.Option("--latex", help="Also for a paper: arms.tex (booktabs), and pictures as PDF."),
    ] = False,
) -> None:
    """Write an experiment's tables, figures and pictures as a folder for a repository.

    Example: rlhf-testbed publish runs/corridor docs/results/corridor

    Example: rlhf-testbed publish runs/corridor docs/corridor --control runs/corridor-drift

    Example: rlhf-testbed publish runs/corridor paper/corridor --latex
    """
    from rlhf_testbed.report.publish import publish as write

    print(f"written: {write(experiment, folder, control, latex=latex)}")


def export(
    run: Annotated[Path, typer.Argument(help="A run, or an experiment.", metavar="RUN")],
    to: Annotated[str, typer.Option("--to", help="inspect, or dataset.")],
    output_dir: Annotated[
        Path | None,
        typer.Option(
            "--output_dir",
            "--output-dir",
            help="Folder to write. Default: RUN/export/inspect|dataset.",
        ),
    ] = None,
) -> None:
    """Write generations and verdicts for other tools: Inspect, or Hugging Face datasets.

    Example: rlhf-testbed export runs/corridor --to inspect

    Of an experiment: two logs a run, or one dataset of all runs.
    """
    from rlhf_testbed.store.generations import runs_in

    runs_in(run)  # a wrong path is told before anything slow is imported

    from rlhf_testbed.export.formats import FORMATS
    from rlhf_testbed.export.formats import export as export_runs
    from rlhf_testbed.shared.progress import LiveLine

    with LiveLine("export") as watcher:
        folder, left_out = export_runs(run, to, output_dir, watcher)
    for why in left_out:
        print(f"left out: {why}", file=sys.stderr)
    print(f"filed in {folder}\nopen it   {FORMATS[to].opens(folder)}")


def push(
    run: Annotated[Path, typer.Argument(help="A run, or an experiment.", metavar="RUN")],
    repo: Annotated[
        str, typer.Argument(help="NAMESPACE/NAME on the Hub, for each kind.", metavar="REPO")
    ],
    what: Annotated[
        str,
        typer.Option(
            help="policy (a model repository), dataset, report (a static Space), or all of them."
        ),
    ] = "all",
    private: Annotated[
        bool, typer.Option("--private/--public", help="Who may see what is made.")
    ] = True,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            "--dry_run",
            help="Say which files would go where, and push nothing: no token, no network.",
        ),
    ] = False,
) -> None:
    """Push policy, dataset and report to the Hugging Face Hub, to be seen by you alone.

    Example: rlhf-testbed push runs/corridor alice/corridor --dry-run

    Example: rlhf-testbed push runs/corridor alice/corridor --what dataset --public

    Of an experiment: all policies in one repository, a folder each. The token is that of
    `hf auth login` or HF_TOKEN. Full paths are cut from what is written for readers.
    """
    from rlhf_testbed.export.hub import WHAT, planned, shown
    from rlhf_testbed.export.pushing import push as push_all
    from rlhf_testbed.export.pushing import refuse_odd_name

    refuse_odd_name(repo)
    chosen = looked_up("command line: --what", what, {"all": WHAT, **{one: (one,) for one in WHAT}})
    repos, left_out = planned(run, chosen, repo)
    for why in left_out:
        print(f"left out: {why}", file=sys.stderr)
    if dry_run:
        for line in shown(repos, repo, private):
            print(line)
        return
    try:
        push_all(repos, repo, private, lambda one, url: print(f"{one.kind:8} {url}", flush=True))
    except KeyboardInterrupt:
        print("\nThe same command goes on with what is missing.", file=sys.stderr)
        raise
