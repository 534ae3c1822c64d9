"""What an arm of the results is: what it is for, and what its runs had of the settings varied.

    told_of(experiment, runs, before)["both kl_coef=0.01"].settings    {"kl_coef": 0.01}

Read off the runs themselves: an arm that leaves a setting as the file has it, or that an earlier
command measured, has a value of it, too, and so it can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rlhf_testbed.experiment.plan import Experiment, Run
from rlhf_testbed.settings.options import options_of
from rlhf_testbed.settings.run import DIALS
from rlhf_testbed.settings.sweeps import shown
from rlhf_testbed.shared.files import read_yaml
from rlhf_testbed.store.experiment_records import Results

_ELSEWHERE = ("method", "arm", *DIALS)
"""Varied, and told by fields of their own."""


class Told(NamedTuple):
    """What is said of an arm beside its figures."""

    summary: str
    like: str
    """The task's arm that it was made from; empty for the task's own."""
    settings: Mapping[str, float | bool | str]


def told_of(
    experiment: Experiment, runs: Mapping[str, Sequence[Run]], before: Results | None
) -> dict[str, Told]:
    """Of each arm with runs; `before`: what an earlier command filed."""
    asked = {setting.name: setting for setting in experiment.every}
    there = before.arms if before else {}
    elsewhere = (*_ELSEWHERE, *options_of(type(experiment.task)))
    names = [name for one in asked.values() for name in one.settings]
    names += [name for arm in there.values() for name in arm.settings]
    varied = [name for name in dict.fromkeys(names) if name not in elsewhere]
    found = {}
    for name, of_arm in runs.items():
        first = experiment.directory(name, of_arm[0].seed, of_arm[0].base)
        had = read_yaml(first.config) if varied else {}
        if name in asked:
            summary, like = asked[name].arm.summary, asked[name].like
        elif name in there:
            summary, like = there[name].summary, there[name].like
        else:
            summary, like = experiment.task.arm(name.partition(" ")[0]).summary, ""
        found[name] = Told(
            summary,
            like,
            {each: _value(had[each]) for each in varied if had.get(each) is not None},
        )
    return found


def _value(had: object) -> float | bool | str:
    """A setting as results have it."""
    if isinstance(had, bool):
        return had
    if isinstance(had, int | float):
        return float(had)
    return shown(list(map(str, had)) if isinstance(had, list) else str(had))
