"""Settings as argparse has them: which there are with a method, and values from YAML in their type.

    known(["ppo"])["kl_coef"].value("x.yaml: vary: kl_coef", "0.01")    0.01
    known(["ppo"])["kl_coef"].value("x.yaml: vary: kl_coef", "-1")      UsageError, in one line

The groups are those of `run.py` and of the selection method.
"""

from __future__ import annotations

import copy
import dataclasses
from argparse import ArgumentTypeError
from collections.abc import Iterable
from typing import Any, NamedTuple, NoReturn, TypeAlias, get_args, get_type_hints

from transformers import HfArgumentParser

from rlhf_testbed.settings.fields import Bound
from rlhf_testbed.settings.methods import method_class
from rlhf_testbed.settings.run import (
    BasePolicySettings,
    EvaluationSettings,
    ExperimentSettings,
    Group,
    SelectionSettings,
    StudySettings,
)
from rlhf_testbed.shared.errors import UsageError

COMMAND_LINE = "command line"
ALIASES = {"model": "model_name_or_path"}
LISTS = ("+", "*")
"""How argparse tells a setting that takes several values."""
Value: TypeAlias = float | int | bool | str | list[str] | None
"""Of a setting."""
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "string_to_bool": "true or false",
    "parse": "a number",
}


class Parser(HfArgumentParser):
    """HfArgumentParser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """Raises `UsageError`."""
        raise UsageError(f"{COMMAND_LINE}: {message}")

    @staticmethod
    def _parse_dataclass_field(parser: Any, field: Any) -> None:
        """As in the base class, but for a field's bound, which is no argument of argparse's."""
        plain = copy.copy(field)
        plain.metadata = {name: field.metadata[name] for name in field.metadata if name != "within"}
        HfArgumentParser._parse_dataclass_field(parser, plain)


class Known(NamedTuple):
    """A setting that there is."""

    action: Any
    """argparse's."""
    nullable: bool
    within: Bound | None

    @property
    def listed(self) -> bool:
        """Whether it takes several values."""
        return self.action.nargs in LISTS

    def value(self, where: str, given: Any) -> Value:
        """A value in the setting's type; raises `UsageError` for another, or one out of range.

        `where` is told first: `x.yaml: vary: kl_coef`.
        """
        found: Value = converted(where, given, self.action, self.nullable)
        if found == "":
            raise UsageError(f"{where} is empty")
        number = found if isinstance(found, float | int) else None
        if self.within and number is not None and not self.within.holds(number):
            raise UsageError(f"{where} = {found} is not {self.within.words}")
        return found


def groups_of(method: str, what: str = "method") -> tuple[type[Group], ...]:
    """The groups of settings of a run with that selection method; raises `UsageError`."""
    return (
        StudySettings,
        BasePolicySettings,
        SelectionSettings,
        method_class(method, what).settings,
        EvaluationSettings,
        ExperimentSettings,
    )


def known(methods: Iterable[str]) -> dict[str, Known]:
    """Every setting that a run with one of these methods has, by its full name."""
    found: dict[str, Known] = {}
    for method in methods:
        groups = groups_of(method)
        actions = {action.dest: action for action in Parser(groups, allow_abbrev=False)._actions}
        empty = nullable(groups)
        fields = [field for group in groups for field in dataclasses.fields(group)]
        for field in fields:
            within = field.metadata.get("within")
            one = Known(actions[field.name], field.name in empty, within)
            found.setdefault(field.name, one)
    return found


def nullable(groups: Iterable[type]) -> set[str]:
    """The settings that may be null."""
    hints = [item for group in groups for item in get_type_hints(group).items()]
    return {name for name, hint in hints if type(None) in get_args(hint)}


def converted(where: str, value: Any, action: Any, nullable: bool) -> Any:
    """A YAML value in the type that the option has; a bool is no number, and a list no value."""
    if value is None:
        if not nullable:
            raise UsageError(f"{where} is empty (leave it out for the default, {action.default})")
        return None
    if action.nargs in LISTS:
        return [str(each) for each in value] if isinstance(value, list) else [str(value)]
    kind = getattr(action.type, "__name__", "value")
    mistyped = isinstance(value, list | dict)
    if not mistyped and action.type is not None:
        try:
            value = action.type(str(value))
        except (ValueError, TypeError, ArgumentTypeError):
            mistyped = True
    if mistyped:
        raise UsageError(f"{where} = {value} is not of the right type ({_WORDS.get(kind, kind)})")
    if action.choices is not None and value not in action.choices:
        raise UsageError(f"{where} = {value} is none of {', '.join(map(str, action.choices))}")
    return value
