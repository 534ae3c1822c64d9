"""One arm as an experiment runs it: the task's or one of its own, with what is varied.

Setting.of(arm, {"kl_coef": 0.01})
  name        both kl_coef=0.01           its folder, and its row in every table
  arguments   --arm both --kl_coef 0.01   what its runs are told besides the config
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from rlhf_testbed.settings.arguments import Value
from rlhf_testbed.settings.run import DIALS
from rlhf_testbed.settings.sweeps import ArmAsked, named, shown
from rlhf_testbed.tasks.base import Arm, Dials

METHOD = "method"


class Setting(NamedTuple):
    """One arm as an experiment runs it: with the arm's dials, or with some of them varied."""

    name: str
    arm: Arm
    dials: Dials
    arguments: tuple[str, ...]
    """What its runs are told besides the config."""
    options: tuple[str, ...] = ()
    """Options of the task that are its own, as `NAME=VALUE`."""
    settings: Mapping[str, Value] = {}
    """Other settings that are its own."""
    given: tuple[str, ...] = ()
    """The names of what `vary` and `methods` give it."""
    like: str = ""
    """The task's arm that it was made from; empty for the task's own."""
    defined: Mapping[str, Mapping[str, Any]] = {}
    """What its name stands for without saying so: of an arm of the experiment's own, or of a method
    with settings, what it is given, by that part of the name."""

    @classmethod
    def of(
        cls,
        arm: Arm,
        varied: Mapping[str, Value],
        options: Sequence[str] = (),
        of_task: Sequence[str] = (),
        asked: ArmAsked | None = None,
    ) -> Setting:
        """An arm with some dials, options of the task and settings set to other values.

        `options`: those that the experiment gives its task already, as `NAME=VALUE`; `of_task`: the
        names of those that the task has; `asked`: what the arm is, where it isn't the task's.
        """
        like, own = (asked.like, asked.given) if asked else ("", {})
        given = {**own, **varied}
        dials = {name: value for name, value in given.items() if name in DIALS}
        others = {n: v for n, v in given.items() if n in of_task and n not in DIALS}
        settings = {n: v for n, v in given.items() if n not in DIALS and n not in of_task}
        told = [f"{name}={shown(value)}" for name, value in others.items()]
        kept = [one for one in options if one.partition("=")[0] not in others]
        numbers: dict[str, Any] = dials
        method_last = sorted(varied.items(), key=lambda item: item[0] == METHOD)
        return cls(
            name=" ".join([arm.name, *(named(*item) for item in method_last)]),
            arm=arm,
            dials=replace(arm.dials, **numbers),
            arguments=(
                *("--arm", like or arm.name),
                *(word for item in (*dials.items(), *settings.items()) for word in _words(*item)),
                *(["--task_args", *kept, *told] if told else []),
            ),
            options=tuple(told),
            settings=settings,
            given=tuple(varied),
            like=like,
            defined={
                **({arm.name: {"like": like, **own}} if like else {}),
                **({named(METHOD, varied[METHOD]): {}} if METHOD in varied else {}),
            },
        )

    def by(self, method: str, words: Sequence[str]) -> Setting:
        """The same with another selection method, told more `words`; itself without a name."""
        if not method:
            return self
        more = {
            word.removeprefix("--"): value
            for word, value in zip(words[::2], words[1::2], strict=True)
        }
        return self._replace(
            name=f"{self.name} {METHOD}={method}",
            arguments=(*self.arguments, f"--{METHOD}", method, *words),
            settings={**self.settings, METHOD: method, **more},
            given=(*self.given, METHOD),
            defined={**self.defined, f"{METHOD}={method}": more},
        )

    def scores(self, otherwise: str) -> str:
        """Which score selects in its runs: its own setting, else the experiment's."""
        return str(self.settings.get("scores", otherwise))


def _words(name: str, value: Value) -> list[str]:
    """A setting on a command line."""
    return [f"--{name}", *(value if isinstance(value, list) else [shown(value)])]
