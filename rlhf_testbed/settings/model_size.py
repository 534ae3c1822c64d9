"""How many parameters a model has, from the heads of its files: no weight is read.

    parameters("runs/both-3/policy")          347_904
    parameters("smollm2-135m-instruct")       134_515_008

Imports no torch.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

from safetensors import safe_open

from rlhf_testbed.settings.packaged import is_installed, is_packaged
from rlhf_testbed.settings.place import place_of


def parameters(name: str, revision: str = "main") -> int | None:
    """How many; 0 where a folder holds no safetensors, which no model is loaded from.

    None where it is not known, since the model is not here yet: of the Hub, or in a package that is
    not installed. Raises `UsageError` for a path that is not there.
    """
    if is_packaged(name) and not is_installed(name):
        return None
    place = place_of(name)
    if place is None:
        return _of_hub(name, revision)
    return _of_file(place) if place.is_file() else sum(map(_of_file, place.glob("*.safetensors")))


@cache
def _of_file(file: Path) -> int:
    """Those of one file."""
    if file.suffix == ".gguf":
        from gguf import GGUFReader

        return sum(int(tensor.n_elements) for tensor in GGUFReader(file).tensors)
    with safe_open(file, framework="numpy") as content:
        return sum(math.prod(content.get_slice(each).get_shape()) for each in content.keys())  # noqa: SIM118


@cache
def _of_hub(name: str, revision: str) -> int | None:
    from huggingface_hub import get_safetensors_metadata, try_to_load_from_cache

    try:
        there = try_to_load_from_cache(name, "config.json", revision=revision)
        if isinstance(there, str):
            found = sum(map(_of_file, Path(there).parent.glob("*.safetensors")))
            if found:
                return found
        told = get_safetensors_metadata(name, revision=revision)
    except Exception:  # of whichever library asks; what can't be had is told when it is loaded
        return None
    return int(sum(told.parameter_count.values()))
