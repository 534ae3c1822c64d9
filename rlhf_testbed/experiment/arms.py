"""Which settings an experiment's file asks for: its arms, each with all that is varied.

settings_of(run, "x.yaml")
  arms: [both]; vary: [kl_coef=0.01,0.05, learning_rate=1e-4,8e-4]    four settings
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from rlhf_testbed.experiment.setting import METHOD, Setting
from rlhf_testbed.settings.arguments import ALIASES
from rlhf_testbed.settings.options import options_of
from rlhf_testbed.settings.run import DIALS, RunConfig
from rlhf_testbed.settings.sweeps import (
    ArmAsked,
    parse_arms,
    parse_methods,
    parse_vary,
    shown,
)
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.tasks.base import Arm

MORE_OF_THE_SAME = ("arms", "vary", "methods", "seeds", "base_seeds")
"""Settings that make an experiment larger or smaller, and no other one."""


def settings_of(run: RunConfig, config: str) -> tuple[Setting, ...]:
    """The settings that an experiment's file asks for; raises `UsageError`."""
    given = [name for name in ("arm", *DIALS[:3]) if getattr(run.study, name) is not None]
    if given:
        raise UsageError(f"{config}: {given[0]} is set by the arms of an experiment: leave it out")
    of_task = options_of(type(run.task))
    asked = parse_arms(run.experiment.arms, config, run.task)
    asked = asked or [ArmAsked(arm.name) for arm in run.task.arms]
    varied = parse_vary(run.experiment.vary, config, of_task)
    methods = parse_methods(run.experiment.methods, config)
    _refuse_twice(config, asked, varied, {METHOD} if methods else ())
    combinations = [dict(zip(varied, v, strict=True)) for v in itertools.product(*varied.values())]
    return tuple(
        Setting.of(
            _arm(run, arm), chosen, run.study.task_args, list(of_task), arm if arm.like else None
        ).by(*method)
        for arm in asked
        for chosen in combinations
        for method in methods or [("", ())]
    )


def _refuse_twice(
    config: str, asked: Iterable[ArmAsked], varied: Collection[str], methods: Collection[str]
) -> None:
    """Raises `UsageError` where two places set the same."""
    if set(methods) & set(varied):
        raise UsageError(f"{config}: vary: method is what methods names: leave one out")
    for arm in asked:
        twice = [name for name in arm.given if name in {*varied, *methods}]
        if twice:
            by = "methods" if twice[0] in methods else "vary"
            raise UsageError(f"{config}: arms: {arm.name} sets {twice[0]}, and so does {by}")


def _arm(run: RunConfig, asked: ArmAsked) -> Arm:
    """An arm, with the ρ that the experiment gives all of its arms, if it does."""
    arm, share = run.task.arm(asked.like or asked.name), run.study.unintended_share
    if share is not None:
        arm = replace(arm, dials=replace(arm.dials, unintended_share=share))
    if not asked.like:
        return arm
    told = ", ".join(f"{name} = {shown(value)}" for name, value in asked.given.items())
    summary = f"as {asked.like}" + (f", with {told}" if told else "")
    return Arm(asked.name, summary, arm.dials)


def parse_set(entries: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """What `--set NAME=VALUE` tells every run, by name, as words; raises `UsageError`.

    A setting that takes several values may be named several times.

    >>> parse_set(["kl_coef=0.01", "arms=both", "arms=habit"])
    {'kl_coef': ('--kl_coef', '0.01'), 'arms': ('--arms', 'both', 'habit')}
    """
    found: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        written, equals, value = entry.partition("=")
        name = ALIASES.get(written, written)
        if not (equals and name.isidentifier()):
            raise UsageError(f"--set {entry} can't be read (right: --set NAME=VALUE)")
        if name in ("output_dir", "config"):
            raise UsageError(f"--set {written} has no effect (right: --{written})")
        words = found.get(name, (f"--{name}",))
        found[name] = (*words, value)
    return found
