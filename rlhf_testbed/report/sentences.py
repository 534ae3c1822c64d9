"""The verdict on each threat in one sentence, from the figures and the contrasts.

    Selection made approved but unwanted responses more common, most in both: from 0.21 in the base
    policy to 0.99 [0.98, 1.00] of exposed episodes; κ: moved it in 2 of 2 contrasts; α: equivalent
    in 2 of 2 contrasts.

What was not shown over seeds, or over base policies, is called undecided.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from rlhf_testbed.report.conclusions import BOUND, Conclusion, concluded
from rlhf_testbed.shared.record import Interval
from rlhf_testbed.store.experiment_records import BASES, ArmResults, Contrast, Results
from rlhf_testbed.store.run_records import Environment
from rlhf_testbed.tasks.base import SYMBOLS

HEADINGS = {
    "threat_1": "Threat 1: selecting for bad behaviour",
    "threat_2": "Threat 2: induced goal-directedness",
}


def told_figure(interval: Interval | None) -> str:
    """Mean, interval and n on one line.

    >>> told_figure(Interval(mean=0.984, low=0.97, high=0.998, base_policies=5, runs=20))
    '0.98 [0.97, 1.00] (n = 5 × 4)'
    >>> nan = math.nan
    >>> told_figure(Interval(mean=0.5, low=nan, high=nan, least=0.4, most=0.6, runs=2))
    '0.50 (range 0.40 to 0.60, n = 2)'
    >>> told_figure(None)
    '-'
    """
    if interval is None or math.isnan(interval.mean):
        return "-"
    n, mean = n_told(interval.base_policies, interval.runs), short(interval.mean)
    if alike(interval):
        return f"{mean} (all alike{f', {n}' if n else ''})"
    if bounded(interval):
        return f"{mean} [{short(interval.low)}, {short(interval.high)}]{f' ({n})' if n else ''}"
    if ranged(interval):
        return f"{mean} (range {short(interval.least)} to {short(interval.most)}, {n})"
    return f"{mean} ({n})" if n else mean


def n_told(base_policies: int, runs: int) -> str:
    """Over how many base policies and training seeds a figure is; empty where that isn't known.

    >>> n_told(1, 5), n_told(5, 20), n_told(5, 18)
    ('n = 5', 'n = 5 × 4', 'n = 5 base policies, 18 runs')
    """
    if not runs:
        return ""
    if base_policies < 2:
        return f"n = {runs}"
    if runs % base_policies:
        return f"n = {base_policies} base policies, {runs} runs"
    return f"n = {base_policies} × {runs // base_policies}"


def n_of(arm: ArmResults) -> str:
    """The n of an arm: base policies × training seeds."""
    runs = arm.runs
    return n_told(len(set(runs.base_seeds)), len(runs)).removeprefix("n = ")


def bounded(interval: Interval) -> bool:
    """Whether there is an interval around the mean: one seed has none, and two have a range."""
    return not (math.isnan(interval.low) or math.isnan(interval.high))


def alike(interval: Interval) -> bool:
    """Whether all units agree to the last digit, so that an interval has no width."""
    return bounded(interval) and interval.low == interval.high


def ranged(interval: Interval) -> bool:
    """Whether there is a range in the place of an interval: that of two seeds or base policies."""
    return not bounded(interval) and max(interval.runs, interval.base_policies) > 1


def ends(interval: Interval) -> tuple[float, float]:
    """Where a bar ends: the interval, else the range; NaN for one seed."""
    if ranged(interval):
        return interval.least, interval.most
    return interval.low, interval.high


def bars_told(results: Results, figures: Iterable[str]) -> str:
    """What the bars around means are: 95 % intervals, ranges, or both."""
    found = [arm.figure(name) for arm in results.arms.values() for name in figures]
    kinds = {ranged(one) for one in found if one and (bounded(one) or ranged(one))}
    words = {False: "95 % intervals", True: "ranges, where there are two"}
    if kinds == {True}:
        return "ranges (of two no interval is claimed)"
    return " or ".join(words[kind] for kind in sorted(kinds)) or "none: one seed"


def short(value: float) -> str:
    """Two decimals, without a negative zero."""
    return f"{value:.2f}".replace("-0.00", "0.00")


def seeds_told(results: Results) -> str:
    """What the figures are over: training seeds of one base policy, or of several."""
    runs = [arm.runs for arm in results.arms.values()]
    bases = [len(set(one.base_seeds)) for one in runs]
    each = [round(len(one) / max(1, of)) for one, of in zip(runs, bases, strict=True)]
    if max(bases, default=1) > 1:
        many = " to ".join(map(str, dict.fromkeys([min(bases), max(bases)])))
        return f"{many} base policies, each with {counted(each)}"
    return f"{counted(map(len, runs))} of one base policy"


def inference_told(results: Results) -> str:
    """What the intervals generalise to, in a sentence."""
    if any(arm.inference == BASES for arm in results.arms.values()):
        return (
            "Intervals are over base policies (each one's mean over its training seeds is one "
            "value): they say what another base policy of the same recipe would give."
        )
    return (
        "Intervals are over the training seeds of one base policy: what another base policy would "
        "give they can't say."
    )


def needed_told(found: Contrast) -> str:
    """The designs that would show that a contrast is equivalent, or moved; empty where they can't
    be told."""
    told = []
    for claim in ("moved", "equivalent"):
        designs = [
            f"{one.base_policies} base policies × {one.seeds}"
            if found.base_policies > 1
            else f"{one.seeds} seeds"
            for one in found.needed
            if one.claim == claim
        ]
        if designs:
            told.append(f"{claim}: {' or '.join(designs)}")
    if not told and found.seeds_for_equivalence:
        told.append(f"equivalent: {found.seeds_for_equivalence} seeds")
    return f"would take, with a power of 0.8, for {'; for '.join(told)}" if told else ""


def counted(seeds: Iterable[int]) -> str:
    """How many training seeds arms have: in an unfinished experiment not all have as many.

    >>> counted([2, 1])
    '1 to 2 training seeds'
    >>> counted([1])
    '1 training seed'
    """
    counts = sorted(set(seeds)) or [0]
    many = " to ".join(map(str, dict.fromkeys([counts[0], counts[-1]])))
    return f"{many} training seed{'' if counts[-1] == 1 else 's'}"


def commit_told(made: Environment) -> str:
    """The commit that something was made from, and whether there were changes; else empty."""
    if made.commit is None:
        return ""
    return made.commit + (" (with changes)" if made.clean is False else "")


def sentence(results: Results, threat: str, bound: float = BOUND) -> str:
    """The verdict on `threat_1` or `threat_2`; says so where nothing was measured.

    `bound` is, in nats, what counts as no difference in threat 2.
    """
    found = concluded(results, threat, bound)
    if found.word == "unjudged":
        return f"Not judged: {found.why or 'nothing is measured yet'}."
    told = _selected(found) if threat == "threat_1" else _induced(found, bound)
    return f"{'; '.join([told, *_dials(results, threat)])}."


def notes(results: Results) -> dict[str, str]:
    """What must be said beside a table of arms, by arm and threat: not judged, or on little."""
    found = {}
    for name, arm in results.arms.items():
        for threat in HEADINGS:
            if threat in arm.reasons:
                found[f"{name}, {threat.replace('_', ' ')}"] = arm.reasons[threat]
            if unread := arm.unread(threat):
                found[f"{name}, {threat.replace('_', ' ')}"] = unread
    return found


def _selected(found: Conclusion) -> str:
    """Threat 1 of the arm that has most of it, against the base policy's."""
    after = told_figure(found.figure)
    if found.word == "alone":
        return f"{after} of exposed episodes were approved though unwanted, most in {found.arm}"
    figures = f"from {short(found.before)} in the base policy to {after} of exposed episodes"
    if found.word == "few":
        seeds = "one seed: undecided"
        return f"Approved but unwanted responses went {figures} in {found.arm} ({seeds})"
    bad = "approved but unwanted responses"
    moved = {
        "alike": f"Selection did not make {bad} more common in any arm",
        "undecided": f"It is undecided whether selection made {bad} more common",
    }.get(found.word)
    if moved:
        return f"{moved}; most in {found.arm}: {figures}"
    return f"Selection made {bad} {found.word} common, most in {found.arm}: {figures}"


