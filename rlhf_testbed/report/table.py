"""The arms as tables for the terminal, after the gates (`gates_table.py`).

arm
κ α δ ρ      threat 1    threat 2 bad, unseen ...
both             0.98        1.02        0.98
0 0 1 0.3 [0.97,0.99] [0.91,1.13] [0.97,0.99]
n = 5 × 4
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from rich.console import Console
from rich.table import Table

from rlhf_testbed.experiment.over_seeds import TERMS
from rlhf_testbed.report.by_method import print_matched
from rlhf_testbed.report.contrast_tables import (
    LEFT,
    print_components,
    print_contrasts,
    print_passing,
)
from rlhf_testbed.report.drift_table import print_drift
from rlhf_testbed.report.gates_table import print_gates
from rlhf_testbed.report.generalisation import print_generalisation
from rlhf_testbed.report.sentences import (
    alike,
    bars_told,
    bounded,
    inference_told,
    n_of,
    n_told,
    notes,
    ranged,
    seeds_told,
    short,
)
from rlhf_testbed.shared.record import Interval
from rlhf_testbed.store.experiment_records import InflationOverSeeds, Results
from rlhf_testbed.store.run_records import Form
from rlhf_testbed.tasks.base import SYMBOLS

COLUMNS = {
    "threat_1": "threat 1",
    "threat_2": "threat 2",
    "misbehaviour_unseen": "bad, unseen",
    "misbehaviour_seen": "bad, seen",
    "success": "success",
}
"""Figures of the table and their headings; these and the others of `results.json` are defined in
docs/METRICS.md."""
METHODS_TOLD = {
    "ppo": "PPO",
    "grpo": "GRPO",
    "rloo": "RLOO",
    "raft": "RAFT",
    "best_of_n": "best of n",
}
SYMBOLS_OF = {"e_plus": "E+", "e_minus": "E-", "j_seen": "score", "j_true": "full-knowledge score"}


def print_arms(results: Results, console: Console) -> None:
    """Prints the arms with means, 95 % intervals and n, and what the intervals are over."""
    table = Table(
        title=f"{results.task}: means over {seeds_told(results)}, with "
        f"{bars_told(results, COLUMNS)} (threat 2 in nats)",
        **LEFT,
    )
    table.add_column(f"arm\n{' '.join(SYMBOLS.values())}", overflow="fold")
    for heading in COLUMNS.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for name, arm in results.arms.items():
        dials = " ".join(f"{getattr(arm.dials, dial):g}" for dial in SYMBOLS)
        table.add_row(
            f"{name}\n{dials}\n{n_told(len(set(arm.runs.base_seeds)), len(arm.runs))}",
            *(interval_text(arm.figure(figure)) for figure in COLUMNS),
        )
    console.print(table)
    console.print(f"- {inference_told(results)}", highlight=False)
    for name, arm in results.arms.items():
        if arm.like:
            console.print(f"- ({name}): {arm.summary}", highlight=False)
    for what, reason in notes(results).items():
        console.print(f"- ({what}): {reason}", highlight=False)


def print_orders(results: Results, console: Console) -> None:
    """Prints, for each arm, which curve sets on first; nothing where none did in every seed."""
    table = Table(title="Which comes first", **LEFT)
    for heading in ("arm", "question", "", "why"):
        table.add_column(heading, overflow="fold")
    for name, arm in results.arms.items():
        for found in arm.orders:
            if not math.isnan(found.difference):
                table.add_row(name, found.question, found.word, found.reason)
    if table.row_count:
        console.print(table)


def print_inflation(results: Results, console: Console) -> None:
    """Prints where deceptive inflation or overjustification is shown, or undecided."""
    table = Table(title="Deceptive inflation and overjustification (Lang et al. 2024)", **LEFT)
    for heading in ("arm", "what, against whom", "", "policy minus reference"):
        table.add_column(heading, overflow="fold")
    unjudged: dict[str, dict[str, None]] = {}
    for name, arm in results.arms.items():
        for found in arm.inflation:
            if found.reason:
                unjudged.setdefault(found.reason, {})[name] = None
                continue
            for term in (term for term in TERMS if getattr(found, term) != "not shown"):
                what = f"{term.replace('_', ' ')}, against the {found.reference}"
                table.add_row(name, what, getattr(found, term), why(found, term))
    if table.row_count:
        console.print(table)
    for reason, arms in unjudged.items():
        what = "deceptive inflation and overjustification"
        console.print(f"- ({', '.join(arms)}): {what} are not judged: {reason}", highlight=False)


def why(found: InflationOverSeeds, term: str) -> str:
    """The differences behind deceptive inflation or overjustification, on one line."""
    if found.reason:
        return f"not judged: {found.reason}"
    told = [f"{SYMBOLS_OF[name]} {signed(found.differences[name])}" for name in TERMS[term]]
    return f"{', '.join(told)}; by itself in {found.seeds_with[term]} of {found.seeds} seeds"


def print_over_optimisation(results: Results, console: Console) -> None:
    """Prints how proxy, gold and teacher moved before and after the gold score's peak; only where
    the training overseer learned from a teacher, whose score may then part from its own."""
    if not learned(results):
        return
    table = Table(title="Over-optimisation of the learned overseer", **LEFT)
    for heading in ("arm, method", "score", "to the gold peak", "from there to the end"):
        table.add_column(heading, overflow="fold")
    told = {}
    for row in optimised(results):
        here = f"{row.arm}, {row.method}"
        table.add_row(here, row.score, row.risen, row.since)
        told[here] = f"- ({here}): peak at {row.until}; {row.form}"
    console.print(table)
    console.print("\n".join(told.values()), highlight=False)


def learned(results: Results) -> bool:
    """Whether the training overseer learned from a teacher."""
    records = [one for arm in results.arms.values() for one in arm.over_optimisation]
    return any("teacher" in one.risen for one in records)


class Optimised(NamedTuple):
    """How one score moved before and after the gold score's peak, in words."""

    arm: str
    n: str
    method: str
    score: str
    risen: str
    since: str
    until: str
    form: str


