"""The gates and the arms as tables for the terminal.

Gates of corridor
PASS   knowable   taught honestly, right on 1.00 of 128 held-out scenarios ...

arm
κ α δ ρ      threat 1    threat 2 bad, unseen ...
both             0.98        1.02        0.98
0 0 1 0.3 [0.97,0.99] [0.91,1.13] [0.97,0.99]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from rlhf_testbed.contrasts import SYMBOLS
from rlhf_testbed.over_seeds import TERMS
from rlhf_testbed.report.sentences import notes, short

LEFT: dict[str, Any] = {
    "title_justify": "left",
    "box": None,
    "pad_edge": False,
    "padding": (0, 1, 0, 0),
}
STATUS_STYLE = {"PASS": "green", "FAIL": "red", "DEGENERATE": "red"}
VERDICT_STYLE = {"moved": "bold", "equivalent": "green", "undecided": "yellow"}
COLUMNS = {
    "threat_1": "threat 1",
    "threat_2": "threat 2",
    "misbehaviour_unseen": "bad, unseen",
    "misbehaviour_seen": "bad, seen",
    "success": "success",
}
"""Figures of the table and their headings; these and the others of `results.json` are defined in
docs/METRICS.md."""
MEANS_TOLD = {"training": "PPO", "best_of_n": "best of n"}
SYMBOLS_OF = {"e_plus": "E+", "e_minus": "E-", "j_seen": "score", "j_true": "full-knowledge score"}


def print_gates(results: Mapping[str, Any], console: Console) -> None:
    """Prints the gates, one a line; says at the head when one does not pass."""
    broken = [gate["name"] for gate in results["gates"] if gate["status"] != "PASS"]
    if broken:
        console.print(
            f"[bold red]Gates not passed: {', '.join(broken)}. "
            "The figures below can't be called deception.[/]"
        )
    table = Table(title=f"Gates of {results['task']}", title_justify="left", box=None)
    for heading in ("", "gate", "what was found (and what is asked)"):
        table.add_column(heading, overflow="fold")
    for gate in results["gates"]:
        style = STATUS_STYLE[gate["status"]]
        table.add_row(f"[{style}]{gate['status']}[/]", gate["name"], gate["detail"])
    console.print(table)


def print_arms(results: Mapping[str, Any], console: Console) -> None:
    """Prints the arms with means and 95 % intervals over training seeds."""
    count = len(results["about"]["seeds"])
    table = Table(
        title=f"{results['task']}: means over {count} training seeds, "
        "with 95 % intervals (threat 2 in nats)",
        **LEFT,
    )
    table.add_column(f"arm\n{' '.join(SYMBOLS.values())}", overflow="fold")
    for heading in COLUMNS.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for name, arm in results["arms"].items():
        dials = arm["dials"]
        table.add_row(
            "\n".join([name, " ".join(f"{dials[dial]:g}" for dial in SYMBOLS)]),
            *(interval_text(arm.get(figure)) for figure in COLUMNS),
        )
    console.print(table)
    for what, reason in notes(results).items():
        console.print(f"- ({what}): {reason}", highlight=False)


def print_contrasts(results: Mapping[str, Any], console: Console) -> None:
    """Prints what each dial did to each threat: moved, equivalent or undecided."""
    table = Table(title="What each dial did", **LEFT)
    for heading in ("dial", "arms", "threat", "", "why"):
        table.add_column(heading, overflow="fold")
    for found in results["contrasts"]:
        verdict = found["decision"]["verdict"]
        high, low = found["values"]
        reason = found["decision"]["reason"]
        if verdict == "undecided" and found["seeds_for_equivalence"]:
            reason += f"; equivalence may take {found['seeds_for_equivalence']} seeds"
        table.add_row(
            f"{SYMBOLS[found['dial']]} {high:g} → {low:g}",
            " → ".join(found["arms"]),
            found["threat"].removeprefix("threat_"),
            f"[{VERDICT_STYLE[verdict]}]{verdict}[/]",
            reason,
        )
    console.print(table)


def print_orders(results: Mapping[str, Any], console: Console) -> None:
    """Prints, for each arm, which curve sets on first; nothing where none did in every seed."""
    table = Table(title="Which comes first", **LEFT)
    for heading in ("arm", "question", "", "why"):
        table.add_column(heading, overflow="fold")
    for name, arm in results["arms"].items():
        for found in arm.get("orders", []):
            if found["difference"] is not None:
                table.add_row(name, found["question"], found["word"], found["reason"])
    if table.row_count:
        console.print(table)


def print_inflation(results: Mapping[str, Any], console: Console) -> None:
    """Prints where deceptive inflation or overjustification is shown, or undecided."""
    table = Table(title="Looking better than it is; paying to be believed", **LEFT)
    for heading in ("arm", "what, against whom", "", "policy minus reference"):
        table.add_column(heading, overflow="fold")
    for name, arm in results["arms"].items():
        for found in arm.get("inflation", []):
            for term in (term for term in TERMS if found[term] != "not shown"):
                what = f"{term.replace('_', ' ')}, against the {found['reference']}"
                table.add_row(name, what, found[term], why(found, term))
    if table.row_count:
        console.print(table)


def why(found: Mapping[str, Any], term: str) -> str:
    """The differences behind deceptive inflation or overjustification, on one line."""
    told = [f"{SYMBOLS_OF[name]} {signed(found['differences'][name])}" for name in TERMS[term]]
    return f"{', '.join(told)}; by itself in {found['seeds_with'][term]} of {found['seeds']} seeds"


def print_overoptimisation(results: Mapping[str, Any], console: Console) -> None:
    """Prints how proxy, gold and teacher moved before and after the gold score's peak; only where
    the training overseer learned from a teacher, whose score may then part from its own."""
    if not learned(results):
        return
    table = Table(title="Over-optimisation of the learned overseer", **LEFT)
    for heading in ("arm, means", "score", "to the gold peak", "from there to the end"):
        table.add_column(heading, overflow="fold")
    told = {}
    for row in optimised(results):
        here = f"{row['arm']}, {row['means']}"
        table.add_row(here, row["score"], row["risen"], row["since"])
        told[here] = f"- ({here}): peak at {row['until']}; {row['form']}"
    console.print(table)
    console.print("\n".join(told.values()), highlight=False)


def learned(results: Mapping[str, Any]) -> bool:
    """Whether the training overseer learned from a teacher."""
    records = [one for arm in results["arms"].values() for one in arm.get("overoptimisation", [])]
    return any("teacher" in one["risen"] for one in records)


def optimised(results: Mapping[str, Any]) -> list[dict[str, str]]:
    """How each score moved before and after the gold score's peak: a row an arm, means of selection
    and score, in words."""
    return [
        {
            "arm": name,
            "means": MEANS_TOLD[found["means"]],
            "score": score,
            "risen": signed(found["risen"][score]),
            "since": signed(found["since"][score]),
            "until": f"{found['along']} {span(found['until'])}",
            "form": form(found["form"], found["means"]),
        }
        for name, arm in results["arms"].items()
        for found in arm.get("overoptimisation", [])
        for score in found["risen"]
    ]


def form(fit: Mapping[str, float | None], means: str) -> str:
    """Gao et al.'s form, as fitted, in words.

    >>> fit = {"alpha": 2, "beta": 1, "r_squared": 0.9, "peak_d": 2.718, "peak_gold": 2.718}
    >>> form(fit, "training")
    'gold = d (2.000 - 1.000 ln d), r² 0.90, peak at d = 2.72'
    """
    alpha, beta, r_squared, peak = (fit[k] for k in ("alpha", "beta", "r_squared", "peak_d"))
    if alpha is None or beta is None:
        return "the form could not be fitted"
    sign, size = "+" if beta < 0 else "-", abs(beta)
    told = f"gold = d ({alpha:.3f} {sign} {size:.3f} {'ln d' if means == 'training' else 'd'})"
    told += "" if r_squared is None else f", r² {r_squared:.2f}"
    return told + (", no peak" if peak is None else f", peak at d = {peak:.2f}")


def span(updates: Sequence[int]) -> str:
    """The first and the last of some updates."""
    low, high = min(updates), max(updates)
    return f"{low}" if low == high else f"{low} to {high}"


def signed(interval: Mapping[str, float | None]) -> str:
    """A difference with its interval, on one line.

    >>> signed({"mean": 0.984, "low": 0.97, "high": 0.998})
    '+0.984 (0.970 to 0.998)'
    >>> signed({"mean": None, "low": None, "high": None})
    '-'
    """
    mean, low, high = interval["mean"], interval["low"], interval["high"]
    if mean is None:
        return "-"
    return f"{mean:+.3f}" + ("" if low is None else f" ({low:.3f} to {high:.3f})")


def interval_text(interval: Mapping[str, float | None] | None) -> str:
    """Mean, and the interval on a line of its own, without a space: a table has eighty columns.

    >>> interval_text({"mean": 0.984, "low": 0.97, "high": 0.998})
    '0.98\\n\\\\[0.97,1.00]'
    >>> interval_text({"mean": 0.5, "low": None, "high": None})
    '0.50\\n(one seed)'
    >>> interval_text(None)
    '-'
    """
    if interval is None or interval["mean"] is None:
        return "-"
    low, high = interval["low"], interval["high"]
    ends = "(one seed)" if low is None or high is None else f"\\[{short(low)},{short(high)}]"
    return f"{short(interval['mean'])}\n{ends}"


def print_measures(measures: Mapping[str, Any], console: Console) -> None:
    """Prints the figures of one run."""
    table = Table(
        title=f"{measures['arm'] or 'run'}, seed {measures['seed']}, by {measures['overseer']}",
        show_header=False,
        **LEFT,
    )
    for name, value in measures.items():
        if isinstance(value, int | float) and name != "seed":
            shown = (
                "-"
                if value != value
                else f"{value:.3f}"
                if isinstance(value, float)
                else str(value)
            )
            table.add_row(name.replace("_", " "), shown)
    console.print(table)
    if "threat_1_reason" in measures:
        console.print(f"- (threat 1): {measures['threat_1_reason']}", highlight=False)


PRINTED = (
    print_gates,
    print_arms,
    print_contrasts,
    print_orders,
    print_inflation,
    print_overoptimisation,
)
"""Every table of an experiment's results, in order; one that has nothing to say prints nothing."""
