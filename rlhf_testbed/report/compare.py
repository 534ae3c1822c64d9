"""Two runs or experiments side by side, in the terminal.

A  runs/corridor-head   3 arms, 25 runs
B  runs/corridor-lora   3 arms, 25 runs

What is different
           A     B
lora_r     0     16

Figures that moved                A     B     B - A
both   success                    0.95  0.71  -0.24 [-0.31, -0.17]
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rlhf_testbed.evaluation.episode_measures import SHARE
from rlhf_testbed.experiment.over_seeds import HEADLINES
from rlhf_testbed.measures.decisions import PLURAL
from rlhf_testbed.measures.statistics import LEVEL
from rlhf_testbed.report.compare_generations import print_example, print_responses, say
from rlhf_testbed.report.contrast_tables import LEFT, VERDICT_STYLE
from rlhf_testbed.shared.record import write_over
from rlhf_testbed.store.comparison_records import ArmCompared, Comparison, Movement, Side

LONGEST = 40
"""Characters of a value in a table; `--json` has all of them."""
REASONS = 5
"""What was left out, and is told one by one."""
UNITS = (SHARE, "score", "nats")
"""Movements are told unit by unit, these first: a nat can't be weighed against a share."""
FOLDED = {
    "undecided": "can't be told from 0",
    "alike": "alike in every run",
    "unjudged": "could not be judged in every run",
    "no interval": "differ, without an interval",
    "equivalent": "equivalent",
}
"""Figures that are counted, and in which words."""


def print_comparison(found: Comparison, console: Console) -> None:
    """Prints all of it: settings, threats, figures that moved, generations, examples."""
    for name, side in (("A", found.a), ("B", found.b)):
        console.print(f"{name}  {escape(_side(side))}", highlight=False, soft_wrap=True)
    for which, names in (("A", found.only_a), ("B", found.only_b)):
        if names:
            say(console, f"arms of {which} without a counterpart: {', '.join(names)}")
    _print_differing(found, console)
    if found.of == "runs":
        _print_plain(found, console)
    else:
        _print_threats(found, console)
        _print_moved(found, console)
    print_responses(found, console)
    for example in found.examples:
        print_example(example, console)
    if found.missing:
        console.print("\nLeft out", style="bold")
        for why in found.missing[:REASONS]:
            say(console, f"- {why}")
        if len(found.missing) > REASONS:
            say(console, f"- and {len(found.missing) - REASONS} more (--json has all)")


def write_comparison(found: Comparison, file: Path) -> Path:
    """Files everything as JSON; raises `UsageError` where another file than a comparison is."""
    return write_over(file, found, "is no comparison")


def _print_differing(found: Comparison, console: Console) -> None:
    """Prints settings, sources and versions that differ; says so where none does."""
    if not found.differing:
        say(console, "\nSettings, sources and versions: no difference")
        return
    console.print()
    table = Table(title="What is different", **LEFT)
    for heading in ("", "", "A", "B"):
        table.add_column(heading, overflow="fold")
    before = ""
    for one in found.differing:
        a = "-" if one.only_in == "B" else _value(one.a)
        b = "-" if one.only_in == "A" else _value(one.b)
        table.add_row(one.what if one.what != before else "", *map(escape, (one.name, a, b)))
        before = one.what
    console.print(table)


