"""What can be a fact: of a scenario, and of an outcome.

    {"coin": "right", "steps": 3, "lit": True}    yes
    {"distance": inf, "cells": {1}}               no: JSON has neither, and a mean of it is none

Imports nothing but the standard library.
"""

from __future__ import annotations

import math

from rlhf_testbed.tasks.base import Facts, TaskError


def plain(fact: object) -> bool:
    """Whether a value can be a fact: a text that can be filed, a finite number, True or False.

    >>> [plain(value) for value in ("lit", 3, True, float("inf"), "\\ud800", None)]
    [True, True, True, False, False, False]
    """
    if isinstance(fact, str):
        return fact == fact.encode("utf-8", "ignore").decode("utf-8")
    return isinstance(fact, int) or (isinstance(fact, float) and math.isfinite(fact))


def refuse_odd_facts(facts: Facts) -> None:
    """Raises `TaskError` where a name is no text, or a value can't be a fact."""
    for name, fact in facts.items():
        if not (isinstance(name, str) and plain(name) and plain(fact)):
            raise TaskError(
                "facts must be texts, finite numbers, True or False, and "
                f"{name!r:.30} is {fact!r:.60}"
            )
