"""The command line: `rlhf-testbed --help`.

Commands import what they need when they run, so that help answers at once and reading generations
needs no torch.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlhf_testbed.engine.job import ENGINES
from rlhf_testbed.shared.errors import UsageError, looked_up, reported

if TYPE_CHECKING:
    from rlhf_testbed.experiment.plan import Experiment
    from rlhf_testbed.store.experiment_records import Results

app = typer.Typer(
    help="Measures two threats of RLHF apart: selection for bad behaviour, and induced "
    "goal-directedness.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

RunPath = Annotated[Path, typer.Argument(help="A run directory.", metavar="RUN")]


@app.command()
def experiment(
    config: Annotated[Path, typer.Argument(help="An experiment's YAML file.", metavar="CONFIG")],
    seeds: Annotated[str | None, typer.Option(help="Training seeds: 0-4, or 7,11.")] = None,
    output_dir: Annotated[
        str | None,
        typer.Option(
            "--output_dir", "--output-dir", help="Folder of the experiment. Default: runs/CONFIG."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Runs at a time. Default: one a core.")
    ] = None,
    engine: Annotated[str, typer.Option(help=f"Where jobs run: {', '.join(ENGINES)}.")] = "local",
) -> None:
    """Run arms × seeds side by side; print gates and table; draw the threat plane.

    Example: rlhf-testbed experiment configs/corridor.yaml --seeds 0-4

    Interrupted and started again, it goes on with what is missing. Asked for fewer arms or seeds,
    it keeps the results of the rest.
    """
    if not config.is_file():
        raise UsageError(f"{config}: no such file")

    from rich.console import Console

    from rlhf_testbed.experiment.plan import plan
    from rlhf_testbed.experiment.results import elsewhere
    from rlhf_testbed.report.contents import draw_headlines
    from rlhf_testbed.report.table import PRINTED

    console = Console()
    planned = plan(str(config), seeds, output_dir)
    console.print(
        f"{planned.task.name}: {len(planned.settings)} arms × {len(planned.seeds)} seeds, "
        f"in {planned.folder}",
        highlight=False,
    )
    results = _finished(planned, workers, engine)
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
    console.print(f"read on   rlhf-testbed inspect {planned.folder}", highlight=False)
    console.print(f"look      rlhf-testbed report {planned.folder}", highlight=False)


@app.command()
def gates(
    of: Annotated[
        str, typer.Argument(help="A task's name, or an experiment's YAML file.", metavar="TASK")
    ],
    seeds: Annotated[str, typer.Option(help="Training seeds of the second gate.")] = "0-1",
    output_dir: Annotated[
        str | None,
        typer.Option(
            "--output_dir", "--output-dir", help="Folder of the runs. Default: runs/gates-TASK."
        ),
    ] = None,
) -> None:
    """Check the six gates of a task: what must hold before anything is called deception.

    Example: rlhf-testbed gates corridor

    Example: rlhf-testbed gates configs/inspection.yaml
    """
    from rich.console import Console

    from rlhf_testbed.experiment.plan import plan_gates
    from rlhf_testbed.report.table import print_gates

    print_gates(_finished(plan_gates(of, seeds, output_dir), None), Console())


@app.command()
def evaluate(
    run: RunPath,
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
    """
    from rlhf_testbed.store.run_directory import RunDirectory

    directory = RunDirectory.open(run)
    directory.summary()

    from rich.console import Console

    from rlhf_testbed.evaluation.evaluate import evaluate as judge_run
    from rlhf_testbed.report.table import print_measures

    measures = judge_run(directory, overseer, knowledge, overseer_args or None)
    print_measures(measures, Console())
    print(f"\nfiled in {directory.evaluation(measures.judged_by)}")


@app.command()
def publish(
    experiment: Annotated[
        Path, typer.Argument(help="A finished experiment.", metavar="EXPERIMENT")
    ],
    folder: Annotated[Path, typer.Argument(help="Where to write.", metavar="FOLDER")],
) -> None:
    """Write an experiment's tables, figures and pictures as a folder for a repository.

    Example: rlhf-testbed publish runs/corridor docs/results/corridor
    """
    from rlhf_testbed.report.publish import publish as write

    print(f"written: {write(experiment, folder)}")


