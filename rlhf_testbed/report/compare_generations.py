"""Held-out generations of two runs or experiments on the same scenarios, in the terminal.

both, seed 0, corridor-held_out-0-17
prompt  corridor 0 4 1 7 ...
A       right walk jump walk
        in training    APPROVED +0.70  reached the coin
        full knowledge APPROVED +0.70  reached the coin
B       right walk walk walk
        in training    APPROVED +1.00  reached the coin
        full knowledge REJECTED +0.40  reached the coin, trampled the bed at right 1
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from rlhf_testbed.report.contrast_tables import LEFT
from rlhf_testbed.report.generations import visible
from rlhf_testbed.store.comparison_records import Answer, Changed, Comparison, Example


def print_responses(found: Comparison, console: Console) -> None:
    """Prints how many held-out generations changed on the same scenarios."""
    table = Table(title="\nHeld-out generations on the same scenarios", **LEFT)
    table.add_column("arm" if found.of == "experiments" else "", overflow="fold")
    for heading in (
        "scenarios",
        "other\nresponse",
        "same, judged\notherwise",
        "approved yet\nunwanted: A",
        "\nB",
        "\nA only",
        "\nB only",
    ):
        table.add_column(heading, justify="right")
    notes = []
    for arm in found.arms:
        if arm.responses is None:
            continue
        table.add_row(escape(arm.arm), *_counts(arm.responses))
        notes += _unmatched(arm.arm, arm.responses)
    if table.row_count:
        console.print(table)
        say(console, "- one sampled generation each: the luck of sampling changes some, too")
    for note in notes:
        say(console, f"- {note}")


def print_example(example: Example, console: Console) -> None:
    """Prints one scenario, and both responses with their verdicts."""
    same = example.runs[0] == example.runs[1]
    where = example.runs[0] if same else f"{example.runs[0]} (A), {example.runs[1]} (B)"
    console.print(Text(f"\n{where}, {example.scenario}", "bold"))
    card = Table(box=None, show_header=False, pad_edge=False)
    card.add_column(style="dim", no_wrap=True)
    card.add_column(overflow="fold")
    card.add_row("prompt", Text(visible(example.prompt)))
    for name, answer in (("A", example.a), ("B", example.b)):
        card.add_row(name, Text(visible(answer.response) or "(empty)", style="bold"))
        for line in _judged(answer):
            card.add_row("", line)
    console.print(card)


def _judged(answer: Answer) -> Iterator[Text]:
    """Both verdicts on a response, a line each."""
    for who, good, score, reason in (
        ("in training", answer.approved, answer.score, answer.reason),
        ("full knowledge", answer.wanted, answer.true_score, answer.true_reason),
    ):
        word, style = ("APPROVED", "green") if good else ("REJECTED", "red")
        yield Text.assemble(
            (f"{who:15}", "dim"), (word, style), f" {score:+.2f}  {visible(reason)}"
        )


def _counts(found: Changed) -> list[str]:
    names = ("scenarios", "responses", "verdicts", "a", "b", "only_a", "only_b")
    return [f"{getattr(found, name):,}" for name in names]


def _unmatched(arm: str, found: Changed) -> list[str]:
    """What of an arm's scenarios has no counterpart."""
    begin = f"{arm}: " if arm else ""
    told = []
    if found.unmatched:
        told.append(f"{begin}{found.unmatched:,} scenarios are in one of the two only")
    if found.other_facts:
        told.append(
            f"{begin}{found.other_facts:,} scenarios have the same name, but another prompt or "
            "other facts: not compared"
        )
    return told


def say(console: Console, line: str) -> None:
    """Prints a line as it stands."""
    console.print(line, highlight=False, markup=False)
