"""What a run, or a whole experiment, can be exported to.

    rlhf-testbed export runs/both-3 --to inspect      runs/both-3/export/inspect/, two logs
    rlhf-testbed export runs/corridor --to inspect    runs/corridor/export/inspect/, two a run
    rlhf-testbed export runs/corridor --to dataset    runs/corridor/export/dataset/, one dataset

To add one: a function of records and a folder, and a line in `FORMATS`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rlhf_testbed.export.records import Records
from rlhf_testbed.shared.errors import UsageError, looked_up
from rlhf_testbed.shared.files import pasted, written_whole
from rlhf_testbed.shared.progress import Watcher


class Format(NamedTuple):
    """How records are written to a folder, and what opens it there."""

    write: Callable[[Records, Path], None]
    judged: bool
    """Whether a run without full-knowledge verdicts can't be exported."""
    opens: Callable[[Path], str]
    """The next command, which opens a folder; as a shell reads it."""
    not_in: str = ""
    """Characters that a folder's path must not hold, or it can't be opened."""


class Exported(NamedTuple):
    """What was written."""

    folder: Path
    left_out: list[str]
    """The runs of an experiment that could not be exported: why, a line each."""


def _inspect(records: Records, folder: Path) -> None:
    from rlhf_testbed.export.inspect_log import write_logs  # needs the extra

    for record in records:
        write_logs(record, folder)


def _dataset(records: Records, folder: Path) -> None:
    from rlhf_testbed.export.dataset import write_dataset

    write_dataset(records, folder)


def _viewing(folder: Path) -> str:
    return f"inspect view --log-dir {pasted(folder)}"


def _loading(folder: Path) -> str:
    program = f'import datasets; datasets.load_dataset("{folder}")'
    return f"python -c {shlex.quote(program)}"


FORMATS: dict[str, Format] = {
    "inspect": Format(_inspect, True, _viewing),
    "dataset": Format(_dataset, False, _loading, not_in="*?["),
}


def export(
    path: Path, to: str, folder: Path | None = None, watcher: Watcher = lambda step: None
) -> Exported:
    """Writes one export of a run or an experiment, whole or not at all.

    Raises `UsageError` for an unknown format, a path that is neither, a folder that exists or that
    the format's readers can't open, a format that needs an extra, and where no run can be exported:
    unfinished ones, damaged ledgers, verdicts that the format needs and that are not there.
    """
    chosen = looked_up("command line: --to", to, FORMATS)
    folder = folder or path / "export" / to
    odd = [sign for sign in chosen.not_in if sign in str(folder.resolve())]
    if odd:
        raise UsageError(
            f"{folder}: can't be read as a {to}, which takes {' and '.join(odd)} in a path for a "
            "pattern (right: --output_dir OTHER)"
        )
    records = Records(path, chosen.judged, watcher)
    if folder.exists():
        raise UsageError(
            f"{folder}: exists already, and nothing is overwritten (name another --output_dir)"
        )
    with written_whole(folder) as aside:
        aside.mkdir()
        chosen.write(records, aside)
    return Exported(folder, records.left_out)
