"""What a model's name stands for: a folder, a GGUF file, or a model of the Hub.

    runs/both-3/policy       a folder, since there is one
    smollm2-135m-instruct    a GGUF file in a package (`packaged.py`)
    openai/gpt2              a model of the Hub: NAME or OWNER/NAME
    runs/both-3/polcy        neither: error: model runs/both-3/polcy: no such folder

Imports no torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from rlhf_testbed.settings.packaged import is_packaged, nearest, packaged_file
from rlhf_testbed.shared.errors import UsageError

HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
PATIENCE = 10.0
"""Seconds that the Hub has to answer."""
PICKLED = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth")
WORDS = ("tokenizer*", "vocab*", "merges.txt", "*.model", "*.tiktoken", "tekken.json")
"""Files of a tokenizer, of which a folder has one at least."""


def place_of(name: str) -> Path | None:
    """The folder or file of that name; None for a model of the Hub.

    Where the Hub does not answer, its clients are told to make do with what is kept from it. Raises
    `UsageError` for a path that is not there, and for a folder that holds an adapter only.
    """
    place = Path(name)
    if (place / "adapter_config.json").is_file() and not (place / "config.json").is_file():
        raise UsageError(
            f"model {name}: is a LoRA adapter without its model (right: the policy that it is "
            "merged into, for a run of ours RUN/policy)"
        )
    if place.exists():
        return place
    if is_packaged(name):
        return packaged_file(name)
    if place.suffix == ".gguf":
        raise UsageError(f"model {name}: no such file")
    if name.startswith((".", "/", "~", "\\")) or not HUB_NAME.fullmatch(name):
        raise UsageError(f"model {name}: no such folder (a model of the Hub is OWNER/NAME)")
    if "/" not in name and (near := nearest(name)):
        raise UsageError(f"model {name}: no such folder (did you mean '{near}'?)")
    _ask_hub_once()
    return None


def refuse_unloadable(name: str, folder: Path, with_tokenizer: bool = True) -> None:
    """Raises `UsageError` for a folder that lacks part of a model, or whose weights are pickled.

    Reading a pickle may run any code, so that none is read.
    """

    def lacks(part: str) -> UsageError:
        return UsageError(
            f"model {name}: can't be loaded (no {part} in this folder; save_pretrained writes one)"
        )

    if not (folder / "config.json").is_file():
        raise lacks("config.json")
    for weights in ("", "adapter_model"):  # an adapter is loaded along with its model
        if any(folder.glob(f"{weights}*.safetensors")):
            continue
        if any(file.suffix in PICKLED for file in folder.glob(f"{weights}*")):
            raise UsageError(f"model {name}: holds pickled weights only (right: safetensors)")
        if not weights:
            raise lacks("model.safetensors")
    if with_tokenizer and not any(any(folder.glob(each)) for each in WORDS):
        raise lacks("tokenizer.json")


def told_of_hub(name: str, error: Exception) -> UsageError:
    """The error of a model that is neither here nor could be had from the Hub."""
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    near = nearest(name)
    hint = f"; did you mean '{near}'?" if near else ""
    told = " ".join(str(error).split())
    unreached = (LocalEntryNotFoundError, OfflineModeIsEnabled)
    if any(isinstance(one, unreached) for one in _chain(error)):
        told = "it can't be reached, and nothing of that name is kept from it"
    return UsageError(f"model {name}: can't be loaded (no folder here; the Hub: {told:.150}{hint})")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@cache
def _ask_hub_once() -> None:
    """Takes the Hub's clients offline for this process where the Hub does not answer.

    They would try again for half a minute, for every file.
    """
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return
    try:
        get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except Exception:  # of whichever library asks; any answer, a refusal included, is none
        constants.HF_HUB_OFFLINE = True