def _print_threats(found: Comparison, console: Console) -> None:
    """Prints both threats of each arm, with what is said of them."""
    table = Table(title="\nThreats (2 in nats), B - A with 95 % intervals", **LEFT)
    for heading in ("arm", "threat"):
        table.add_column(heading, overflow="fold")
    for heading in ("A", "B", "B - A"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for arm in found.arms:
        for one in _headlines(arm):
            number = one.figure.removeprefix("threat_")
            table.add_row(escape(arm.arm), number, *_numbers(one), _verdict(one))
    if table.row_count:
        console.print(table)
    for arm in found.arms:
        say(console, f"- {arm.arm}: {'; '.join([_over(arm), *arm.remarks])}")


def _print_moved(found: Comparison, console: Console) -> None:
    """Prints the other figures that moved, largest first in each unit, and counts the rest."""
    table = Table(title="\nOther figures that moved, B - A with 95 % intervals", **LEFT)
    table.add_column("arm", overflow="fold")
    table.add_column("figure", overflow="fold")
    for heading in ("A", "B", "B - A"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    rest: Counter[str] = Counter()
    for arm in found.arms:
        others = [one for one in arm.figures if one.figure not in HEADLINES]
        rest += Counter(FOLDED[one.found] for one in others if one.found in FOLDED)
        for at, one in enumerate(_largest_first(o for o in others if o.found not in FOLDED)):
            star = "*" if one.found == "moved alone" else ""
            table.add_row("" if at else escape(arm.arm), _name(one), *_numbers(one), star)
    if table.row_count:
        console.print(table)
    if rest:
        say(console, "- not shown: " + ", ".join(f"{n} {what}" for what, n in rest.items()))
    if found.tests:
        expected = LEVEL * found.tests
        say(
            console,
            f"- {found.tests} figures were tested: taken alone, {expected:.0f} would seem to move "
            "where nothing does. * moved taken alone, but not among so many (Holm)",
        )


def _print_plain(found: Comparison, console: Console) -> None:
    """Prints the differences of two runs, which have no interval."""
    table = Table(title="\nFigures, B - A", **LEFT)
    table.add_column("figure", overflow="fold")
    for heading in ("A", "B", "B - A"):
        table.add_column(heading, justify="right", no_wrap=True)
    rest: Counter[str] = Counter()
    for arm in found.arms:
        others = [one for one in arm.figures if one.figure not in HEADLINES]
        rest += Counter(FOLDED[one.found] for one in others if one.found != "no interval")
        differ = _largest_first(one for one in others if one.found == "no interval")
        for one in (*_headlines(arm), *differ):
            table.add_row(_name(one), *_numbers(one))
    if table.row_count:
        console.print(table)
        say(
            console,
            "- plain differences of one run each, without an interval: another training seed alone "
            "moves figures, and by how much only experiments tell",
        )
    if rest:
        folded = ", ".join(f"{n} {what}" for what, n in rest.items())
        say(console, f"- not shown: {folded.replace('every run', 'both')}")


def _headlines(arm: ArmCompared) -> list[Movement]:
    """Both threats in their order, as far as there are figures of them."""
    found = {one.figure: one for one in arm.figures}
    return [found[threat] for threat in HEADLINES if threat in found]


def _side(side: Side) -> str:
    arms = len(side.arms)
    told = f"{arms} arm{'s' * (arms != 1)}, {side.runs} run{'s' * (side.runs != 1)}"
    return f"{side.path}{f'   {told}' if arms else ''}"


def _value(value: Any) -> str:
    """A setting as YAML or JSON would have it, cut where it is long.

    >>> _value(None), _value(["a=1"]), _value(True), _value("ppo")
    ('none', '["a=1"]', 'true', 'ppo')
    """
    if value is None or value == "":
        return "none"
    told = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return told if len(told) <= LONGEST else f"{told[: LONGEST - 3]}..."


def _numbers(one: Movement) -> tuple[str, str, str]:
    """A, B and B - A with its interval."""
    ends = "" if math.isnan(one.low) else f" [{_short(one.low)}, {_short(one.high)}]"
    if not math.isnan(one.low) and one.low == one.high:
        ends = " (all alike)"
    return _short(one.a), _short(one.b), escape(f"{_short(one.difference, sign=True)}{ends}")


def _short(value: float, *, sign: bool = False) -> str:
    """Three decimals; `-` for what could not be judged.

    >>> _short(-0.0001), _short(0.5, sign=True), _short(math.nan), _short(1234.5678)
    ('0.000', '+0.500', '-', '1234.6')
    """
    if math.isnan(value):
        return "-"
    told = f"{value:{'+' if sign else ''}.{3 if abs(value) < 100 else 1}f}"
    return told.lstrip("+-") if float(told) == 0 else told


def _verdict(one: Movement) -> str:
    """What is said of a threat, in words."""
    style = VERDICT_STYLE.get(one.found, "")
    told: str = one.found
    if one.found == "equivalent":
        told = f"equivalent: within ±{one.bound:g}"
    elif one.found == "moved alone":
        style, told = VERDICT_STYLE["undecided"], "moved taken alone, undecided among all"
    return f"[{style}]{told}[/]" if style else told


def _over(arm: ArmCompared) -> str:
    """Over what an arm's differences are taken."""
    a, b = arm.units
    many = f"{a}" if a == b and arm.pairing != "nothing" else f"{a} against {b}"
    unit = arm.unit or "unit"
    told = f"over {many} {unit if (a, b) == (1, 1) else PLURAL.get(unit, 'units')}"
    if arm.pairing != "nothing":
        runs = arm.runs[0] if arm.runs[0] == arm.runs[1] else "{} and {}".format(*arm.runs)
        told += f" of {runs} runs, paired by {_pairing(arm)}"
    if any(arm.left_out):
        told += "; without a counterpart: {} of A, {} of B".format(*arm.left_out)
    return told


def _pairing(arm: ArmCompared) -> str:
    return "base policy and training seed" if arm.pairing == "runs" else "base policy"


def _name(one: Movement) -> str:
    """A figure in words, with its unit where that is one; docs/METRICS.md has the others."""
    unit = "" if one.unit in (SHARE, "") or " " in one.unit else f" ({one.unit})"
    return escape(f"{one.figure.replace('_', ' ')}{unit}")


def _largest_first(figures: Iterator[Movement]) -> Sequence[Movement]:
    """Unit by unit, the largest difference first."""
    order = {unit: at for at, unit in enumerate(UNITS)}
    return sorted(
        figures,
        key=lambda one: (order.get(one.unit, len(order)), one.unit, -abs(one.difference)),
    )
