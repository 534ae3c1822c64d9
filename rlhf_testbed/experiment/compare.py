"""Two runs or two experiments side by side: what was set otherwise, what moved, what is written.

    found = compare(Path("runs/corridor"), Path("runs/corridor-kl"))
    found.differing     kl_coef: 0.05 in A, 0.2 in B
    found.arms          by arm: every figure with B - A, and how many generations changed
    found.examples      scenarios on which the two did most differently

What is missing or damaged of a single run is left out, and said. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from rlhf_testbed.experiment import changed
from rlhf_testbed.experiment.changed import Pair
from rlhf_testbed.experiment.moved import compared, tests
from rlhf_testbed.experiment.sides import Side
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store import comparison_records as records
from rlhf_testbed.store.comparison_records import ArmCompared, Comparison, Differing, Example, What

READ = 100
"""Pairs of runs of two experiments whose generations are read, about: as many of each arm."""
EXAMPLES = 3
UNKNOWN: frozenset[What] = frozenset({"setting", "base policy"})
"""What a published experiment doesn't tell."""


def compare(a: Path, b: Path, examples: int = EXAMPLES) -> Comparison:
    """Everything in which `b` differs from `a`, with so many examples of generations.

    Raises `UsageError` for what is no run or experiment, for one of each, and for two tasks.
    """
    of_a, of_b = Side.of(a), Side.of(b)
    _refuse_unlike(of_a, of_b)
    bounds = {
        name: min(bound, of_b.bounds[name])
        for name, bound in of_a.bounds.items()
        if name in of_b.bounds
    }
    arms = compared(of_a.arms, of_b.arms, bounds)
    told = [
        f"{which}: {why}"
        for which, one in (("A", of_a), ("B", of_b))
        for why in [*one.missing, *one.unknown]
    ]
    arms, chosen, unread = _with_responses(arms, of_a, of_b, examples)
    return Comparison(
        of="runs" if of_a.is_run else "experiments",
        task=of_a.task,
        a=_side(of_a),
        b=_side(of_b),
        differing=differing(of_a, of_b),
        arms=arms,
        only_a=[name for name in of_a.arms if name not in of_b.arms],
        only_b=[name for name in of_b.arms if name not in of_a.arms],
        tests=tests(arms),
        examples=chosen,
        missing=[*told, *unread],
    )


def differing(a: Side, b: Side) -> list[Differing]:
    """What the two were not made with alike: settings first, versions and machine last.

    An arm that one of them lacks is not told of here; nor is, thing by thing, a kind of thing that
    is not known of one of them at all: of a published experiment, its settings.
    """
    of_a, of_b = a.made_with, b.made_with
    unknown = ({what for what, _ in of_a} ^ {what for what, _ in of_b}) & UNKNOWN
    alone = a.arms.keys() ^ b.arms.keys()
    found = [
        Differing(
            what=what,
            name=name,
            a=of_a.get((what, name)),
            b=of_b.get((what, name)),
            only_in="A" if (what, name) not in of_b else "B" if (what, name) not in of_a else "",
        )
        for what, name in dict.fromkeys([*of_a, *of_b])
        if what not in unknown and not (what == "arm" and name.partition(": ")[0] in alone)
    ]
    order = get_args(What)
    return sorted(
        (one for one in found if one.only_in or one.a != one.b),
        key=lambda one: order.index(one.what),
    )


def _refuse_unlike(a: Side, b: Side) -> None:
    """Raises `UsageError` for a run beside an experiment, and for two tasks."""
    if a.is_run != b.is_run:
        run, other = (a, b) if a.is_run else (b, a)
        raise UsageError(
            f"{run.path} is a run and {other.path} an experiment (right: two runs, like "
            f"{other.path}/ARM/seed-0, or two experiments)"
        )
    if a.task != b.task:
        raise UsageError(
            f"{a.path} is of the task {a.task}, {b.path} of {b.task}: figures of two tasks can't "
            "be compared"
        )


def _side(side: Side) -> records.Side:
    runs = 1 if side.is_run else sum(map(len, side.arms.values()))
    return records.Side(path=str(side.path), runs=runs, arms=[name for name in side.arms if name])


def _with_responses(
    arms: Sequence[ArmCompared], a: Side, b: Side, examples: int
) -> tuple[list[ArmCompared], list[Example], list[str]]:
    """The arms with what became of their generations, examples, and what could not be read."""
    most = max(1, READ // max(1, len(arms)))
    pairs = {arm.arm: _pairs(arm.arm, a, b) for arm in arms}
    every = {name: changed.read(those[:most], examples) for name, those in pairs.items()}
    found = [arm.model_copy(update={"responses": every[arm.arm].counts}) for arm in arms]
    missing = [why for one in every.values() for why in one.missing]
    if alone := [name for name, those in pairs.items() if not those]:
        missing.append(
            f"generations ({', '.join(alone)}): no two runs with the same seeds are here"
        )
    if any(len(those) > most for those in pairs.values()):
        total = sum(map(len, pairs.values()))
        there = sum(min(most, len(those)) for those in pairs.values())
        missing.append(
            f"generations: of {total} pairs of runs {there} were read, the first {most} of an arm"
        )
    return found, changed.best(every.values(), examples), missing


def _pairs(arm: str, a: Side, b: Side) -> list[Pair]:
    """The runs of an arm that both have, by base policy and training seed; of two runs, these."""
    if a.is_run:
        return [Pair(arm, a.directories[0], b.directories[0])]
    shared = sorted(key for key in a.folders.keys() & b.folders.keys() if key[0] == arm)
    return [Pair(arm, a.folders[key], b.folders[key]) for key in shared]
