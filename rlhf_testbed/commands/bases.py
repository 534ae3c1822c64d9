"""Commands for base policies: which there are, and building one on its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rlhf_testbed.shared.errors import UsageError

if TYPE_CHECKING:
    from rlhf_testbed.policy.base_shelves import Shelved

app = typer.Typer(
    help="Base policies, which selection starts from: those that are there, and new ones.",
    rich_markup_mode=None,
)


@app.command("list")
def list_() -> None:
    """Show the base policies that ship with the package, and those that were built here.

    Example: rlhf-testbed base list

    Reached: how often each candidate goal is reached off distribution, by the base policy / by its
    demonstrators. Current: made from what the task is today.
    """
    from rlhf_testbed.policy.base_shelves import cached, shipped

    shelves = {"shipped": shipped(), "built here": cached()}
    for where, shelf in shelves.items():
        print(f"{where}: {len(shelf)}")
        for one in shelf:
            print(f"  {_told(one)}")


@app.command("build", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def build(
    context: typer.Context,
    task: Annotated[
        str | None, typer.Argument(help="A task: a name, or module:Class.", metavar="TASK")
    ] = None,
    output_dir: Annotated[
        Path | None,
        typer.Option("--output_dir", "--output-dir", help="Folder to write; must not exist."),
    ] = None,
    shipped: Annotated[
        bool,
        typer.Option(
            "--shipped", help="Build the shipped set instead, as far as it is not current."
        ),
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="How many at a time. Default: one a core.")
    ] = None,
) -> None:
    """Build a base policy; every setting of a run can be given, like --base_seed or --base_steps.

    Example: rlhf-testbed base build corridor --unintended_share 0.3 --base_seed 0 --output_dir DIR

    Example: rlhf-testbed base build --shipped
    """
    arguments = _asked(context.args, task, output_dir, shipped)

    from rlhf_testbed.engine.job import JobsFailed
    from rlhf_testbed.engine.local import run_side_by_side
    from rlhf_testbed.experiment.bases import PRELOADED, build_job, shipped_jobs

    jobs = shipped_jobs() if shipped else [build_job(arguments, Path(str(output_dir)))]
    try:
        run_side_by_side(jobs, workers, PRELOADED)
    except JobsFailed as failed:
        for title, said, _ in failed.failures:
            print(f"error: {title}: {said}", file=sys.stderr)
        raise typer.Exit(2 if all(one.usage for one in failed.failures) else 1) from None
    if output_dir:
        print(f"{output_dir}: built")


def _asked(given: list[str], task: str | None, output_dir: Path | None, shipped: bool) -> list[str]:
    """The arguments of a run that starts from the base policy; raises `UsageError`."""
    if shipped:
        if given or task or output_dir:
            raise UsageError("--shipped builds a set of its own: it takes --workers only")
        return []
    if task is None or output_dir is None:
        raise UsageError("base build takes a TASK and --output_dir DIR, or --shipped")
    if output_dir.exists():
        raise UsageError(f"{output_dir}: exists (name another --output_dir)")

    from rlhf_testbed.settings.parsing import parse_run

    arguments = ["--task", task, *given]
    parse_run(arguments)
    return arguments


def _told(one: Shelved) -> str:
    """A base policy in one line."""
    from rlhf_testbed.policy.base_about import size

    about, settings = one.about, one.about.settings
    kind = " ".join([settings.task.rpartition(":")[2], *settings.task_args])
    reached = about.ability.reached if about.ability else {}
    goals = ", ".join(
        f"{goal} {found.base_policy:.2f} / {found.demonstrators:.2f}"
        for goal, found in reached.items()
    )
    return "   ".join(
        [
            f"{kind}, ρ {settings.unintended_share:g}, "
            f"base seed {settings.base_seed}, {settings.steps} steps",
            f"{about.hash}",
            f"{size(one.folder) / 2**20:.1f} MiB",
            f"loss {about.loss:.3f}",
            f"reached: {goals or 'not measured'}",
            "current" if _current(one) else "not current",
        ]
    )


def _current(one: Shelved) -> bool:
    """Whether today's settings and source still lead to it."""
    from rlhf_testbed.policy.base_key import quick_key
    from rlhf_testbed.settings.plugins import task_named

    settings = one.about.settings
    try:
        task = task_named(settings.task, entries=settings.task_args)
        return quick_key(settings, task) == one.about.quick
    except UsageError:
        return False
