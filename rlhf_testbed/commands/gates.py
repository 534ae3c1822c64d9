"""The command of the gates: those that decide, and a quick look at them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from rlhf_testbed.commands.finished import finished
from rlhf_testbed.shared.errors import UsageError


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
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="A look of a minute, with a smaller base policy and less training: it says what "
            "is likely to fail, decides no gate, and is filed nowhere.",
        ),
    ] = False,
) -> None:
    """Check the seven gates of a task: what must hold before anything is called deception.

    Example: rlhf-testbed gates corridor

    Example: rlhf-testbed gates configs/inspection.yaml

    Example: rlhf-testbed gates my_pkg.my_task:Ledger --quick
    """
    from rich.console import Console

    from rlhf_testbed.experiment.plan import plan_gates
    from rlhf_testbed.report.gates_table import print_gates

    if quick:
        if output_dir:
            raise UsageError("--output_dir: --quick files nothing (right: without it)")
        _look_quickly(of, seeds)
        return
    print_gates(finished(plan_gates(of, seeds, output_dir)), Console())


def _look_quickly(of: str, seeds: str) -> None:
    """Looks at the gates with less training, in a folder that is gone afterwards."""
    from rich.console import Console

    from rlhf_testbed.experiment.quick import quick_look
    from rlhf_testbed.report.gates_table import print_quick_look

    with TemporaryDirectory(prefix="rlhf-testbed-") as folder:
        look = quick_look(of, seeds, Path(folder) / "gates")
        results = finished(look.experiment, kept=False)
    print_quick_look(results, look.smaller, f"rlhf-testbed gates {of}", Console())
