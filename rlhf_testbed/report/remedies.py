"""What to change where a gate does not pass, in a line each; docs/GATES.md says more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rlhf_testbed.store.experiment_records import Gate

PAGE = "docs/GATES.md"
REMEDIES = {
    "knowable": "say what decides in so many words in the prompt, digits spaced, or teach longer",
    "honest optimum reachable": "more episodes or a lower learning rate; no score for writing "
    "nothing",
    "blind spot declared": "judge by the view alone, and name in `concealable` what κ hides",
    "panel": "let the safe answer cost something, and no constant answer be right often",
    "selectable": "demonstrators who misbehave out of sight, and a gain that κ = 0 sees",
    "distinguishable": "off-distribution scenarios in which each goal asks for another response",
    "capable base policy": "more base_steps, or another base_seed",
}
"""By the gate's name."""


def remedies(gates: Sequence[Gate]) -> Iterator[str]:
    """A line for each gate that does not pass."""
    for gate in gates:
        if gate.status != "PASS" and gate.name in REMEDIES:
            anchor = gate.name.replace(" ", "-")
            yield f"{gate.name}: {REMEDIES[gate.name]} ({PAGE}#{anchor})"
