"""A testbed that measures two threats of RLHF apart: selection for bad behaviour, and induced
goal-directedness. Start with the README; every figure is defined in `docs/METRICS.md`.

    import rlhf_testbed as rt
    rt.load("runs/corridor").table()    see `rlhf_testbed/api.py`

Importing it takes milliseconds: what reads runs, and pandas, are imported when they are first asked
for. Torch is never among them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rlhf_testbed.aliases import install

if TYPE_CHECKING:
    from rlhf_testbed.api import Experiment, Run, load, load_experiment, load_run, threat_plane
    from rlhf_testbed.evaluation.measuring import measure
    from rlhf_testbed.shared.errors import UsageError

__all__ = [
    "Experiment",
    "Run",
    "UsageError",
    "load",
    "load_experiment",
    "load_run",
    "measure",
    "threat_plane",
]

install()


def __getattr__(name: str) -> Any:
    """The Python API, once it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "evaluation.measuring" if name == "measure" else "api"
    return getattr(importlib.import_module(f"rlhf_testbed.{home}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
