"""What an experiment runs beside its file's own settings: values varied, methods, arms of its own.

    vary: [kl_coef=0.01,0.05, "method=ppo,grpo"]      a dial, an option of the task, or any setting
    methods: [grpo beta=0.04, rloo]
    arms:
      - both
      - {name: half-seen, like: both, knowledge: 0.5, overseer: noisy}

A mapping is read as the line `half-seen like=both knowledge=0.5 overseer=noisy`, which a
command line can have, too. Whether a setting suits its arm's method is told when a run is parsed.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from rlhf_testbed.settings.arguments import ALIASES, Known, Value, known
from rlhf_testbed.settings.fields import Where
from rlhf_testbed.settings.methods import METHODS, method_class
from rlhf_testbed.settings.options import Option, options_of
from rlhf_testbed.settings.renamed import RENAMED
from rlhf_testbed.settings.run import ExperimentSettings, RunConfig
from rlhf_testbed.shared.errors import UsageError, unknown
from rlhf_testbed.shared.files import file_name
from rlhf_testbed.tasks.base import Task, TaskError

SET_BY_EXPERIMENT: Mapping[str, str] = {
    "seed": "seeds names the training seeds",
    "base_seed": "base_seeds names those of base policies",
    "output_dir": "each run has a folder of its own",
    "arm": "arms names the arms",
    "task": "an experiment has one",
    "task_args": "an option of the task goes by its own name",
    **{
        field.name: "it is of the whole experiment"
        for field in dataclasses.fields(ExperimentSettings)
    },
}
"""Settings that are no arm's own, and why."""
FOLDERS = ("base", "logs")
"""What lies in an experiment's folder beside its arms."""
RIGHT_ARM = "{name: half-seen, like: both, knowledge: 0.5}"
_NUMBERS: Mapping[type[Option], str] = {float: "a number", int: "a whole number", str: "text"}


class ArmAsked(NamedTuple):
    """An arm of an experiment: the task's, or one of the experiment's own."""

    name: str
    like: str = ""
    """The arm of the task that it starts from; empty for the task's own."""
    given: Mapping[str, Value] = {}
    """Its own dials, settings and options of the task."""


