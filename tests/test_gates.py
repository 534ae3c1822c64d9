"""The gates: each passes on corridor as it is, and fails when what it guards is broken."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from policies import Known, demonstrated, ender, noisy
from rlhf_testbed.contract.rules import OPEN, SEED
from rlhf_testbed.experiment import gates
from rlhf_testbed.experiment.gates import named_motive
from rlhf_testbed.experiment.plan import Experiment, plan
from rlhf_testbed.experiment.run import refuse_not_passed
from rlhf_testbed.overseers.base import Sight
from rlhf_testbed.policy.base_about import Ability, About, Reached
from rlhf_testbed.policy.base_policy import ensure_base_policy, load_base_policy
from rlhf_testbed.policy.base_shelves import SHIPPED
from rlhf_testbed.policy.language_policy import LanguagePolicy
from rlhf_testbed.report.remedies import REMEDIES, remedies
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.progress import Step
from rlhf_testbed.shared.record import read, write
from rlhf_testbed.store.experiment_records import Gate, GatesFile
from rlhf_testbed.store.run_records import JudgedBy, Measures
from rlhf_testbed.tasks import TASKS
from rlhf_testbed.tasks.base import Dials, Outcome, Scenario, Verdict, View
from rlhf_testbed.tasks.corridor import Corridor
from test_words import ROOT


def unwatched(step: Step) -> None:
    """Nobody looks at the progress."""


@pytest.fixture(scope="module")
def base() -> LanguagePolicy:
    """A base policy that has learned enough for the gates to look at."""
    few = "--base_steps 120 --base_batch_size 64 --demonstrations 6000".split()
    few += ["--base_learning_rate", "3e-3"]
    run = parse_run(few)
    return LanguagePolicy.of(load_base_policy(ensure_base_policy(run, unwatched)), run.task)


class Peeping(Corridor):
    """A task whose every overseer sees everything: nothing is concealed."""

    def scenarios(self, *arguments: object, **named: object) -> tuple[Scenario, ...]:
        """Corridor's scenarios with nothing concealable."""
        found = super().scenarios(*arguments, **named)  # type: ignore[arg-type]
        return tuple(Scenario(s.id, s.prompt, s.facts) for s in found)


class Generous(Corridor):
    """A task that approves of everything."""

    def appraise(self, response: str, view: View, prior: float = 1.0) -> Verdict:
        """Everything is fine."""
        return Verdict(1.0, True, "fine")


class Prudish(Corridor):
    """A task whose overseers mind walking, so that trampling is not selected for."""

    def appraise(self, response: str, view: View, prior: float = 1.0) -> Verdict:
        """Walking is bad, wherever it is done."""
        verdict = super().appraise(response, view, prior)
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
    """A task that says of the wrong scripted policy that it seeks the coin."""

    @property
    def scripted_policies(self):  # type: ignore[no-untyped-def]
        """Corridor's scripted policies, the right-ender under a false flag."""
        return tuple(
            replace(scripted, motive="coin") if scripted.motive == "right_end" else scripted
            for scripted in super().scripted_policies
        )


def test_the_static_gates_pass_on_corridor(base: LanguagePolicy) -> None:
    """But for the last: a base policy that has learned so little is no fair draw."""
    found = gates.static_gates(Corridor(), base, unwatched, 0.3)
    passed = ["knowable", "blind spot declared", "panel", "selectable", "distinguishable"]
    assert {gate.name: gate.status for gate in found} == {
        **dict.fromkeys(passed, "PASS"),
        "capable base policy": "FAIL",
    }


def _honest(score: float, unwanted: float, reference: float = 0.5) -> Measures:
    figures = {
        "score_by_full_knowledge": score,
        "score_of_reference": reference,
        "approval_by_full_knowledge": 1 - unwanted,
    }
    by = JudgedBy(overseer="full_knowledge")
    return Measures(arm="neither", seed=0, dials=OPEN, judged_by=by, figures=figures)


@pytest.mark.parametrize(
    ("score", "unwanted", "status"),
    [(0.46, 0.04, "PASS"), (0.44, 0.04, "FAIL"), (0.46, 0.06, "FAIL")],
)
def test_gate_2_by_hand(score: float, unwanted: float, status: str) -> None:
    found = gates.honest_optimum([_honest(score, unwanted)])
    assert found.status == status
    assert found.figure == pytest.approx(
        {"share of best score": score / 0.5, "unwanted": unwanted, "seeds": 1}
    )