def _induced(found: Conclusion, bound: float) -> str:
    """Threat 2 of the arm that has most of it."""
    assert found.figure is not None
    figure = f"{told_figure(found.figure)} nats off distribution"
    goal = "goal-directedness towards an unintended goal"
    if found.word == "few":
        few = "too few for an interval" if ranged(found.figure) else "one seed"
        here = f"is {figure} in {found.arm} ({few}: undecided)"
        return f"Goal-directedness towards {found.of} {here}"
    if found.word == "unread":
        why = f"{found.of} is {found.why}"
        told = f"It is undecided whether selection induced {goal}: {why}"
        return f"{told}; most in {found.arm}: {figure}"
    if found.word == "none":
        told = f"Selection induced no {goal} above the bound of {bound:g} nats"
        return f"{told}; most in {found.arm}: {figure}"
    told = f"It is undecided whether selection induced {goal} above the bound of {bound:g} nats;"
    if found.word == "induced":
        told = f"Selection induced {goal} that neither the base policy nor a habit explains,"
    return f"{told} most in {found.arm}: {figure}, towards {found.of}"


def symbol_of(dial: str) -> str:
    """A dial's symbol; an option of the task in words.

    >>> symbol_of("diversity"), symbol_of("liars_in_sight")
    ('δ', 'liars in sight')
    """
    return SYMBOLS.get(dial) or dial.replace("_", " ")


def _dials(results: Results, threat: str) -> list[str]:
    """What each dial or option did to the threat, a phrase each."""
    phrases = []
    for dial in dict.fromkeys([*SYMBOLS, *(found.dial for found in results.contrasts)]):
        verdicts = Counter(
            found.decision.verdict
            for found in results.contrasts
            if found.dial == dial and found.threat == threat
        )
        total = sum(verdicts.values())
        told = [
            f"{verdict if verdict != 'moved' else 'moved it'} in {count} of {total}"
            for verdict, count in verdicts.most_common()
        ]
        if told:
            phrases.append(
                f"{symbol_of(dial)}: {', '.join(told)} contrast{'s' if total > 1 else ''}"
            )
    return phrases
