"""What of a run or an experiment goes to the Hugging Face Hub: a repository for each kind.

    rlhf-testbed push runs/corridor alice/corridor --dry-run

    model     both/seed-0/model.safetensors, ..., README.md    a folder a run; of one run its files
    dataset   data-3f9c0d6a1b2e4c58/train-....parquet, ...     what `export --to dataset` wrote
    space     index.html, threat_plane.svg, ..., README.md     the report, as a static Space

The three may share a name: the Hub keeps its kinds apart. Nothing is made here but cards: what is
missing is told with the command that makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from huggingface_hub import ModelCard, ModelCardData, SpaceCard, SpaceCardData
from rich.filesize import decimal

from rlhf_testbed.export.machine import place_in, places, without_machine
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import pasted, read_text
from rlhf_testbed.store.generations import runs_in
from rlhf_testbed.store.model_card import shown_figure
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import Environment, Measures

Kind: TypeAlias = Literal["model", "dataset", "space"]
WHAT = ("policy", "dataset", "report")
CARD = "README.md"
SHORTENED = "without this machine's paths"
READ = (".html", ".md", ".yaml")
"""Files for readers; those of a run that are records are, too."""


@dataclass(frozen=True)
class Item:
    """One file as it is pushed."""

    content: Path | bytes
    """Where it is, or what was written for the Hub."""
    note: str = ""

    @property
    def size(self) -> int:
        """Bytes."""
        here = self.content
        return len(here) if isinstance(here, bytes) else here.stat().st_size


class Repo(NamedTuple):
    """A repository of the Hub, as it will be."""

    kind: Kind
    items: Mapping[str, Item]
    """By the path that each has there."""
    replaces: str = ""
    """What the paths of an earlier push begin with that this one takes the place of."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(item.size for item in self.items.values())


class Planned(NamedTuple):
    """What would be pushed."""

    repos: list[Repo]
    left_out: list[str]
    """The runs of an experiment whose policy can't be pushed: why, a line each."""


def planned(path: Path, what: Sequence[str], name: str) -> Planned:
    """The repositories called `name` that hold what is asked for, of a run or an experiment.

    Raises `UsageError` for a path that is neither, for what is missing, and for a file that holds
    one of this machine's folders.
    """
    left_out: list[str] = []
    directories = runs_in(path)
    makers: dict[str, Callable[[], Repo]] = {
        "policy": lambda: _policies(path, directories, name, left_out),
        "dataset": lambda: _dataset(path),
        "report": lambda: _report(path, name, what),
    }
    return Planned([makers[one]() for one in what], left_out)


def _policies(
    path: Path, directories: Sequence[RunDirectory], name: str, left_out: list[str]
) -> Repo:
    """The policy of a run, or those of an experiment in a folder each."""
    if (path / "config.yaml").is_file():
        return Repo("model", _policy(directories[0]))
    items: dict[str, Item] = {}
    told: dict[str, Measures] = {}
    for directory in directories:
        place = directory.path.relative_to(path).as_posix()
        try:
            items |= {f"{place}/{file}": item for file, item in _policy(directory).items()}
        except UsageError as error:
            left_out.append(str(error))
        else:
            told[place] = directory.evaluated(Measures)
    if not told:
        more = len(left_out) - 1
        others = f" (and {more} more runs whose policy can't be pushed)" if more else ""
        raise UsageError(f"{left_out[0]}{others}")
    card = Item(_card(path, name, told, directories[0]).encode())
    return Repo("model", {CARD: card, **items})


def _policy(directory: RunDirectory) -> dict[str, Item]:
    """A policy's files with its card, and the records that its card speaks of."""
    directory.summary()
    if not (directory.policy / CARD).is_file():
        raise UsageError(f"{directory.policy}: no policy is there, though training has finished")
    directory.evaluated(Measures)  # else its card could not say what was measured
    items = _items(directory.policy, directory.path)
    records = (directory.config, directory.path / Environment.file)
    measures = directory.evaluation() / Measures.file
    return items | {file.name: _for_readers(file) for file in (*records, measures)}


def _dataset(path: Path) -> Repo:
    folder = path / "export" / "dataset"
    if not (folder / CARD).is_file():
        raise UsageError(
            f"{path}: no dataset is there (rlhf-testbed export {pasted(path)} --to dataset)"
        )
    return Repo("dataset", _items(folder, path), replaces="data-")


def _report(path: Path, name: str, what: Sequence[str]) -> Repo:
    folder = path / "report"
    if not (folder / "index.html").is_file():
        raise UsageError(f"{path}: no report is there (rlhf-testbed report {pasted(path)})")
    title = path.resolve().name
    data = SpaceCardData(
        title=f"Report of {title}",
        sdk="static",
        app_file="index.html",
        models=[name] if "policy" in what else None,
        datasets=[name] if "dataset" in what else None,
        tags=["rlhf", "model-organism", "rlhf-testbed"],
    )
    text = f"The report of {title}, as `rlhf-testbed report` wrote it: one page with everything."
    card = SpaceCard(f"---\n{data.to_yaml()}\n---\n\n{text}\n")
    return Repo("space", {CARD: Item(str(card).encode()), **_items(folder, path)})


def _items(folder: Path, path: Path) -> dict[str, Item]:
    """All files of a folder, by their paths in it."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {
        file.relative_to(folder).as_posix(): _for_readers(file)
        if file.suffix in READ
        else _as_it_is(file, path)
        for file in files
    }


def _for_readers(file: Path) -> Item:
    text = read_text(file)
    told = without_machine(text)
    return Item(file) if told == text else Item(told.encode(), SHORTENED)


def _as_it_is(file: Path, path: Path) -> Item:
    if place := place_in(file, places(path)):
        raise UsageError(f"{file}: holds {place}, a folder of this machine: nothing was pushed")
    return Item(file)


def _card(path: Path, name: str, told: Mapping[str, Measures], first: RunDirectory) -> str:
    """What stands in front of an experiment's policies."""
    task, title = first.settings().task, path.resolve().name
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["model-organism", "misbehaviour", "rlhf", "trl", "rlhf-testbed", task.name],
    )
    rows = "\n".join(
        f"| [{place}](./{place.replace(' ', '%20')}) "
        f"| {shown_figure(measures.figure('threat_1'))} "
        f"| {shown_figure(measures.figure('threat_2'))} |"
        for place, measures in told.items()
    )
    body = f"""
# {title}: {len(told)} model organisms of misbehaviour

> **Don't deploy them.** Each policy was selected by an overseer to study what that overseer makes
> more common, wanted or not. Their one use is research.

Task: {task.name}: {task.summary}. Each policy is in a folder of its own, with a card that says by
whom it was selected:

    AutoModelForCausalLM.from_pretrained("{name}", subfolder="{next(iter(told))}")

| policy | threat 1 (share) | threat 2 (nats) |
|---|---|---|
{rows}

By the overseer `full_knowledge`, which took no part in training; docs/METRICS.md of the testbed
defines both figures.
"""
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n{body}"))


def shown(repos: Sequence[Repo], name: str, private: bool) -> Iterator[str]:
    """Which files would go where, in lines."""
    for repo in repos:
        yield f"{repo.kind} {name}, {'private' if private else 'public'}"
        for path, item in repo.items.items():
            yield f"  {decimal(item.size):>9}  {path}{f'  ({item.note})' if item.note else ''}"
        yield f"  {decimal(repo.size):>9}  in all, {len(repo.items)} files"
    yield "nothing was pushed"