def shown(value: Value) -> str:
    """A value as a command line takes it.

    >>> shown(0.0001), shown(True), shown(3), shown("grpo"), shown(1 / 3)
    ('0.0001', 'true', '3', 'grpo', '0.3333333333333333')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return " ".join(value) if isinstance(value, list) else str(value)


def named(name: str, value: Value) -> str:
    """A value in an arm's name, which is a folder's.

    >>> named("model_name_or_path", "my/model"), named("kl_coef", 0.05)
    ('model=my-model', 'kl_coef=0.05')
    """
    short = next((alias for alias, full in ALIASES.items() if full == name), name)
    return f"{short}={file_name(shown(value), keep='=+')}"


def parse_sweeps(run: RunConfig, where: Where) -> None:
    """Raises `UsageError` where arms, `vary` or `methods` of a run's file can't be read."""
    asked = run.experiment
    parse_arms(asked.arms, where("arms"), run.task)
    parse_vary(asked.vary, where("vary"), options_of(type(run.task)))
    parse_methods(asked.methods, where("methods"))


def parse_vary(
    entries: Sequence[str], source: str, options: Mapping[str, type[Option]] | None = None
) -> dict[str, list[Value]]:
    """Values of each varied dial, setting or option of the task, from `NAME=VALUE,VALUE`.

    `options`: those that the task has. An entry without a name is one more value of the entry
    before it, since YAML splits `[kl_coef=0.01,0.05]` at its comma. Raises `UsageError`.

    >>> parse_vary(["randomised=0,0.1,1", "use_peft=true", "false"], "x.yaml")
    {'randomised': [0.0, 0.1, 1.0], 'use_peft': [True, False]}
    """
    found: dict[str, list[Value]] = {}
    for entry in _joined(entries):
        written, equals, values = entry.partition("=")
        if not equals:
            raise UsageError(f"{source}: vary = {entry} can't be read (right: {entry}=VALUE,VALUE)")
        name = ALIASES.get(written, written)
        if name in found:
            raise UsageError(f"{source}: vary names {written} twice")
        texts = [text.strip() for text in values.split(",")]
        found[name] = [_typed(f"{source}: vary", written, [text], options or {}) for text in texts]
        if len({named(name, value) for value in found[name]}) < len(texts):
            raise UsageError(f"{source}: vary = {entry} names a value twice")
    return found


def parse_methods(entries: Sequence[str], source: str) -> list[tuple[str, tuple[str, ...]]]:
    """Each method's name, and its settings as words of a command line; raises `UsageError`.

    >>> parse_methods(["grpo beta=0.04", "rloo"], "x.yaml")
    [('grpo', ('--beta', '0.04')), ('rloo', ())]
    """
    found = []
    for entry in entries:
        name, *settings = entry.split() or [""]
        method_class(name, f"{source}: methods")
        words: list[str] = []
        for setting in settings:
            key, equals, value = setting.partition("=")
            if not (key and equals and value):
                raise UsageError(
                    f"{source}: methods = {entry} can't be read (right: {name} NAME=VALUE ...)"
                )
            words += [f"--{key}", value]
        found.append((name, tuple(words)))
    if len({name for name, _ in found}) < len(found):
        raise UsageError(f"{source}: methods names a method twice")
    return found


def parse_arms(entries: Sequence[str], source: str, task: Task) -> list[ArmAsked]:
    """The arms that an experiment names or defines; raises `UsageError`.

    >>> from rlhf_testbed.tasks.corridor import Corridor
    >>> parse_arms(["both", "half-seen like=both knowledge=0.5"], "x.yaml", Corridor())[1]
    ArmAsked(name='half-seen', like='both', given={'knowledge': 0.5})
    """
    found = []
    for entry in entries:
        try:
            name, *words = shlex.split(str(entry)) or [""]
        except ValueError:
            told = f"{source}: arms = {entry} can't be read (right: {RIGHT_ARM})"
            raise UsageError(told) from None
        found.append(_defined(name, words, source, task) if words else ArmAsked(name))
        _task_arm(found[-1].like or name, f"{source}: arm {name}: like" if words else source, task)
    twice = [name for name, count in Counter(one.name for one in found).items() if count > 1]
    if twice:
        raise UsageError(f"{source}: arms names {twice[0]} twice")
    return found


def value_told(where: str, name: str, value: Any) -> Any:
    """A value of a YAML file as the setting of that name takes it: mappings become lines.

    >>> value_told("x.yaml: arms", "arms", ["both", {"name": "x", "like": "both", "knowledge": 0}])
    ['both', 'x like=both knowledge=0']
    >>> value_told("x.yaml: vary", "vary", {"kl_coef": [0.01, 0.05]})
    ['kl_coef=0.01,0.05']
    """
    if name == "vary" and isinstance(value, dict):
        return [f"{key}={','.join(map(_text, _listed(each)))}" for key, each in value.items()]
    if name != "arms":
        return value
    return [_arm_told(where, one) if isinstance(one, dict) else one for one in _listed(value)]


def _arm_told(where: str, arm: Mapping[str, Any]) -> str:
    """A mapping that defines an arm, as a line."""
    if not arm.get("name") or not arm.get("like"):
        lacks = "like" if arm.get("name") else "name"
        raise UsageError(f"{where}: an arm of your own lacks '{lacks}' (right: {RIGHT_ARM})")
    words = [_text(arm["name"])]
    for key, value in arm.items():
        if key != "name":
            words += [f"{key}={_text(each)}" for each in _listed(value)] or [f"{key}="]
    return shlex.join(words)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    """A value of YAML as it was written, nearly: nothing for null."""
    return "" if value is None else shown(value)


def _joined(entries: Iterable[Any]) -> list[str]:
    """Entries, with those that have no name put back to the one before."""
    found: list[str] = []
    for entry in entries:
        if found and "=" not in str(entry):
            found[-1] += f",{entry}"
        else:
            found.append(str(entry))
    return found


def _task_arm(name: str, source: str, task: Task) -> None:
    try:
        task.arm(name)
    except TaskError as error:
        raise UsageError(f"{source}: {error}") from None


def _defined(name: str, words: Sequence[str], source: str, task: Task) -> ArmAsked:
    """An arm of the experiment's own, from `NAME=VALUE` words."""
    place = f"{source}: arm {name}"
    if not re.fullmatch(r"\w[\w.-]*", name) or name in FOLDERS:
        raise UsageError(f"{place} can't be called so (right: letters, digits, _ . -)")
    if name in (arm.name for arm in task.arms):
        raise UsageError(f"{place} is one of {task.name}'s own (right: another name)")
    texts: dict[str, list[str]] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (key and equals):
            raise UsageError(f"{place}: {word} can't be read (right: NAME=VALUE)")
        texts.setdefault(key, []).append(value)
    like = texts.pop("like", [])
    if len(like) != 1:
        raise UsageError(f"{place}: names no arm that it is like (right: {RIGHT_ARM})")
    options = options_of(type(task))
    given = {
        ALIASES.get(key, key): _typed(place, key, values, options) for key, values in texts.items()
    }
    return ArmAsked(name, like[0], given)


@cache
def _known(method: str = "") -> dict[str, Known]:
    """The settings of every method, and of one from elsewhere."""
    return known([*METHODS, *([method] if method else [])])


def _typed(
    place: str, written: str, texts: Sequence[str], options: Mapping[str, type[Option]]
) -> Value:
    """The value that a dial, a setting or an option of the task is given; raises `UsageError`."""
    name, there = ALIASES.get(written, written), _known()
    if name in SET_BY_EXPERIMENT:
        raise UsageError(f"{place}: {written} can't be an arm's own: {SET_BY_EXPERIMENT[name]}")
    setting = there.get(name)
    if len(texts) > 1 and not (setting and setting.listed):
        raise UsageError(f"{place}: {written} is given twice")
    if setting:
        if "" in texts:
            raise UsageError(f"{place}: {written} is empty")
        value = setting.value(f"{place}: {written}", list(texts) if setting.listed else texts[0])
        if name == "method":
            method_class(str(value), f"{place}: method")
        return value
    if name not in options:
        if name in RENAMED:
            raise UsageError(f"{place}: setting '{written}' is now called {RENAMED[name]}")
        names = [one for one in there if one not in SET_BY_EXPERIMENT]
        raise unknown(f"{place}: setting", written, [*names, *ALIASES, *options])
    try:
        return options[name](texts[0])
    except ValueError:
        told = _NUMBERS[options[name]]
        raise UsageError(
            f"{place}: {written} = {texts[0]} is not of the right type ({told})"
        ) from None