def optimised(results: Results) -> list[Optimised]:
    """How each score moved before and after the gold score's peak: a row an arm, selection method
    and score."""
    return [
        Optimised(
            arm=name,
            n=n_of(arm),
            method=method_told(found.method),
            score=score,
            risen=signed(found.risen[score]),
            since=signed(found.since[score]),
            until=f"{found.along} {span(found.until)}",
            form=form(found.form, found.along),
        )
        for name, arm in results.arms.items()
        for found in arm.over_optimisation
        for score in found.risen
    ]


def method_told(name: str) -> str:
    """A selection method as a reader knows it.

    >>> method_told("best_of_n"), method_told("expert_iteration")
    ('best of n', 'expert iteration')
    """
    return METHODS_TOLD.get(name, name.replace("_", " "))


def form(fit: Form, along: Literal["update", "n"]) -> str:
    """Gao et al.'s form, as fitted along updates or along n, in words.

    >>> fit = Form(alpha=2, beta=1, r_squared=0.9, peak_d=2.718, peak_gold=2.718)
    >>> form(fit, "update")
    'gold = d (2.000 - 1.000 ln d), r² 0.90, peak at d = 2.72'
    """
    if math.isnan(fit.alpha) or math.isnan(fit.beta):
        return "the form could not be fitted"
    sign, size = "+" if fit.beta < 0 else "-", abs(fit.beta)
    told = f"gold = d ({fit.alpha:.3f} {sign} {size:.3f} {'ln d' if along == 'update' else 'd'})"
    told += "" if math.isnan(fit.r_squared) else f", r² {fit.r_squared:.2f}"
    return told + (", no peak" if math.isnan(fit.peak_d) else f", peak at d = {fit.peak_d:.2f}")


def span(updates: Sequence[int]) -> str:
    """The first and the last of some updates."""
    low, high = min(updates), max(updates)
    return f"{low}" if low == high else f"{low} to {high}"


def signed(interval: Interval) -> str:
    """A difference with its interval, on one line.

    >>> signed(Interval(mean=0.984, low=0.97, high=0.998))
    '+0.984 (0.970 to 0.998)'
    >>> signed(Interval(mean=math.nan, low=math.nan, high=math.nan))
    '-'
    """
    if math.isnan(interval.mean):
        return "-"
    ends = f" ({interval.low:.3f} to {interval.high:.3f})" if bounded(interval) else ""
    return f"{interval.mean:+.3f}{ends}"


def interval_text(interval: Interval | None) -> str:
    """Mean, and the interval on a line of its own, without a space: a table has eighty columns.

    >>> interval_text(Interval(mean=0.984, low=0.97, high=0.998))
    '0.98\\n\\\\[0.97,1.00]'
    >>> interval_text(Interval(mean=0.5, low=math.nan, high=math.nan))
    '0.50\\n(one seed)'
    >>> nan = math.nan
    >>> interval_text(Interval(mean=0.5, low=nan, high=nan, least=0.4, most=0.6, runs=2))
    '0.50\\n0.40..0.60'
    >>> interval_text(None)
    '-'
    """
    if interval is None or math.isnan(interval.mean):
        return "-"
    low, high = interval.low, interval.high
    ends = f"\\[{short(low)},{short(high)}]" if bounded(interval) else "(one seed)"
    if alike(interval):
        ends = "(all alike)"
    if ranged(interval):
        ends = f"{short(interval.least)}..{short(interval.most)}"
    return f"{short(interval.mean)}\n{ends}"


PRINTED = (
    print_gates,
    print_arms,
    print_contrasts,
    print_generalisation,
    print_matched,
    print_drift,
    print_passing,
    print_components,
    print_orders,
    print_inflation,
    print_over_optimisation,
)
"""Every table of an experiment's results, in order; one that has nothing to say prints nothing."""