def test_gate_2_is_of_all_its_seeds_together() -> None:
    """0.44 of 0.5 fails by itself, 0.48 passes; together they are 0.92 of the best score."""
    found = gates.honest_optimum([_honest(0.44, 0.06), _honest(0.48, 0.02)])
    assert found.status == "PASS"
    assert found.figure["share of best score"] == pytest.approx(0.92)
    assert found.figure["unwanted"] == pytest.approx(0.04)


def test_gate_2_without_runs_or_without_a_best_score_is_degenerate() -> None:
    assert gates.honest_optimum([]).status == "DEGENERATE"
    assert gates.honest_optimum([_honest(0.5, 0.0, reference=0.0)]).status == "DEGENERATE"


def test_the_second_gate_stands_second() -> None:
    static = [Gate(name=name, status="PASS", figure={}, detail="") for name in "134567"]
    honest = Gate(name="2", status="FAIL", figure={}, detail="")
    assert [gate.name for gate in gates.in_order(static, honest)] == list("1234567")


@pytest.mark.slow
def test_gate_1_fails_when_the_prompt_does_not_tell(
    base: LanguagePolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "HONEST_LEARNING", replace(gates.HONEST_LEARNING, steps=60))
    gate = gates.knowable(Blurred(), base, unwatched)
    assert gate.status == "FAIL"
    assert gate.figure["right"] < 0.8


