"""From YAML and command line to a run, every value checked.

    # configs/corridor.yaml
    task: corridor
    learning_rate: 5.0e-4

    accelerate launch -m rlhf_testbed.train --config configs/corridor.yaml --arm both --seed 3

Settings are those of `run.py` and of the selection method that is named. Errors name the place, the
value and what would be right, in one line.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from rlhf_testbed.overseers.base import Sight
from rlhf_testbed.settings import resuming
from rlhf_testbed.settings.arguments import (
    ALIASES,
    COMMAND_LINE,
    Parser,
    converted,
    groups_of,
    nullable,
)
from rlhf_testbed.settings.fields import Where
from rlhf_testbed.settings.methods import DEFAULT_METHOD, method_class
from rlhf_testbed.settings.overseers import make_overseer
from rlhf_testbed.settings.plugins import task_named, training_class
from rlhf_testbed.settings.renamed import why_not
from rlhf_testbed.settings.run import Group, RunConfig
from rlhf_testbed.settings.sized import sized_defaults
from rlhf_testbed.settings.sweeps import parse_sweeps, value_told
from rlhf_testbed.shared.errors import UsageError, unknown
from rlhf_testbed.shared.files import read_yaml
from rlhf_testbed.tasks.base import TaskError


class _Given(NamedTuple):
    """What was asked for: the words of the command line, and the file that they name."""

    words: list[str]
    """Without `--config FILE`."""
    path: str | None
    settings: Mapping[str, Any]
    """The file's, by their full names."""


def parse_run(arguments: Sequence[str], prog: str | None = None) -> RunConfig:
    """Resolves `--config FILE` and overrides into a run; raises `UsageError`."""
    given = _given(arguments)
    method, source = _method(given)
    groups = groups_of(method, f"{source}: method")
    _refuse_redefined(groups, f"{source}: method {method}")
    parser = Parser(groups, prog=prog, allow_abbrev=False, epilog=resuming.HELP)
    actions = {action.dest: action for action in parser._actions}
    _refuse_unknown(given, actions, parser._option_string_actions, method)
    empty = nullable(groups)
    defaults = {
        name: converted(where, value_told(where, name, value), actions[name], name in empty)
        for name, value in given.settings.items()
        for where in [f"{given.path}: {name}"]
    }
    parser.set_defaults(**_sized(given, actions), **defaults)
    try:
        *found, stray = parser.parse_args_into_dataclasses(
            given.words, return_remaining_strings=True, look_for_args_file=False
        )
    except (ValueError, TypeError) as error:
        place = given.path or COMMAND_LINE
        raise UsageError(f"{place}: {str(error).splitlines()[0]}") from None
    if stray:
        raise UsageError(f"{COMMAND_LINE}: {' '.join(stray)} can't be read (right: --NAME VALUE)")
    run = RunConfig(*found)
    _check(run, found, _sources(given))
    return _placed(run)


def parse_seeds(text: str, source: str, name: str = "seeds") -> list[int]:
    """Training seeds, or those of base policies, from `0-4`, `7,11` or both; raises `UsageError`.

    >>> parse_seeds("0-2,7", "--seeds")
    [0, 1, 2, 7]
    """
    found: list[int] = []
    for part in str(text).split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if not match:
            raise UsageError(f"{source}: {name} = {text} can't be read (right: 0-4, or 7,11)")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise UsageError(f"{source}: {name} = {text} runs backwards (right: {last}-{first})")
        found.extend(range(first, last + 1))
    if len(set(found)) < len(found):
        raise UsageError(f"{source}: {name} = {text} names a seed twice")
    return found


def _given(arguments: Sequence[str]) -> _Given:
    """Takes `--config FILE` out of the words, and reads the file."""
    words = list(arguments)
    path = None
    for at, word in enumerate(words):
        if word == "--config":
            if at + 1 == len(words):
                raise UsageError(f"{COMMAND_LINE}: --config needs a file")
            path = words[at + 1]
            del words[at : at + 2]
            break
        if word.startswith("--config="):
            path = words.pop(at).partition("=")[2]
            break
    settings = read_yaml(path) if path is not None else {}
    return _Given(words, path, {ALIASES.get(str(k), str(k)): v for k, v in settings.items()})


def _method(given: _Given) -> tuple[str, str]:
    """The selection method's name, and where it was named."""
    for at, word in enumerate(given.words):
        name, equals, value = word.partition("=")
        if name == "--method":
            if not equals and at + 1 == len(given.words):
                raise UsageError(f"{COMMAND_LINE}: --method needs a name")
            return (value if equals else given.words[at + 1]), COMMAND_LINE
    return str(given.settings.get("method") or DEFAULT_METHOD), str(given.path)


