"""Whose an experiment's folder is: one experiment's, with one source.

    runs/corridor: holds an experiment with other settings: seed is 3 there, 4 here
    runs/corridor: the source of my_pkg.mine:Mine has changed since its runs were made

More arms or seeds in the same folder are the same experiment: what is there is kept. But an arm of
the experiment's own, or a method, may not stand for other settings than the runs of that name had.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rlhf_testbed.experiment.plan import Experiment
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import read_text
from rlhf_testbed.shared.record import read_settings, write_settings
from rlhf_testbed.store.experiment_records import ExperimentFile
from rlhf_testbed.store.provenance import sources, this_command


def made(experiment: Experiment) -> Path:
    """The experiment's folder, made where it is not there; raises `UsageError`."""
    folder = experiment.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UsageError(f"{folder}: Not a directory") from None
    except OSError as error:
        raise UsageError(f"{folder}: can't be made: {error.strerror}") from None
    return folder


def claim(experiment: Experiment) -> None:
    """Makes the folder the experiment's own; raises `UsageError` where it holds another's."""
    asked = asked_for(experiment)
    file = experiment.folder / ExperimentFile.file
    if file.exists():
        there = read_settings(file, ExperimentFile)
        changed = next(_changes(there, asked), None)
        if changed:
            raise UsageError(f"{experiment.folder}: {changed} (name another --output_dir)")
        both = {**there.arms, **asked.arms}
        if both != there.arms:
            header = read_text(file).partition("\n")[0] + "\n"
            write_settings(file, there.model_copy(update={"arms": both}), header)
        return
    if experiment.folder.exists() and any(experiment.folder.iterdir()):
        raise UsageError(f"{experiment.folder}: exists and is no experiment (--output_dir OTHER)")
    write_settings(file, asked, f"# {this_command()}\n")


def asked_for(experiment: Experiment) -> ExperimentFile:
    """What an experiment runs, but for its arms and seeds, as its folder keeps it."""
    bounds = experiment.run.experiment
    return ExperimentFile(
        config=experiment.run.flat(),
        dials={arm.name: arm.dials for arm in experiment.task.arms},
        equivalent_threat_1=bounds.equivalent_threat_1,
        equivalent_threat_2=bounds.equivalent_threat_2,
        sources=sources(experiment.run),
        arms={
            name: dict(given)
            for setting in experiment.every
            for name, given in setting.defined.items()
        },
    )


def _changes(there: ExperimentFile, asked: ExperimentFile) -> Iterator[str]:
    """Each difference in words, the source first."""
    for name, source in asked.sources.items():
        if name in there.sources and there.sources[name] != source:
            yield f"the source of {name} has changed since its runs were made"
    other = "holds an experiment with other settings"
    for arm in there.arms.keys() & asked.arms.keys():
        for name, was, is_now in _pairs(there.arms[arm], asked.arms[arm]):
            if was != is_now:
                yield f"{other}: {name} of {arm} is {was} there, {is_now} here"
    apart = {"sources", "arms"}
    here, now = (one.model_dump(mode="json", exclude=apart) for one in (there, asked))
    for name, was, is_now in (*_pairs(here["config"], now["config"]), *_pairs(here, now)):
        if name != "config" and was != is_now:
            yield f"{other}: {name} is {was} there, {is_now} here"


def _pairs(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in {**one, **other}:
        yield name, one.get(name, "not set"), other.get(name, "not set")
