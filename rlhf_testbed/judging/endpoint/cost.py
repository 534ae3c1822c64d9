"""What asking a server took: counted in a file of the run, and said when it is done.

    runs/both-3/endpoint.json                        by the training overseer
    runs/both-3/evaluation/endpoint-.../endpoint.json   by a later one

Several processes, and a run that goes on, add to one file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from filelock import FileLock

from rlhf_testbed.shared.record import Record, read, write

FEWEST_REFUSED = 4
"""Views without a verdict before a server is given up."""


class EndpointUse(Record):
    """Who was asked, by which standard, how often, and what it took."""

    file: ClassVar[str] = "endpoint.json"

    url: str
    model: str
    rubric: str
    """The text: the run goes on by it, whatever becomes of the file that it was read from."""
    answered_by: tuple[str, ...] = ()
    """The models that answered, as the server calls them."""
    asked: int = 0
    from_cache: int = 0
    requests: int = 0
    retries: int = 0
    unreadable: int = 0
    refused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def plus(self, other: EndpointUse) -> EndpointUse:
        """Both together; of another rubric, model or address, the other one alone."""
        if (self.url, self.model, self.rubric) != (other.url, other.model, other.rubric):
            return other
        counts = {
            name: getattr(self, name) + getattr(other, name)
            for name, field in EndpointUse.model_fields.items()
            if field.annotation is int
        }
        answered_by = tuple(sorted({*self.answered_by, *other.answered_by}))
        return self.model_copy(update={**counts, "answered_by": answered_by})


@dataclass
class Tally:
    """What one call of the judge took, while it is counted."""

    from_cache: int = 0
    asked: int = 0
    requests: int = 0
    retries: int = 0
    unreadable: int = 0
    refused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    answered_by: set[str] = field(default_factory=set)

    def filed(self, url: str, model: str, rubric: str) -> EndpointUse:
        """The same as it is filed."""
        counts = {**vars(self), "answered_by": tuple(sorted(self.answered_by))}
        return EndpointUse(url=url, model=model, rubric=rubric, **counts)


@dataclass
class Hopes:
    """Whether a server is any good, by all that this process has asked it."""

    read: int = 0
    """Views with a verdict, those in the cache included."""
    refused: int = 0
    why: str = ""

    @property
    def gone(self) -> bool:
        """Whether most views got no verdict: then none is taken for an answer."""
        return self.refused >= FEWEST_REFUSED and self.refused > self.read


def used(folder: Path) -> EndpointUse | None:
    """What is filed in a folder, where anything is; raises `UsageError` where it is damaged."""
    file = folder / EndpointUse.file
    return read(file, EndpointUse) if file.is_file() else None


def add(folder: Path, new: EndpointUse) -> None:
    """Adds to what is filed in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f".{EndpointUse.file}.lock"):
        before = used(folder)
        write(folder / EndpointUse.file, before.plus(new) if before else new)


def remarks(folder: Path) -> list[str]:
    """What a reader should know of it, in sentences; none where no server was asked."""
    use = used(folder)
    if use is None:
        return []
    said = [
        f"overseer endpoint: {use.model} was asked of {use.asked} views in {use.requests} requests "
        f"({use.retries} of them sent again; {use.from_cache} more views were in the cache): "
        f"{use.prompt_tokens} tokens read, {use.completion_tokens} written"
    ]
    if use.unreadable:
        said.append(
            f"overseer endpoint: {use.unreadable} answers held no verdict; {use.refused} views got "
            "none at all, and count as not approved with score 0"
        )
    return said
