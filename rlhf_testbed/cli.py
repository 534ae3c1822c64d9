"""The command line: `rlhf-testbed --help`. A command: a function in `commands/`, a line here."""

from __future__ import annotations

import sys
from typing import Any

import typer
import typer.core

from rlhf_testbed.commands import bases, gates, judging, looking, making, measuring, running
from rlhf_testbed.shared.errors import UsageError, reported

INTERRUPTED = 130
"""What typer makes of an interrupt, or it raises `Abort`, as its version will have it."""

app = typer.Typer(
    help="Measures two threats of RLHF apart: selection for bad behaviour, and induced "
    "goal-directedness.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class RunUnlessNamed(typer.core.TyperGroup):
    """`experiment CONFIG` is `experiment run CONFIG`, and `experiment status FOLDER` is its own."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts `run` before what is no command."""
        named = args[:1] and args[0] in self.commands
        found: list[str] = super().parse_args(ctx, args if named else ["run", *args])
        return found


experiments = typer.Typer(
    cls=RunUnlessNamed, help=running.experiment.__doc__, rich_markup_mode=None
)
experiments.command("run")(running.experiment)
experiments.command()(running.status)
app.add_typer(experiments, name="experiment")
for command in (
    gates.gates,
    judging.evaluate,
    measuring.measure,
    making.publish,
    judging.latent,
    looking.inspect,
    looking.report,
    looking.compare,
    making.new,
    making.check,
):
    app.command()(command)
app.command("list")(looking.list_)
app.command()(making.export)
app.command()(making.push)
app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,  # the training job has a help of its own
)(running.train)

app.add_typer(bases.app, name="base")


def main() -> None:
    """Runs the command line; bad input is one line and exit status 2."""
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    # typer carries its own click, so the class is found from one that typer makes public.
    click_error: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
    with reported() as received:
        try:
            status = app(standalone_mode=False)
        except click_error as error:
            raise UsageError(f"command line: {error.format_message()}") from None
        except typer.Abort:
            status = INTERRUPTED
        if status == INTERRUPTED:
            received.again()
    raise SystemExit(status or 0)
