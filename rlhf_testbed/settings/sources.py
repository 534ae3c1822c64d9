"""The source that a plug-in is made of, as one hash: what a task or an overseer does is in there.

source_hash(Corridor)    "9f2c09a1...": of corridor.py, tasks/base.py and what these two use
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from types import ModuleType

PLUGGED = ("rlhf_testbed.tasks", "rlhf_testbed.overseers")
"""Our own rooms that are made of plug-ins."""
DIGITS = 16
"""Of a hash, as it is filed."""


def source_hash(kind: type) -> str:
    """The hash of the source that a class is made of, in hexadecimal digits.

    That is its module and those of its base classes, with the modules of the same package whose
    functions or classes they use, and so on. Of this package only the former: its commit says the
    rest.
    """
    own = [sys.modules[base.__module__] for base in kind.__mro__]
    waiting, found = list(own), dict[str, str]()
    while waiting:
        module = waiting.pop()
        source = _source(module)
        if module.__name__ not in found and source is not None:
            found[module.__name__] = source
            waiting += _used(module)
    text = "\0".join(f"{name}\0{source}" for name, source in sorted(found.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _used(module: ModuleType) -> list[ModuleType]:
    """The modules of the same package that a module's names come from."""
    package = _package(module.__name__)
    if package.startswith("rlhf_testbed.") and package not in PLUGGED:
        return []
    names = {
        value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        for value in vars(module).values()
    }
    return [
        sys.modules[name]
        for name in names
        if isinstance(name, str) and _package(name) == package and name in sys.modules
    ]


def _package(name: str) -> str:
    """A module's top package; of this project the room."""
    top, _, rest = name.partition(".")
    return f"{top}.{rest.partition('.')[0]}" if top == "rlhf_testbed" else top


def _source(module: ModuleType) -> str | None:
    """A module's source; None for what is Python's own, or has none."""
    if module.__name__.partition(".")[0] in sys.stdlib_module_names:
        return None
    try:
        return inspect.getsource(module)
    except (OSError, TypeError):
        return None
