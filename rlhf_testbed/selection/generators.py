"""The random generators of a process, as text: Python's, NumPy's, torch's and its devices'.

before = generators()
random.random(), torch.rand(1)
set_generators(before)
random.random(), torch.rand(1)    the same numbers again
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def generators() -> dict[str, Any]:
    """The state of every generator, as JSON can hold it."""
    version, internal, gauss = random.getstate()
    kind, keys, place, has_gauss, cached = np.random.get_state(legacy=True)
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "python": [version, list(internal), gauss],
        "numpy": [str(kind), np.asarray(keys).tolist(), place, has_gauss, cached],
        "torch": told(torch.get_rng_state()),
        "cuda": [told(state) for state in devices],
    }


def set_generators(states: Mapping[str, Any]) -> None:
    """Sets every generator to where `generators` found it."""
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state(tuple(states["numpy"]))
    torch.set_rng_state(read(states["torch"]))
    if states["cuda"]:
        torch.cuda.set_rng_state_all([read(state) for state in states["cuda"]])


def told(state: torch.Tensor) -> str:
    """A generator's state [bytes] in hexadecimal digits."""
    return bytes(state.cpu().numpy()).hex()


def read(text: str) -> torch.Tensor:
    """A generator's state from its digits."""
    return torch.frombuffer(bytearray.fromhex(text), dtype=torch.uint8).clone()
