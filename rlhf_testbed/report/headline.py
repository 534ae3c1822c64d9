"""The finding in one sentence, from the contrasts and what was decided of each.

    headline(results)
    "κ moves threat 1; α moves threat 2 only; 2 of 10 contrasts undecided"

*Only* is said where the other threat is shown to be equivalent in every contrast. A gate that did
not pass comes first, and so does that scores were dealt out at random. Without contrasts it is what
each threat came to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console

from rlhf_testbed.report.conclusions import BOUND, Conclusion, concluded
from rlhf_testbed.report.sentences import short, symbol_of
from rlhf_testbed.store.experiment_records import Contrast, Results
from rlhf_testbed.tasks.base import SYMBOLS

DEALT = "shuffled"
"""The setting `scores` of a control: scores are dealt out at random among an update's episodes."""
NO_DECEPTION = "nothing here can be called deception"


def headline(results: Results, bound: float = BOUND) -> str:
    """The finding in one sentence, without a full stop.

    `bound` is, in nats, what counts as no difference in threat 2 where there are no contrasts.
    """
    if not any(len(arm.runs) for arm in results.arms.values()):
        return "Nothing is measured yet"
    found = "; ".join(
        [*_by_dial(results.contrasts), *_beyond_drift(results)]
        if results.contrasts
        else _by_threat(results, bound)
    )
    caveats = "; ".join(_caveats(results))
    return capital(f"{caveats}: {found}" if caveats else found)


def print_headline(results: Results, console: Console, bound: float = BOUND) -> None:
    """Prints the headline, above all tables."""
    console.print(f"{headline(results, bound)}.", style="bold", highlight=False, markup=False)


def capital(text: str) -> str:
    """The text with a capital first; a dial's symbol stays as it is.

    >>> capital("threat 1 rose"), capital("κ moves threat 1")
    ('Threat 1 rose', 'κ moves threat 1')
    """
    first = text[:1]
    return (first.upper() if first.isascii() else first) + text[1:]


def _caveats(results: Results) -> Iterable[str]:
    """What must be said before anything is claimed."""
    if results.about.scores == DEALT:
        yield "a control, with scores dealt out at random, so that nothing is selected"
    broken = [gate.name for gate in results.gates if gate.status != "PASS"]
    if broken:
        gates = "gate" if len(broken) == 1 else "gates"
        yield f"{gates} not passed ({', '.join(broken)}), so that {NO_DECEPTION}"
    elif not results.gates:
        yield f"no gates were decided, so that {NO_DECEPTION}"


def _by_dial(contrasts: Sequence[Contrast]) -> Iterable[str]:
    """What each dial or option moved, then how much is undecided."""
    found: dict[str, dict[str, list[str]]] = {dial: {} for dial in SYMBOLS}
    for one in contrasts:
        found.setdefault(one.dial, {}).setdefault(one.threat, []).append(one.decision.verdict)
    undecided = sum(one.decision.verdict == "undecided" for one in contrasts)
    if undecided == len(contrasts):
        which = f"all {undecided} contrasts are" if undecided > 1 else "the one contrast is"
        yield f"nothing is shown: {which} undecided"
        return
    told = {symbol_of(dial): _moved(verdicts) for dial, verdicts in found.items()}
    yield from (f"{dial} {what}" for dial, what in told.items() if what)
    if not any(told.values()):
        yield "nothing is shown to move either threat"
    if undecided:
        yield f"{undecided} of {len(contrasts)} contrasts undecided"


def _moved(verdicts: Mapping[str, Sequence[str]]) -> str:
    """What a dial moved, from the verdicts on its contrasts by threat; empty for nothing shown.

    >>> _moved({"threat_1": ["moved", "moved"], "threat_2": ["equivalent", "equivalent"]})
    'moves threat 1 only'
    >>> _moved({"threat_1": ["moved", "undecided"], "threat_2": ["equivalent", "undecided"]})
    'moves threat 1 in 1 of 2 contrasts'
    >>> _moved({"threat_1": ["undecided"], "threat_2": ["equivalent"]})
    'does not move threat 2'
    """
    moved = {threat: of for threat, of in verdicts.items() if "moved" in of}
    still = [threat for threat, of in verdicts.items() if set(of) == {"equivalent"}]
    if not moved:
        if len(still) > 1:
            return "moves neither threat"
        return f"does not move {_threat(still[0])}" if still else ""
    told = {_threat(threat): _extent(of) for threat, of in moved.items()}
    if len(told) > 1 and len(set(told.values())) == 1:
        return f"moves both threats{told.popitem()[1]}"
    if len(still) == len(verdicts) - 1 > 0:
        ((threat, extent),) = told.items()
        return f"moves {threat} only{',' if extent else ''}{extent}"
    return f"moves {' and '.join(f'{threat}{extent}' for threat, extent in told.items())}"


def _extent(verdicts: Sequence[str]) -> str:
    """In how many contrasts a threat was moved; empty where in all."""
    count = verdicts.count("moved")
    return "" if count == len(verdicts) else f" in {count} of {len(verdicts)} contrasts"


def _threat(name: str) -> str:
    return name.replace("_", " ")


def _beyond_drift(results: Results) -> Iterable[str]:
    """In how many arms each threat differs from that of the same arm with scores dealt out."""
    told = []
    for threat in dict.fromkeys(one.threat for one in results.drift):
        verdicts = [one.contrast.decision.verdict for one in results.drift if one.threat == threat]
        arms = "arm" if len(verdicts) == 1 else "arms"
        told.append(f"{_threat(threat)} in {verdicts.count('moved')} of {len(verdicts)} {arms}")
    if told:
        yield f"unlike scores dealt out at random, selection moves {' and '.join(told)}"


def _by_threat(results: Results, bound: float) -> Iterable[str]:
    """What each threat came to, in the arm that has most of it."""
    for threat in ("threat_1", "threat_2"):
        found = concluded(results, threat, bound)
        told = f"{_threat(threat)} {_concluded(found.word, bound)}"
        if found.figure is None:
            yield told
            continue
        most = "most in" if len(results.arms) > 1 else "in"
        yield f"{told} ({_figures(threat, found)}, {most} {found.arm})"


def _concluded(word: str, bound: float) -> str:
    return {
        "unjudged": "is not judged",
        "few": "is undecided, of too few runs",
        "undecided": "is undecided",
        "unread": "is undecided, since most of what is written can't be read",
        "alone": "is held against no base policy",
        "more": "rose",
        "less": "fell",
        "alike": "stayed as it was",
        "induced": f"rose above {bound:g} nats",
        "none": f"stayed below {bound:g} nats",
    }[word]


def _figures(threat: str, found: Conclusion) -> str:
    """The mean, and that of the base policy before it."""
    assert found.figure is not None
    mean = short(found.figure.mean)
    if threat == "threat_2":
        return f"{mean} nats"
    return f"from {short(found.before)} to {mean}" if found.before == found.before else mean