def _sized(given: _Given, actions: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults that depend on how large the model is, but for what was asked for."""
    named = dict(given.settings)
    for at, word in enumerate(given.words):
        if word.startswith("--"):
            following = given.words[at + 1] if at + 1 < len(given.words) else None
            named[_option_name(word)] = word.partition("=")[2] or following
    return sized_defaults(named, actions)


def _refuse_redefined(groups: Sequence[type[Group]], method: str) -> None:
    """Raises `UsageError` where a method has a setting that every run has."""
    names = Counter(field.name for group in groups for field in dataclasses.fields(group))
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise UsageError(f"{method}: its setting {twice[0]} is one that every run has")


def _refuse_unknown(
    given: _Given, actions: Iterable[str], options: Iterable[str], method: str
) -> None:
    """Raises `UsageError` for what is no setting, with the reason or the nearest that is one."""
    known = [name for name in actions if name != "help"] + list(ALIASES)
    asked = [(f"{given.path}: setting", key, key, known) for key in given.settings]
    long = [option for option in options if option.startswith("--")]
    for word in given.words:
        name = word.partition("=")[0]
        if name.startswith("--") and name not in [*long, "--config"]:
            asked.append((f"{COMMAND_LINE}: option", name, _option_name(word), long))
        elif name.startswith("--config"):
            raise UsageError(f"{COMMAND_LINE}: --config is given twice")
    for what, shown, name, names in asked:
        if name not in known:
            reason = why_not(name, method)
            raise (
                UsageError(f"{what} '{shown}' {reason}") if reason else unknown(what, shown, names)
            )


def _option_name(word: str) -> str:
    name = word[2:].split("=")[0].replace("-", "_")
    return ALIASES.get(name, name)


def _sources(given: _Given) -> Where:
    """Where each setting comes from."""
    source = dict.fromkeys(given.settings, str(given.path))
    source |= {_option_name(w): COMMAND_LINE for w in given.words if w.startswith("--")}
    return lambda name: source.get(name, "default")


def _placed(run: RunConfig) -> RunConfig:
    """The run with a folder, by default one that is named for it."""
    if run.selection.output_dir is not None:
        return run
    selection = dataclasses.replace(run.selection, output_dir=f"runs/{run.name}")
    return dataclasses.replace(run, selection=selection)


def _check(run: RunConfig, groups: Iterable[Group], where: Where) -> None:
    """Raises `UsageError` for numbers out of range, and for names that there are not."""
    for group in groups:
        for field in dataclasses.fields(group):
            bound, value = field.metadata.get("within"), getattr(group, field.name)
            if bound and value is not None and not bound.holds(value):
                raise UsageError(
                    f"{where(field.name)}: {field.name} = {value} is not {bound.words}"
                )
            if value == "":
                raise UsageError(f"{where(field.name)}: {field.name} is empty")
    _check_names(run, where)
    parse_seeds(run.experiment.seeds, where("seeds"))
    if run.experiment.base_seeds is not None:
        parse_seeds(run.experiment.base_seeds, where("base_seeds"), "base_seeds")
    parse_sweeps(run, where)
    if run.base.model_name_or_path is None:
        for name in ("base_lora_r", "base_lora_layers", "base_patience"):
            if getattr(run.base, name):
                raise UsageError(f"{where(name)}: {name} has no effect without model")
    selection = run.selection
    batch = run.method.batch(selection.per_device_train_batch_size)
    if selection.train_scenarios < run.method.scenarios(batch):
        raise UsageError(
            f"{where('train_scenarios')}: train_scenarios = {selection.train_scenarios} is less "
            f"than an update takes ({run.method.scenarios(batch)} of {batch} episodes)"
        )
    if selection.scores != "overseer" and not method_class(selection.method).has_weights:
        raise UsageError(
            f"{where('scores')}: scores = {selection.scores}: method {selection.method} trains "
            "nothing, and a completion that stays by chance is one of the base policy's (right: "
            "its figures, which every evaluation has as base_...)"
        )
    run.method.check(where, batch)


def _check_names(run: RunConfig, where: Where) -> None:
    """Task, overseer and arms must exist, and the overseer must take its options."""
    study = run.study
    told = where("task_args" if study.task_args else "task")
    task = task_named(study.task, f"{where('task')}: task", study.task_args, told)
    training_class(study.overseer, f"{where('overseer')}: overseer")
    source = where("overseer_args" if study.overseer_args else "overseer")
    make_overseer(study.overseer, task, Sight(0.0), study.overseer_args, source)
    if study.arm:
        try:
            task.arm(study.arm)
        except TaskError as error:
            raise UsageError(f"{where('arm')}: {error}") from None
