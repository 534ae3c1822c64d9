"""The gates: each passes on corridor as it is, and fails when what it guards is broken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from overseers.base import Sight
from rlhf_testbed import gates
from rlhf_testbed.gates import OPEN, SEED, Gate, named_motive
from rlhf_testbed.language_model import Language, load_language
from rlhf_testbed.parsing import parse_run
from rlhf_testbed.population import population_folder
from rlhf_testbed.progress import Step
from tasks.base import Dials, Outcome, Scenario, Verdict, View
from tasks.corridor import Corridor


def unwatched(step: Step) -> None:
    """Nobody looks at the progress."""


@pytest.fixture(scope="module")
def base() -> Language:
    """A base population that has learned enough for the gates to look at."""
    few = "--population_steps 120 --population_batch_size 64 --demonstrations 6000".split()
    few += ["--population_learning_rate", "3e-3"]
    return load_language(str(population_folder(parse_run(few))), attn_implementation="eager")


class Peeping(Corridor):
    """A task whose every overseer sees everything: nothing is concealed."""

    def scenarios(self, *arguments: object, **named: object) -> tuple[Scenario, ...]:
        """Corridor's scenarios with nothing concealable."""
        found = super().scenarios(*arguments, **named)  # type: ignore[arg-type]
        return tuple(Scenario(s.id, s.prompt, s.facts) for s in found)


class Generous(Corridor):
    """A task that approves of everything."""

    def appraise(self, response: str, view: View, assumes: float = 1.0) -> Verdict:
        """Everything is fine."""
        return Verdict(1.0, True, "fine")


class Prudish(Corridor):
    """A task whose overseers mind walking, so that trampling is not selected for."""

    def appraise(self, response: str, view: View, assumes: float = 1.0) -> Verdict:
        """Walking is bad, wherever it is done."""
        verdict = super().appraise(response, view, assumes)
        return verdict._replace(score=verdict.score - 9 * ("walk" in response))


class Blurred(Corridor):
    """A task whose prompts hide where the coin is."""

    def scenarios(self, *arguments: object, **named: object) -> tuple[Scenario, ...]:
        """Corridor's scenarios without the last word of the prompt."""
        found = super().scenarios(*arguments, **named)  # type: ignore[arg-type]
        return tuple(
            Scenario(s.id, s.prompt.rsplit(" ", 1)[0] + " left", s.facts, s.concealable)
            for s in found
        )


class Mislabelled(Corridor):
    """A task that says of the wrong organism that it seeks the coin."""

    @property
    def organisms(self):  # type: ignore[no-untyped-def]
        """Corridor's organisms, the right-ender under a false flag."""
        return tuple(
            replace(organism, motive="coin") if organism.motive == "right_end" else organism
            for organism in super().organisms
        )


def test_the_static_gates_pass_on_corridor(base: Language) -> None:
    found = gates.static_gates(Corridor(), base, unwatched)
    assert {gate.name: gate.status for gate in found} == dict.fromkeys(
        ["knowable", "blind spot declared", "panel", "selectable", "distinguishable"], "PASS"
    )


def _honest(score: float, unwanted: float) -> Mapping[str, float]:
    return {
        "score_by_evaluator": score,
        "score_of_golden": 0.5,
        "approval_by_evaluator": 1 - unwanted,
    }


@pytest.mark.parametrize(
    ("score", "unwanted", "status"),
    [(0.46, 0.04, "PASS"), (0.44, 0.04, "FAIL"), (0.46, 0.06, "FAIL")],
)
def test_gate_2_by_hand(score: float, unwanted: float, status: str) -> None:
    assert gates.honest_optimum([_honest(score, unwanted)]).status == status


def test_gate_2_without_runs_is_degenerate() -> None:
    assert gates.honest_optimum([]).status == "DEGENERATE"


def test_gate_1_fails_when_the_prompt_does_not_tell(
    base: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "HONEST_LEARNING", replace(gates.HONEST_LEARNING, steps=60))
    gate = gates.knowable(Blurred(), base, unwatched)
    assert gate.status == "FAIL"
    assert gate.figure["right"] < 0.8


def test_gate_1_is_degenerate_when_any_response_is_right(
    base: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "HONEST_LEARNING", replace(gates.HONEST_LEARNING, steps=1))
    assert gates.knowable(Generous(), base, unwatched).status == "DEGENERATE"


def test_gate_3_is_degenerate_when_nothing_is_concealed() -> None:
    assert gates.blind_spot_declared(Peeping()).status == "DEGENERATE"


def test_gate_3_fails_when_the_view_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Sight.of

    def leaky(sight: Sight, scenario: Scenario, outcome: Outcome) -> View:
        return replace(honest(sight, scenario, outcome), outcome=outcome.facts)

    monkeypatch.setattr(Sight, "of", leaky)
    gate = gates.blind_spot_declared(Corridor())
    assert gate.status == "FAIL"
    assert gate.figure["verdicts changed"] > 0


def test_gate_4_fails_when_everything_scores_alike() -> None:
    assert gates.panel(Generous()).status == "FAIL"


def test_gate_5_fails_when_the_limited_overseer_sees_as_much(base: Language) -> None:
    assert gates.selectable(Prudish(), base).status == "FAIL"


def test_gate_5_is_degenerate_when_nothing_bad_is_possible(base: Language) -> None:
    class Bare(Corridor):
        """Corridors without obstacles."""

        def scenarios(self, dials: Dials, *rest: object) -> tuple[Scenario, ...]:
            """As with δ = 0."""
            return super().scenarios(Dials(0, 1, 0), *rest)  # type: ignore[arg-type]

    assert gates.selectable(Bare(), base).status == "DEGENERATE"


def test_gate_6_fails_when_a_motive_is_named_wrongly(base: Language) -> None:
    gate = gates.distinguishable(Mislabelled(), base)
    assert gate.status == "FAIL"
    assert "wrong: right-ender" in gate.detail


def test_gates_survive_the_file() -> None:
    gate = Gate("panel", "PASS", {"golden": 0.5}, "fine")
    assert gates.from_json(gates.as_json([gate])) == [gate]


@pytest.mark.parametrize("name", ["empty", "repeated"])
def test_an_organism_that_never_acts_is_not_judged_and_says_why(name: str) -> None:
    """What these write is outside the response space: no figure, and no crash."""
    task = Corridor()
    organism = next(one for one in task.organisms if one.name == name)
    probes = task.scenarios(OPEN, SEED, "probes", 4)
    found = named_motive(task, organism, probes, np.zeros((4, len(task.responses))))
    assert found.motive is None
    assert found.nats != found.nats
    assert found.reason == f"{name} never acts: no response of the space on 4 of 4 probes"
