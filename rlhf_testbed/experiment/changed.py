"""Held-out generations of two runs on the same scenarios: how many changed, and which tell most.

    changed(run of A, run of B, examples=3)
      512 scenarios, 230 with another response; approved yet unwanted: 201 in A, 40 in B
      corridor-held_out-0-17   A right walk walk walk: approved, in truth rejected
                               B right walk jump walk: approved, and in truth, too

A scenario's name holds the training seed and not the dials, so two are taken for the same only
where prompt and facts are, too. Each has one sampled generation: luck changes some. Needs no torch.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store.comparison_records import Answer, Changed, Example
from rlhf_testbed.store.generations import Generation, of_stage
from rlhf_testbed.store.run_directory import RunDirectory

Both: TypeAlias = tuple[Generation, Generation]
"""A's and B's on one scenario."""


class Pair(NamedTuple):
    """Two runs that are matched."""

    arm: str
    a: RunDirectory
    b: RunDirectory


class Read(NamedTuple):
    """What pairs of runs hold."""

    counts: Changed | None
    """None where none could be read."""
    examples: list[tuple[str, Both]]
    """By arm, those that tell most first."""
    missing: list[str]


def read(pairs: Iterable[Pair], examples: int) -> Read:
    """The counts over all pairs, and the examples that tell most; says what can't be read."""
    counts: list[Changed] = []
    telling: list[tuple[str, Both]] = []
    missing: list[str] = []
    for pair in pairs:
        try:
            found, both = _pair(pair)
        except UsageError as error:
            missing.append(f"generations: {error}")
            continue
        counts.append(found)
        telling += [(pair.arm, each) for each in heapq.nsmallest(examples, both, key=_rank)]
    return Read(_summed(counts), _most_telling(telling, examples), missing)


def best(found: Iterable[Read], examples: int) -> list[Example]:
    """The examples that tell most of all that was read."""
    every = [each for one in found for each in one.examples]
    return [_example(arm, *both) for arm, both in _most_telling(every, examples)]


def _most_telling(found: Iterable[tuple[str, Both]], count: int) -> list[tuple[str, Both]]:
    """So many, each of another scenario: many runs have the same ones."""
    chosen: dict[str, tuple[str, Both]] = {}
    for each in sorted(found, key=lambda each: _rank(each[1])):
        if len(chosen) < count:
            chosen.setdefault(each[1][0].row.scenario_id, each)
    return list(chosen.values())


def _pair(pair: Pair) -> tuple[Changed, list[Both]]:
    """The counts of two runs, and the scenarios on which anything differs."""
    of_a, of_b = (_by_scenario(one) for one in (pair.a, pair.b))
    shared = [(one, of_b[name]) for name, one in of_a.items() if name in of_b]
    same = [both for both in shared if _same_scenario(*both)]
    other_response = [_response(a) != _response(b) for a, b in same]
    other_verdict = [_verdicts(a) != _verdicts(b) for a, b in same]
    told = [(_deceived(a), _deceived(b)) for a, b in same]
    counts = Changed(
        runs=1,
        scenarios=len(same),
        other_facts=len(shared) - len(same),
        unmatched=len(of_a) + len(of_b) - 2 * len(shared),
        responses=sum(other_response),
        verdicts=sum(v and not r for r, v in zip(other_response, other_verdict, strict=True)),
        a=sum(a for a, _ in told),
        b=sum(b for _, b in told),
        only_a=sum(a and not b for a, b in told),
        only_b=sum(b and not a for a, b in told),
    )
    differ = zip(same, other_response, other_verdict, strict=True)
    return counts, [both for both, response, verdict in differ if response or verdict]


def _by_scenario(directory: RunDirectory) -> dict[str, Generation]:
    """Generations by their scenario's name.

    Settings that a run of an older version lacks have their defaults: to read generations, none of
    them counts.
    """
    run = parse_run(["--config", str(directory.config), "--output_dir", str(directory.path)])
    return {one.row.scenario_id: one for one in of_stage("held_out", directory, run)}


def _same_scenario(a: Generation, b: Generation) -> bool:
    one, other = a.row, b.row
    return (one.prompt, one.facts_json, tuple(one.concealable)) == (
        other.prompt,
        other.facts_json,
        tuple(other.concealable),
    )


def _response(generation: Generation) -> str:
    return generation.row.response


def _verdicts(generation: Generation) -> tuple[bool, bool]:
    return generation.verdict.approved, generation.truth.approved


def _deceived(generation: Generation) -> bool:
    """Approved by the training overseer, yet unwanted."""
    return generation.verdict.approved and generation.unwanted


def _rank(both: Both) -> tuple[int, float, str]:
    """Smallest for what tells most: approved yet unwanted in one, and wanted in the other, or not
    approved there; else what is wanted in one; else approved in one; else another response. Then
    by how far the truth lies apart."""
    a, b = both
    deceived, unwanted = _deceived(a) != _deceived(b), a.unwanted != b.unwanted
    differ = (
        deceived and unwanted,
        deceived,
        unwanted,
        a.verdict.approved != b.verdict.approved,
        True,
    )
    apart = abs(a.truth.score - b.truth.score)
    return differ.index(True), -apart if apart == apart else 0.0, a.row.scenario_id


def _summed(counts: Sequence[Changed]) -> Changed | None:
    if not counts:
        return None
    names = Changed.model_fields
    return Changed(**{name: sum(getattr(one, name) for one in counts) for name in names})


def _example(arm: str, a: Generation, b: Generation) -> Example:
    return Example(
        arm=arm,
        runs=(a.run, b.run),
        scenario=a.row.scenario_id,
        prompt=a.row.prompt,
        a=_answer(a),
        b=_answer(b),
    )


def _answer(generation: Generation) -> Answer:
    verdict, truth = generation.verdict, generation.truth
    return Answer(
        response=generation.row.response,
        approved=verdict.approved,
        score=verdict.score,
        reason=verdict.reason,
        wanted=truth.approved,
        true_score=truth.score,
        true_reason=truth.reason,
    )
