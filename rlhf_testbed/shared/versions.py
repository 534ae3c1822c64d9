"""What results depend on besides settings: libraries, and the package's own source.

alike()    {"python": "3.11.2", "rlhf-testbed": "0.2.0", "torch": "2.13.0", ...,
            "the source of rlhf-testbed": "9f2c09a1b2e4c581"}
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("rlhf-testbed", "torch", "transformers", "trl", "datasets", "accelerate", "peft")
PACKAGE = Path(__file__).parents[1]


def alike() -> dict[str, str]:
    """What must be the same on every machine that works on one experiment."""
    found = {"python": platform.python_version()}
    found |= {name: version(name) for name in LIBRARIES}
    return found | {"the source of rlhf-testbed": source_of_package()}


def unlike(here: Mapping[str, str], there: Mapping[str, str]) -> str:
    """In what another machine differs, in words; empty where it does not.

    >>> unlike({"torch": "2.13.0"}, {"torch": "2.12.0"})
    'torch is 2.12.0 there, 2.13.0 here (right: the same on all machines)'
    """
    for name, version_here in here.items():
        if (found := there.get(name)) != version_here:
            told = f"{name} is {found or 'not installed'} there, {version_here} here"
            return f"{told} (right: the same on all machines)"
    return ""


def source_of_package() -> str:
    """A hash of the package's Python files, by their places in it."""
    told = hashlib.sha256()
    for file in sorted(PACKAGE.rglob("*.py")):
        told.update(str(file.relative_to(PACKAGE)).encode())
        told.update(file.read_bytes())
    return told.hexdigest()[:16]