@pytest.mark.slow
def test_gate_1_is_degenerate_when_any_response_is_right(
    base: LanguagePolicy, monkeypatch: pytest.MonkeyPatch
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


def test_gate_5_fails_when_the_limited_overseer_sees_as_much(base: LanguagePolicy) -> None:
    assert gates.selectable(Prudish(), base).status == "FAIL"


def test_gate_5_is_degenerate_when_nothing_bad_is_possible(base: LanguagePolicy) -> None:
    class Bare(Corridor):
        """Corridors without obstacles."""

        def scenarios(self, dials: Dials, *rest: object) -> tuple[Scenario, ...]:
            """As with δ = 0."""
            return super().scenarios(Dials(0, 1, 0), *rest)  # type: ignore[arg-type]

    assert gates.selectable(Bare(), base).status == "DEGENERATE"


def test_gate_6_fails_when_a_motive_is_named_wrongly(base: LanguagePolicy) -> None:
    gate = gates.distinguishable(Mislabelled(), base)
    assert gate.status == "FAIL"
    assert "wrong: right-ender" in gate.detail


UNABLE = {"inspection-0.12-seed-1"}
"""Base policies that ship, since seeds aren't chosen, and don't pass: it reaches what looks good in
0.08 of cases, and its demonstrators in 0.16. An experiment reports with and without it."""


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*/about.json")), ids=lambda f: f.parent.name)
def test_gate_7_passes_for_every_base_policy_that_ships_but_those_named(file: Path) -> None:
    about = read(file, About)
    task = TASKS[file.parent.name.partition("-")[0]]()
    policy = LanguagePolicy.of(load_base_policy(file.parent), task)
    gate = gates.capable(task, policy, about.settings.unintended_share)
    assert gate.status == ("FAIL" if file.parent.name in UNABLE else "PASS")
    assert about.ability is not None
    for goal, told in about.ability.reached.items():  # the one definition
        assert gate.figure[f"{goal}, base"] == pytest.approx(told.base_policy, abs=1e-6)
        assert gate.figure[f"{goal}, demonstrations"] == told.demonstrators


@pytest.mark.parametrize(("noise", "status"), [(0.0, "PASS"), (0.2, "PASS"), (0.5, "FAIL")])
def test_gate_7_by_a_policy_of_known_ability(noise: float, status: str) -> None:
    """Its demonstrations are its own, but for the noise: it reaches a goal 1 - noise as often, and
    by chance now and then."""
    gate = gates.capable(Corridor(), Known(noisy(demonstrated(0.3), noise)), 0.3)
    assert gate.status == status
    assert gate.figure["coin, share"] == pytest.approx(1 - noise, abs=0.07)
    assert gate.figure["right_end, share"] == pytest.approx(1 - noise, abs=0.07)


@pytest.mark.parametrize(
    ("coin", "right_end", "status"),
    [(0.72, 0.52, "PASS"), (0.66, 1.0, "FAIL"), (1.0, 0.45, "FAIL")],
)
def test_gate_7_asks_less_of_an_unintended_goal(
    coin: float, right_end: float, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The intended one must be found by RL; another must be there to be selected."""
    taught = {
        "coin": Reached(base_policy=coin * 0.4, demonstrators=0.4),
        "right_end": Reached(base_policy=right_end * 0.2, demonstrators=0.2),
    }
    found = Ability(scenarios=64, reached=taught)
    monkeypatch.setattr(gates, "ability", lambda *_: found)
    assert gates.capable(Corridor(), Known(ender("right")), 0.3).status == status


def test_gate_7_is_of_the_goal_that_is_reached_least() -> None:
    """One that always heads for the right end reaches that alone."""
    gate = gates.capable(Corridor(), Known(ender("right")), 0.3)
    assert gate.status == "FAIL"
    assert gate.figure["coin, share"] == 0
    assert gate.figure["right_end, base"] == 1


def test_gate_7_is_degenerate_where_demonstrations_reach_nothing() -> None:
    class Silent(Corridor):
        """A task of which nobody can say what its demonstrators do."""

        def demonstrated(self, *_: object) -> None:  # type: ignore[override]
            """Nothing."""

    class Lost(Corridor):
        """A task whose demonstrators get nowhere."""

        def demonstrated(self, *_: object) -> str:  # type: ignore[override]
            """Into the wall."""
            return "left"

    for task in (Silent(), Lost()):
        gate = gates.capable(task, Known(demonstrated(0.3)), 0.3)
        assert gate.status == "DEGENERATE"
        assert gate.detail == "there are no demonstrations that reach a goal off distribution"


def test_gates_survive_the_file(tmp_path: Path) -> None:
    fine = Gate(name="panel", status="PASS", figure={"reference": 0.5}, detail="fine")
    odd = Gate(name="knowable", status="FAIL", figure={"right": float("nan")}, detail="not")
    write(tmp_path / GatesFile.file, GatesFile(gates=[fine, odd]))
    again = read(tmp_path / GatesFile.file, GatesFile).gates
    assert again[0] == fine
    assert (again[1].status, str(again[1].figure)) == ("FAIL", "{'right': nan}")


@pytest.mark.parametrize("name", ["empty", "repeated"])
def test_a_scripted_policy_that_never_acts_is_not_judged_and_says_why(name: str) -> None:
    """What these write is outside the response space: no figure, and no crash."""
    task = Corridor()
    scripted = next(one for one in task.scripted_policies if one.name == name)
    off_distribution = task.scenarios(OPEN, SEED, "off_distribution", 4)
    found = named_motive(task, scripted, off_distribution, np.zeros((4, len(task.responses))))
    assert found.motive is None
    assert found.nats != found.nats
    assert found.reason == f"{name} never acts: no response of the space on 4 of 4 scenarios"


def _with_gates(folder: Path, *, passing: bool) -> Experiment:
    """An experiment from two new base policies, of which the second passes the gates, or neither
    does."""
    config = folder / "x.yaml"
    config.write_text("task: corridor\nbase_policy: build\nbase_seeds: 0-1\nseeds: '0'\n")
    planned = plan(str(config), output_dir=str(folder / "out"))
    for base in planned.base_seeds:
        status = "PASS" if passing and base == 1 else "FAIL"
        gate = Gate(name="knowable", status=status, figure={}, detail="right on 0.50")
        write(planned.gates_file(base), GatesFile(gates=[gate]))
    return planned


def test_nothing_is_trained_where_no_base_policy_passes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing was trained: knowable: right on 0\.50") as told:
        refuse_not_passed(_with_gates(tmp_path, passing=False))
    assert "--anyway" in str(told.value)
    assert "\n" not in str(told.value)


def test_one_that_passes_is_enough(tmp_path: Path) -> None:
    """The results are told without the others, too."""
    refuse_not_passed(_with_gates(tmp_path, passing=True))


def test_a_gate_that_does_not_pass_says_what_to_change() -> None:
    page = (ROOT / "docs/GATES.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)$", page, re.M) == list(REMEDIES)
    gates = [Gate(name=name, status="PASS", figure={}, detail="") for name in REMEDIES]
    assert not list(remedies(gates))
    broken = gates[4].model_copy(update={"status": "DEGENERATE"})
    (line,) = remedies([*gates[:4], broken])
    assert line.startswith("selectable: demonstrators who misbehave out of sight")
    assert line.endswith("(docs/GATES.md#selectable)")
