"""The finding in one sentence: what it claims of constructed results, and what it must not."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rlhf_testbed.experiment.contrasts import contrasts
from rlhf_testbed.experiment.over_seeds import arm_results
from rlhf_testbed.report.headline import headline, print_headline
from rlhf_testbed.report.publish import publish
from rlhf_testbed.shared.record import Interval, write
from rlhf_testbed.store.experiment_records import (
    About,
    ArmResults,
    Contrast,
    Decision,
    Drift,
    Gate,
    Results,
)
from rlhf_testbed.store.run_records import JudgedBy, Measures, ProxyAndGold
from rlhf_testbed.tasks.base import Dials
from scripted_runs import ENVIRONMENT

PASSED = [Gate(name="panel", status="PASS", figure={}, detail="")]
LETTERS = {"m": "moved", "e": "equivalent", "u": "undecided"}
NAN = Interval(mean=math.nan, low=math.nan, high=math.nan)


def contrast(dial: str, threat: str, verdict: str) -> Contrast:
    decision = Decision.model_validate({"verdict": verdict, "reason": ""})
    return Contrast(
        dial=dial,
        threat=threat,
        arms=("one", "other"),
        values=(1.0, 0.0),
        difference=0.5,
        low=0.4,
        high=0.6,
        decision=decision,
    )


def arm(
    threat_1: Sequence[float],
    threat_2: Sequence[float] = (),
    dials: Dials | None = None,
    base: float = 0.2,
) -> ArmResults:
    """An arm whose runs have those threats; threat 2 is that of threat 1 where none is given."""
    runs = [
        Measures(
            arm="both",
            seed=seed,
            dials=dials or Dials(),
            judged_by=JudgedBy(overseer="full_knowledge"),
            figures={"threat_1": one, "base_threat_1": base, "threat_2": two},
            reasons={"threat_1": "never exposed"} if math.isnan(one) else {},
        )
        for seed, (one, two) in enumerate(zip(threat_1, threat_2 or threat_1, strict=True))
    ]
    return arm_results("", runs, [ProxyAndGold(curves={})] * len(runs))


def results(
    told: Mapping[str, tuple[str, str]] | None = None,
    arms: Mapping[str, ArmResults] | None = None,
    **given: Any,
) -> Results:
    """Results with contrasts by dial: verdicts on threat 1 and on threat 2, a letter each."""
    return Results(
        task="corridor",
        arms={"both": arm([0.9, 0.95, 1.0])} if arms is None else arms,
        contrasts=[
            contrast(dial, threat, LETTERS[letter])
            for dial, both in (told or {}).items()
            for threat, letters in zip(("threat_1", "threat_2"), both, strict=True)
            for letter in letters
        ],
        about=About(
            **ENVIRONMENT.model_dump(),
            config="",
            date="",
            seeds=[0],
            scores=given.pop("scores", "overseer"),
        ),
        **{"gates": PASSED, **given},
    )


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (
            {"knowledge": ("mm", "ee"), "randomised": ("ee", "mm"), "diversity": ("uu", "u")},
            "κ moves threat 1 only; α moves threat 2 only; 3 of 11 contrasts undecided",
        ),
        # Only, where the other threat is shown to be equivalent in every contrast; not where some
        # are undecided.
        (
            {"knowledge": ("mm", "eu"), "randomised": ("ee", "mm")},
            "κ moves threat 1; α moves threat 2 only; 1 of 8 contrasts undecided",
        ),
        (
            {"knowledge": ("mmu", "eee")},
            "κ moves threat 1 only, in 2 of 3 contrasts; 1 of 6 contrasts undecided",
        ),
        (
            {"knowledge": ("m", "m"), "diversity": ("e", "e")},
            "κ moves both threats; δ moves neither threat",
        ),
        ({"knowledge": ("mm", "me")}, "κ moves threat 1 and threat 2 in 1 of 2 contrasts"),
        (
            {"knowledge": ("mee", "eme")},
            "κ moves both threats in 1 of 3 contrasts",
        ),
        ({"diversity": ("u", "e")}, "δ does not move threat 2; 1 of 2 contrasts undecided"),
        # Sweeps: contrasts of neighbouring doses, also of an option of the task.
        (
            {"liars_in_sight": ("emu", "eee")},
            "Liars in sight moves threat 1 only, in 1 of 3 contrasts; 1 of 6 contrasts undecided",
        ),
        (
            {"liars_in_sight": ("eu", "uu")},
            "Nothing is shown to move either threat; 3 of 4 contrasts undecided",
        ),
        ({"knowledge": ("uu", "uu")}, "Nothing is shown: all 4 contrasts are undecided"),
        ({"knowledge": ("u", "")}, "Nothing is shown: the one contrast is undecided"),
    ],
)
def test_it_says_what_the_contrasts_show(told: dict[str, tuple[str, str]], found: str) -> None:
    assert headline(results(told)) == found


def test_what_was_decided_of_runs_is_what_it_says() -> None:
    """From runs, through the contrasts of an experiment, to the sentence."""
    none, bad, goal = [0.0, 0.01, 0.0, 0.01], [0.9, 0.91, 0.9, 0.92], [1.0, 1.1, 1.0, 1.05]
    arms = {
        "neither": arm(none, none, Dials(1, 1)),
        "selection_only": arm(bad, none, Dials(0, 1)),
        "goal_only": arm(none, goal, Dials(1, 0)),
        "both": arm(bad, goal, Dials(0, 0)),
    }
    found = results(arms=arms).model_copy(
        update={"contrasts": contrasts(arms, {"threat_1": 0.1, "threat_2": 0.3})}
    )
    assert headline(found) == "κ moves threat 1 only; α moves threat 2 only"


def test_a_gate_that_did_not_pass_comes_first() -> None:
    failed = Gate(name="selectable", status="DEGENERATE", figure={}, detail="")
    found = headline(results({"knowledge": ("m", "e")}, gates=[*PASSED, failed]))
    assert found == (
        "Gate not passed (selectable), so that nothing here can be called deception: "
        "κ moves threat 1 only"
    )
    several = headline(results({"knowledge": ("m", "e")}, gates=[failed, failed]))
    assert several.startswith("Gates not passed (selectable, selectable), so that nothing here")
    undecided = headline(results({"knowledge": ("m", "e")}, gates=[]))
    assert undecided.startswith("No gates were decided, so that nothing here can be called decep")


def test_a_control_is_said_to_be_one() -> None:
    found = headline(results({"knowledge": ("m", "e")}, scores="shuffled"))
    assert found.startswith("A control, with scores dealt out at random, so that nothing is sel")
    assert found.endswith(": κ moves threat 1 only")


def test_beside_a_control_it_says_what_is_selection() -> None:
    drift = [
        Drift(
            arm=name,
            threat=threat,
            selected=NAN,
            dealt=NAN,
            share=0.1,
            spread=0.1,
            spread_dealt=0.1,
            late_spread=0.1,
            late_spread_dealt=0.1,
            contrast=contrast("scores", threat, verdict),
        )
        for name, threat, verdict in (
            ("both", "threat_1", "moved"),
            ("habit", "threat_1", "undecided"),
            ("both", "threat_2", "equivalent"),
        )
    ]
    assert headline(results({"knowledge": ("m", "e")}, drift=drift)) == (
        "κ moves threat 1 only; unlike scores dealt out at random, selection moves threat 1 in 1 "
        "of 2 arms and threat 2 in 0 of 1 arm"
    )


@pytest.mark.parametrize(
    ("arms", "found"),
    [
        (
            {"both": arm([0.9, 0.95, 1.0], [1.0, 1.1, 0.9])},
            "Threat 1 rose (from 0.20 to 0.95, in both); "
            "threat 2 rose above 0.3 nats (1.00 nats, in both)",
        ),
        (
            {"calm": arm([0.2, 0.2, 0.2], [0.0, 0.01, 0.0]), "less": arm([0.0, 0.01, 0.02])},
            "Threat 1 stayed as it was (from 0.20 to 0.20, most in calm); "
            "threat 2 stayed below 0.3 nats (0.01 nats, most in less)",
        ),
        (
            {"less": arm([0.0, 0.01, 0.02], [0.1, 0.9, 0.2])},
            "Threat 1 fell (from 0.20 to 0.01, in less); "
            "threat 2 is undecided (0.40 nats, in less)",
        ),
        (
            {"one": arm([0.9], [1.0])},
            "Threat 1 is undecided, of too few runs (from 0.20 to 0.90, in one); "
            "threat 2 is undecided, of too few runs (1.00 nats, in one)",
        ),
        (
            {"bare": arm([0.9, 0.8], [0.0, 0.0], base=math.nan)},
            "Threat 1 is held against no base policy (0.85, in bare); threat 2 ",
        ),
        (
            {"habit": arm([math.nan, math.nan], [0.0, 0.01])},
            "Threat 1 is not judged; threat 2 ",
        ),
        ({}, "Nothing is measured yet"),
    ],
)
def test_without_contrasts_it_says_what_each_threat_came_to(
    arms: dict[str, ArmResults], found: str
) -> None:
    assert headline(results(arms=arms)).startswith(found)


def test_what_can_not_be_read_is_no_verdict() -> None:
    unread = arm([0.9, 0.95, 1.0], [0.0, 0.0, 0.0])
    covered = Interval(mean=0.1, low=0.1, high=0.1)
    unread.figures["response_space_coverage"] = covered
    found = headline(results(arms={"both": unread}))
    assert "threat 2 is undecided, since most of what is written can't be read" in found


def test_several_methods_are_counted_together() -> None:
    """Contrasts are within a method; a dial that moves a threat under some says under how many."""
    told = {"knowledge": ("mmu", "eee"), "randomised": ("eee", "mmm")}
    assert headline(results(told)) == (
        "κ moves threat 1 only, in 2 of 3 contrasts; α moves threat 2 only; "
        "1 of 12 contrasts undecided"
    )


@pytest.mark.parametrize(
    ("scores", "config", "begins"),
    [
        ("overseer", "", "**κ moves threat 1 only.**"),
        ("", "scores: shuffled", "**A control, with scores dealt out at random"),
        ("", "seeds: 0-1", "**κ moves threat 1 only.**"),
        ("", None, "**κ moves threat 1 only.**"),
    ],
)
def test_what_is_published_begins_with_it(
    tmp_path: Path, scores: str, config: str | None, begins: str
) -> None:
    """Older results do not say whose scores selected; their config does, where it is there."""
    found = results({"knowledge": ("m", "e")}, scores=scores)
    file = tmp_path / "x.yaml"
    if config is not None:
        file.write_text(config, encoding="utf-8")
    about = found.about.model_copy(update={"config": str(file)})
    write(tmp_path / Results.file, found.model_copy(update={"about": about}))
    text = publish(tmp_path, tmp_path / "there").read_text(encoding="utf-8")
    title, _, first = text.splitlines()[:3]
    assert title.startswith("# corridor")
    assert first.startswith(begins)


def test_the_terminal_has_it_in_a_line_of_its_own() -> None:
    page = io.StringIO()
    print_headline(results({"knowledge": ("m", "e")}), Console(file=page))
    assert page.getvalue() == "κ moves threat 1 only.\n"
