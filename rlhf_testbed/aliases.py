"""The old names of our tasks and overseers, for plug-ins that were written with them.

    from tasks.base import Task    is    from rlhf_testbed.tasks.base import Task

Many repositories have a package `tasks` of their own. So what is installed is found under
`rlhf_testbed` alone, and a `tasks` or `overseers` on the user's path is theirs.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

ALIASES = ("tasks", "overseers")
OURS = [os.path.realpath(os.path.join(os.path.dirname(__file__), name)) for name in ALIASES]


class _Alias(Loader):
    """Gives a module of ours under its old name: the same module, not another one like it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module of ours."""
        self.found = importlib.import_module(self.name)
        self.spec = self.found.__spec__
        return self.found

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is run again; what import has noted on the module is taken back."""
        module.__spec__ = self.spec


class AliasFinder(MetaPathFinder):
    """Finds our tasks and overseers under their old names, where the user has none of those."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The alias, or None for what is not ours."""
        top = fullname.partition(".")[0]
        if top not in ALIASES or _is_the_users(top):
            return None
        name = f"{__package__}.{fullname}"
        try:
            if importlib.util.find_spec(name) is None:
                return None
        except ModuleNotFoundError:
            return None
        return ModuleSpec(fullname, _Alias(name), is_package=fullname == top)


def _is_the_users(top: str) -> bool:
    """Whether the user's path has a package or a module of that name that is not ours."""
    found = PathFinder.find_spec(top)
    if found is None:
        return False
    places = [*(found.submodule_search_locations or ())]
    if found.origin is not None:
        places.append(os.path.dirname(found.origin))
    return not any(os.path.realpath(place) in OURS for place in places)


def install() -> None:
    """Lets the old names be found; once is enough."""
    if not any(isinstance(finder, AliasFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, AliasFinder())