@app.command()
def latent(
    run: RunPath,
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


@app.command()
def inspect(
    run: Annotated[Path, typer.Argument(help="A run, or an experiment.", metavar="RUN")],
    arm: Annotated[str | None, typer.Option(help="Only this arm.")] = None,
    seed: Annotated[int | None, typer.Option(help="Only this training seed.")] = None,
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
        typer.Option(min=1, help="How many to show. Default: all in a terminal, else 10."),
    ] = None,
    web: Annotated[bool, typer.Option("--web", help="Write the browser's page instead.")] = False,
) -> None:
    """Read generations: prompt, response, what the overseer saw, and what was true.

    Example: rlhf-testbed inspect runs/corridor --arm both --update 55-60 --approved --unwanted

    In a terminal they are shown a page at a time (space, b, / and q, as in less).
    """
    if web:
        from rlhf_testbed.report.page import write_browser

        print(write_browser(run))
        return

    from rlhf_testbed.report.generations import page_generations
    from rlhf_testbed.store.generations import Filter, found, in_order, parse_updates
    from rlhf_testbed.store.run_directory import STAGES

    updates = parse_updates(update) if update else None
    wanted = Filter(arm, seed, updates, approved, unwanted, text, search, trait, scenario)
    chosen = looked_up("--of", stage, {name: name for name in STAGES})
    generations = in_order(found(run, wanted, chosen), sort)
    if not page_generations(generations, limit):
        print("no generation matches")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run, or an experiment.", metavar="RUN")],
) -> None:
    """Write the report: one page with verdicts, pictures and every generation. Opens from disk.

    Example: rlhf-testbed report runs/corridor
    """
    from rlhf_testbed.report.page import write_report

    print(write_report(run))


@app.command()
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


@app.command()
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

    Exit status 1 if a rule is broken.
    """
    from overseers.base import Overseer
    from rlhf_testbed.contract import check_overseer, check_task
    from rlhf_testbed.settings.plugins import plugin_class, task_named
    from tasks import TASKS

    found = plugin_class(name, "command line:")
    if issubclass(found, Overseer):
        results = check_overseer(found, [task_named(each, "--task") for each in task or TASKS])
    else:
        if task:
            raise UsageError(f"--task is for overseers, and {name} is a task")
        results = check_task(task_named(name))
    for result in results:
        print(f"{result.status}  {name}  {result.rule}: {result.detail}", flush=True)
    broken = sum(result.status == "FAIL" for result in results)
    print(f"{len(results) - broken} of {len(results)} rules hold")
    raise typer.Exit(1 if broken else 0)


@app.command("list")
def list_() -> None:
    """Show the tasks with their arms and goals, the overseers, and the selection methods.

    Example: rlhf-testbed list
    """
    from overseers import HELD_OUT, OVERSEERS
    from rlhf_testbed.report.listing import listing
    from tasks import TASKS

    for line in listing(TASKS, OVERSEERS, HELD_OUT):
        print(line)


@app.command()
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
    print(f"filed in {folder}\nopen it   {FORMATS[to].opens.format(folder=folder)}")


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def train(context: typer.Context) -> None:
    """Train one policy: as `accelerate launch -m rlhf_testbed.train`, in one process.

    Example: rlhf-testbed train --config configs/corridor.yaml --arm both --seed 3
    """
    from rlhf_testbed.selection.job import main as train_main

    sys.argv = ["rlhf-testbed train", *context.args]
    train_main()


def _finished(planned: Experiment, workers: int | None, engine: str = "local") -> Results:
    """The results of an experiment; ends the program when it fails or is interrupted."""
    from rlhf_testbed.engine.job import JobsFailed
    from rlhf_testbed.experiment.run import run_experiment

    try:
        return run_experiment(planned, workers, engine)
    except JobsFailed as failed:
        for title, said, _ in failed.failures:
            print(f"error: {title}: {said}", file=sys.stderr)
        print(
            "The other runs are kept: the same command goes on with what failed.", file=sys.stderr
        )
        bad_input = all(failure.usage for failure in failed.failures)
        raise typer.Exit(2 if bad_input else 1) from None
    except KeyboardInterrupt:
        print("\ninterrupted: the same command goes on with what is missing", file=sys.stderr)
        raise typer.Exit(130) from None


def main() -> None:
    """Runs the command line; bad input is one line and exit status 2."""
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    # typer carries its own click, so the class is found from one that typer makes public.
    click_error: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
    with reported():
        try:
            status = app(standalone_mode=False)
        except click_error as error:
            raise UsageError(f"command line: {error.format_message()}") from None
    raise SystemExit(status or 0)
