"""Starter files: `rlhf-testbed new task NAME` and `rlhf-testbed new overseer NAME`.

    rlhf-testbed new task drawers --folder my_pkg    writes my_pkg/drawers.py with a class Drawers,
                                                     which is named as my_pkg.drawers:Drawers

The files in `templates/` keep the contract as they are, and train; people edit them.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from rlhf_testbed.shared.errors import UsageError, unknown
from rlhf_testbed.shared.files import write_text

KINDS = ("task", "overseer")


class Written(NamedTuple):
    """A new file, and how what is in it is named."""

    path: Path
    dotted: str


def write_starter(kind: str, name: str, folder: Path) -> Written:
    """Writes `folder/name.py`, in which `kind` is "task" or "overseer".

    Raises `UsageError` for a kind that there is not, a name that is no identifier or is taken, a
    folder that can't be imported from here, and a file that is there already.
    """
    if kind not in KINDS:
        raise unknown("command line: starter", kind, KINDS)
    starter = (files("rlhf_testbed.contract") / "templates" / f"{kind}.py").read_text(
        encoding="utf-8"
    )
    class_name = _class_name(name, starter)
    package = _package(folder)
    _refuse_taken((*package, name)[0])
    path = folder / f"{name}.py"
    if path.exists():
        raise UsageError(f"{path}: exists already, and nothing is overwritten")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(path, starter.replace("Starter", class_name).replace("starter", name))
    except OSError as error:
        raise UsageError(f"{path}: can't be written: {error.strerror or error}") from None
    return Written(path, f"{'.'.join((*package, name))}:{class_name}")


def _class_name(name: str, starter: str) -> str:
    """`yes_no` gives YesNo."""
    made = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    if not (name.isidentifier() and name.isascii() and made.isidentifier()):
        raise UsageError(f"{name}: is no name for a Python module (right: letters, digits and _)")
    if keyword.iskeyword(name) or keyword.iskeyword(made):
        raise UsageError(f"{name}: is a word of Python's own (name it otherwise)")
    if re.search(rf"\b{made}\b", starter):
        raise UsageError(f"{name}: the starter uses the name {made} itself (name it otherwise)")
    return made


def _package(folder: Path) -> tuple[str, ...]:
    """The package that a folder is, seen from the current one."""
    here = Path.cwd()
    try:
        parts = (here / folder).resolve().relative_to(here.resolve()).parts
    except ValueError:
        parts = ("..",)
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        raise UsageError(
            f"{folder}: can't be imported from here "
            "(right: this folder, or one below it that is named like a package)"
        )
    return parts


def _refuse_taken(top: str) -> None:
    """Refuses a top name under which Python would find something else, or stop finding it."""
    found = importlib.util.find_spec(top)
    if found is None:
        return
    places = [*(found.submodule_search_locations or ()), found.origin or ""]
    if not any(Path(place).resolve().is_relative_to(Path.cwd().resolve()) for place in places):
        raise UsageError(f"{top}: Python has a module of that name already (name it otherwise)")
