"""What a model's name stands for: a folder, a GGUF file, or a model of the Hub.

    runs/both-3/policy     a folder, since there is one
    openai/gpt2            a model of the Hub: NAME or OWNER/NAME
    runs/both-3/polcy      neither: error: model runs/both-3/polcy: no such folder

Imports no torch.
"""

from __future__ import annotations

import re
from pathlib import Path

from rlhf_testbed.shared.errors import UsageError

HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


def place_of(name: str) -> Path | None:
    """The folder or file of that name; None for a model of the Hub.

    Raises `UsageError` for a path that is not there, and for a folder that holds an adapter only.
    """
    place = Path(name)
    if (place / "adapter_config.json").is_file() and not (place / "config.json").is_file():
        raise UsageError(
            f"model {name}: is a LoRA adapter without its model (right: the policy that it is "
            "merged into, for a run of ours RUN/policy)"
        )
    if place.exists():
        return place
    if place.suffix == ".gguf":
        raise UsageError(f"model {name}: no such file")
    if name.startswith((".", "/", "~", "\\")) or not HUB_NAME.fullmatch(name):
        raise UsageError(f"model {name}: no such folder (a model of the Hub is OWNER/NAME)")
    return None


def told_of_hub(name: str, error: Exception) -> UsageError:
    """The error of a model that is neither here nor could be had from the Hub."""
    told = " ".join(str(error).split())
    return UsageError(f"model {name}: can't be loaded (no folder here; the Hub: {told:.150})")
