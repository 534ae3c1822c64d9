"""An experiment's whole config in its own folder, from which anybody makes the results again.

    rlhf-testbed experiment docs/results/corridor/again.yaml      into runs/again
    rlhf-testbed compare docs/results/corridor runs/again

The file that an experiment was started with may change, and its defaults, too; this one holds every
setting, those that `--set` set and those equal to a default included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import yaml

from rlhf_testbed.experiment.plan import Experiment
from rlhf_testbed.settings.run import DIALS
from rlhf_testbed.shared.files import write_text
from rlhf_testbed.store.experiment_records import AGAIN, Results
from rlhf_testbed.store.provenance import this_command
from rlhf_testbed.store.run_columns import as_ranges

SET_BY_ARMS = ("arm", "seed", *(name for name in DIALS if name != "unintended_share"))
"""Settings of a run that an experiment gives each of its own."""
Named = tuple[int, int]
"""A base policy's seed and a training seed."""


def write_again(experiment: Experiment, results: Results) -> None:
    """Files the config by which all of the results are made again."""
    arms = {name: arm.runs.named for name, arm in results.arms.items() if len(arm.runs)}
    lines = [f"# Every setting of {experiment.folder.name}, as filed by: {this_command()}", "#"]
    lines += [f"#   {command}" for command in commands(experiment, arms)]
    text = yaml.safe_dump(asked(experiment, arms), sort_keys=False, allow_unicode=True, width=100)
    write_text(experiment.folder / AGAIN, "\n".join([*lines, text]))


def asked(experiment: Experiment, arms: Mapping[str, Sequence[Named]]) -> dict[str, Any]:
    """The config as flat settings, with the seeds that each of its arms has runs of."""
    run = experiment.run
    found = {name: value for name, value in run.flat().items() if name not in SET_BY_ARMS}
    if run.study.unintended_share is None:
        del found["unintended_share"]  # each arm's own
    bases, seeds = _common(experiment, arms)
    shared = replace(run.experiment, seeds=as_ranges(seeds), base_seeds=as_ranges(bases))
    return found | vars(shared)


def commands(experiment: Experiment, arms: Mapping[str, Sequence[Named]]) -> Iterator[str]:
    """The commands that make the results again: one, and one more for each arm with more runs."""
    yield f"rlhf-testbed experiment {AGAIN}"
    bases, seeds = _common(experiment, arms)
    for name, named in arms.items():
        own_bases, own_seeds = _of(named)
        if (own_bases, own_seeds) != (bases, seeds):
            at = f"--seeds {as_ranges(own_seeds)} --base-seeds {as_ranges(own_bases)}"
            yield f"rlhf-testbed experiment {AGAIN} --arm '{name}' {at}"


def _common(
    experiment: Experiment, arms: Mapping[str, Sequence[Named]]
) -> tuple[set[int], set[int]]:
    """Base seeds and training seeds that all arms of the file have; those asked for if none has."""
    found = [_of(arms[one.name]) for one in experiment.every if one.name in arms]
    bases = set.intersection(*(each for each, _ in found)) if found else set()
    seeds = set.intersection(*(each for _, each in found)) if found else set()
    return bases or set(experiment.base_seeds), seeds or set(experiment.seeds)


def _of(named: Sequence[Named]) -> tuple[set[int], set[int]]:
    return {base for base, _ in named}, {seed for _, seed in named}
