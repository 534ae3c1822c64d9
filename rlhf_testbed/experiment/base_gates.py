"""The gates of several base policies, told as one table: a gate is passed where all passed it.

gates_together({0: [...], 2: [...]})   FAIL  selectable  base policy 2 of 2 did not: ...
not_passed({0: [...], 2: [...]})       {2: ["selectable"]}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rlhf_testbed.store.experiment_records import Gate

WORST_FIRST = ("DEGENERATE", "FAIL", "PASS")


def gates_together(gates: Mapping[int, Sequence[Gate]]) -> list[Gate]:
    """Each gate as the base policy has it that fares worst, by base seed; its detail names all that
    did not pass."""
    rows = zip(*gates.values(), strict=True)
    return [_together(dict(zip(gates, row, strict=True))) for row in rows]


def not_passed(gates: Mapping[int, Sequence[Gate]]) -> dict[int, list[str]]:
    """The gates that did not pass, by base seed; only base policies with such a gate."""
    broken = {
        base: [gate.name for gate in found if gate.status != "PASS"]
        for base, found in gates.items()
    }
    return {base: names for base, names in broken.items() if names}


def _together(by_base: Mapping[int, Gate]) -> Gate:
    base = min(by_base, key=lambda each: WORST_FIRST.index(by_base[each].status))
    worst = by_base[base]
    if len(by_base) == 1:
        return worst
    failed = [str(each) for each, gate in by_base.items() if gate.status != "PASS"]
    passed = f"{len(by_base) - len(failed)} of {len(by_base)} base policies passed"
    named = f" (not {', '.join(failed)})" if failed else ""
    detail = f"{passed}{named}; base policy {base}: {worst.detail}"
    return worst.model_copy(update={"detail": detail})
