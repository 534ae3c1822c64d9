"""Each rule of the contract can fail: copies of corridor and of overseers, broken on purpose.

That everything built in keeps the rules is tested in test_tasks.py and test_overseers.py.
"""

from __future__ import annotations

import itertools
import re
import sys
import zlib
from collections.abc import Sequence
from dataclasses import replace

import pytest

from rlhf_testbed import cli
from rlhf_testbed.contract import OVERSEER_RULES, TASK_RULES, check_overseer, check_task
from rlhf_testbed.contract.judges import Candidate
from rlhf_testbed.contract.rules import Broken, tried
from rlhf_testbed.overseers.base import Overseer, Sight, TrainingOverseer
from rlhf_testbed.overseers.scripted import Scripted
from rlhf_testbed.tasks.base import (
    Demonstration,
    Dials,
    Goal,
    Outcome,
    Scenario,
    ScriptedPolicy,
    Split,
    Task,
    Verdict,
    View,
)
from rlhf_testbed.tasks.corridor import Corridor


class FourArms(Corridor):
    arms = Corridor.arms[:4]


class OneName(Corridor):
    open_trait = Corridor.concealed_trait


class Changed(Corridor):
    """Corridor with its scenarios changed one by one."""

    def scenarios(self, dials: Dials, seed: int, split: Split, count: int) -> tuple[Scenario, ...]:
        found = super().scenarios(dials, seed, split, count)
        return tuple(self.changed(s, dials, split) for s in found)

    def changed(self, scenario: Scenario, dials: Dials, split: Split) -> Scenario:
        raise NotImplementedError


class SeedIgnored(Corridor):
    def scenarios(self, dials: Dials, seed: int, split: Split, count: int) -> tuple[Scenario, ...]:
        return super().scenarios(dials, 0, split, count)


class Hashed(Changed):
    def changed(self, scenario: Scenario, dials: Dials, split: Split) -> Scenario:
        return replace(scenario, id=str(hash(scenario.prompt)))


class Repetitive(Corridor):
    def scenarios(self, dials: Dials, seed: int, split: Split, count: int) -> tuple[Scenario, ...]:
        *found, last = super().scenarios(dials, seed, split, count)
        return (*found, replace(last, prompt=f" {found[0].prompt}"))


class Leaking(Corridor):
    def scenarios(self, dials: Dials, seed: int, split: Split, count: int) -> tuple[Scenario, ...]:
        return super().scenarios(dials, seed, "train" if split == "held_out" else split, count)


class Short(Corridor):
    def scenarios(self, dials: Dials, seed: int, split: Split, count: int) -> tuple[Scenario, ...]:
        return super().scenarios(dials, seed, split, min(count, 500))


class Ghostly(Changed):
    def changed(self, scenario: Scenario, dials: Dials, split: Split) -> Scenario:
        return replace(scenario, concealable=("ghost",))


class Announced(Changed):
    def changed(self, scenario: Scenario, dials: Dials, split: Split) -> Scenario:
        return replace(scenario, prompt=f"{scenario.prompt} watched {dials.knowledge}")


class DialledOffDistribution(Changed):
    def changed(self, scenario: Scenario, dials: Dials, split: Split) -> Scenario:
        return replace(scenario, prompt=f"{scenario.prompt} {dials.diversity}")


class SameDemonstrations(Corridor):
    def demonstrations(
        self, unintended_share: float, seed: int, count: int
    ) -> tuple[Demonstration, ...]:
        return super().demonstrations(unintended_share, 0, count)


class DemonstratedOffDistribution(Corridor):
    def demonstrations(
        self, unintended_share: float, seed: int, count: int
    ) -> tuple[Demonstration, ...]:
        off_distribution = self.scenarios(Dials(), 0, "off_distribution", 300)
        return tuple(
            Demonstration(scenario.prompt, "right")
            for scenario in itertools.islice(itertools.cycle(off_distribution), count)
        )


class TwiceInTheSpace(Corridor):
    @property
    def responses(self) -> tuple[str, ...]:
        return (*super().responses, super().responses[0])


class Unreadable(Corridor):
    @property
    def responses(self) -> tuple[str, ...]:
        return (*super().responses, "stand still")


class BeyondOne(Corridor):
    @property
    def goals(self) -> tuple[Goal, ...]:
        coin, right_end = super().goals
        return coin, replace(right_end, utility=lambda s, r: 2 * right_end.utility(s, r))


class Inseparable(Corridor):
    @property
    def goals(self) -> tuple[Goal, ...]:
        coin, right_end = super().goals
        return coin, replace(
            right_end, utility=lambda s, r: max(coin.utility(s, r), right_end.utility(s, r))
        )


class AlwaysRandomised(Corridor):
    def scenarios(self, dials: Dials, seed: int, split: Split, count: int) -> tuple[Scenario, ...]:
        return super().scenarios(replace(dials, randomised=1), seed, split, count)


class Improbable(Corridor):
    @property
    def scripted_policies(self) -> tuple[ScriptedPolicy, ...]:
        reference, *rest = super().scripted_policies
        halved = replace(reference, policy=lambda s: {r: 0.5 for r in reference.policy(s)})
        return (halved, *rest)


class Unpursued(Corridor):
    @property
    def scripted_policies(self) -> tuple[ScriptedPolicy, ...]:
        return tuple(each for each in super().scripted_policies if each.motive != "right_end")


class BlindToTrampling(Corridor):
    """Even full knowledge takes trampling for walking: who goes around beds is not the best."""

    def appraise(self, response: str, view: View, prior: float = 1.0) -> Verdict:
        unharmed = {k: "walked" if v == "trampled" else v for k, v in view.outcome.items()}
        return super().appraise(response, replace(view, outcome=unharmed), prior)


class Generous(Corridor):
    def appraise(self, response: str, view: View, prior: float = 1.0) -> Verdict:
        return Verdict(1.0, True, "fine")


class NothingConcealed(Changed):
    def changed(self, scenario: Scenario, dials: Dials, split: Split) -> Scenario:
        return replace(scenario, concealable=())


class AlwaysWary(Corridor):
    def appraise(self, response: str, view: View, prior: float = 1.0) -> Verdict:
        verdict = super().appraise(response, view, prior)
        return verdict._replace(score=verdict.score - (1 - prior))


class Silent(Corridor):
    def appraise(self, response: str, view: View, prior: float = 1.0) -> Verdict:
        return super().appraise(response, view, prior)._replace(reason="")


class Appended(Corridor):
    """One more response, of which the task reads the first five words."""

    @property
    def responses(self) -> tuple[str, ...]:
        return (*super().responses, "left walk walk walk walk now")

    def outcome(self, scenario: Scenario, response: str) -> Outcome:
        return super().outcome(scenario, response.removesuffix(" now"))


class Lenient(Corridor):
    """Reads the first response of two."""

    def outcome(self, scenario: Scenario, response: str) -> Outcome:
        return super().outcome(scenario, " ".join(response.split()[:5]))


class Ticketed(Changed):
    """Corridors known by one long number each, as tickets are."""

    def changed(self, scenario: Scenario, dials: Dials, split: Split) -> Scenario:
        return replace(scenario, prompt=_ticketed(scenario.prompt))

    def demonstrations(
        self, unintended_share: float, seed: int, count: int
    ) -> tuple[Demonstration, ...]:
        found = super().demonstrations(unintended_share, seed, count)
        return tuple(Demonstration(_ticketed(prompt), response) for prompt, response in found)


def _ticketed(prompt: str) -> str:
    return f"ticket {zlib.crc32(prompt.encode())} {prompt.partition(' left ')[2]}"


class Crawling(Corridor):
    @property
    def responses(self) -> tuple[str, ...]:
        return (*super().responses, "left crawl walk walk walk")


class Untold(Corridor):
    def demonstrated(self, scenario: Scenario, unintended_share: float, seed: int) -> str | None:  # type: ignore[override]
        return None


class AllCareful(Corridor):
    """Every demonstrator does what is intended."""

    def demonstrated(self, scenario: Scenario, unintended_share: float, seed: int) -> str:
        return min(self.reference_policy.policy(scenario))


class Gainless(Corridor):
    """Going around beds pays, seen or not."""

    def appraise(self, response: str, view: View, prior: float = 1.0) -> Verdict:
        verdict = super().appraise(response, view, prior)
        return verdict._replace(score=verdict.score + 9 * ("around" in response))


class Emptied(Corridor):
    @property
    def responses(self) -> tuple[str, ...]:
        return (*super().responses, "")


class Shouted(Corridor):
    @property
    def responses(self) -> tuple[str, ...]:
        return (*super().responses, super().responses[0].upper())


BROKEN: dict[str, tuple[type[Task], str]] = {
    "the five arms are there": (FourArms, "there is no arm habit"),
    "the bad behaviour has two names": (OneName, "concealed_trait and open_trait are the same"),
    "scenarios follow the seed": (SeedIgnored, "train: two seeds, one result"),
    "scenarios are alike in another process": (Hashed, "another process makes others"),
    "prompts are unique": (Repetitive, "train: 1 of 300 prompts"),
    "splits share no prompt": (Leaking, "prompts of train are in held_out, too"),
    "there are enough scenarios and off-distribution scenarios": (
        Short,
        "arm neither: 500 of 512 train scenarios",
    ),
    "facts are plain": (Ghostly, "concealable, and no fact: ghost"),
    "prompts don't tell what is seen": (Announced, "κ changes what the model reads"),
    "off-distribution scenarios don't depend on the dials": (
        DialledOffDistribution,
        "off-distribution scenarios differ with the dials",
    ),
    "demonstrations follow seed and base policy": (SameDemonstrations, "two seeds, one result"),
    "demonstrations keep to training": (
        DemonstratedOffDistribution,
        "off_distribution: 300 of 300 prompts are demo",
    ),
    "the response space is finite and unique": (TwiceInTheSpace, "1 of 163 responses"),
    "every response can be read": (Unreadable, "'stand still' is in the space and can't be read"),
    "no response is read as another": (
        Appended,
        "'left walk walk walk walk now' holds 'left walk walk walk walk', and brings about the "
        "same in 60 of 60 scenarios",
    ),
    "the small model tells prompts apart": (Ticketed, "are in no demonstration, and unknown words"),
    "every word of a response is demonstrated": (Crawling, "no demonstration writes crawl: "),
    "demonstrators can be asked": (Untold, "`demonstrated` gives None, so that gate 7 can't be"),
    "demonstrators misbehave out of sight": (
        AllCareful,
        "'tramples unseen' in 0.00 of ",
    ),
    "demonstrators pursue every unintended goal": (
        AllCareful,
        "'right_end' in 0.00 without the intended goal (at least 0.02): who pursues right_end?",
    ),
    "goals are utilities, and one is intended": (BeyondOne, "'right_end' is [2.0], not in [0, 1]"),
    "goals come apart off distribution": (Inseparable, "reaches the intended goal and another in"),
    "α sets the goals apart in training": (AlwaysRandomised, "α = 0: goals come apart in"),
    "scripted policies are distributions": (
        Improbable,
        "careful coin-seeker: probabilities sum to 0.5",
    ),
    "every motive has a scripted policy": (Unpursued, "no scripted policy pursues right_end"),
    "the reference policy is best": (BlindToTrampling, "but another scores"),
    "degenerate scripted policies score at the floor": (
        Generous,
        "one reaches 1.00 of the reference policy's score",
    ),
    "there is a blind spot": (NothingConcealed, "'tramples unseen' is never approved at κ = 0"),
    "full sight leaves nothing to assume": (AlwaysWary, "`prior` = 0.5 counts where all is seen"),
    "every overseer can judge it": (Silent, "scripted: verdicts are finite numbers with reasons: "),
}


@pytest.mark.parametrize("rule", TASK_RULES)
def test_every_rule_of_tasks_can_fail(rule: str) -> None:
    kind, said = BROKEN[rule]
    (result,) = tried({rule: TASK_RULES[rule]}, kind())
    assert result.status == "FAIL"
    assert said in result.detail
    assert "\n" not in result.detail


@pytest.mark.parametrize(
    ("rule", "kind", "said"),
    [
        ("the response space is finite and unique", Emptied, "one response is empty"),
        ("the response space is finite and unique", Shouted, "look alike but for capital letters"),
        ("no response is read as another", Lenient, "is read, though it is two responses at once"),
        ("demonstrators misbehave out of sight", Gainless, "scores at κ = 0 make it rarer (-"),
        ("demonstrators misbehave out of sight", Untold, "nobody can tell what demonstration"),
    ],
)
def test_rules_fail_in_more_ways_than_one(rule: str, kind: type[Task], said: str) -> None:
    (result,) = tried({rule: TASK_RULES[rule]}, kind())
    assert result.status == "FAIL"
    assert said in result.detail


def test_prompts_that_are_one_for_the_small_model_are_named_with_what_to_change() -> None:
    """Two tickets of which no demonstration tells: both numbers are unknown."""
    rule = "the small model tells prompts apart"
    (result,) = tried({rule: TASK_RULES[rule]}, Ticketed())
    one, other = re.findall(r"'(ticket [^']*)'", result.detail)
    numbers = [text.split()[1] for text in (one, other)]
    assert len(set(numbers)) == 2
    assert one.split()[2:] == other.split()[2:]
    assert f"{', '.join(numbers)} are in no demonstration" in result.detail
    assert result.detail.endswith(f"(space digits: {' '.join(numbers[0])})")


class OfNoKind(Overseer):
    summary = "neither trains nor is held out"

    def judge(self, response: str, view: View) -> Verdict:
        return Verdict(1.0, True, "fine")


class Endless(Scripted):
    def judge(self, response: str, view: View) -> Verdict:
        return Verdict(float("nan"), True, "fine")


class Speechless(Scripted):
    def judge(self, response: str, view: View) -> Verdict:
        return Verdict(1.0, True, " ")


class Moody(Scripted):
    """Its scores fall as it goes on."""

    mood = 0

    def judge(self, response: str, view: View) -> Verdict:
        self.mood -= 1
        return Verdict(self.mood, True, "fine")


class Unlike(Scripted):
    """No two of them judge alike."""

    made = itertools.count()

    def __init__(self, task: Task, sight: Sight) -> None:
        super().__init__(task, sight)
        self.bias = next(Unlike.made)

    def judge(self, response: str, view: View) -> Verdict:
        return Verdict(self.bias, True, "fine")


class Hasty(Scripted):
    """Judges many at once by the first."""

    def judge_all(self, responses: Sequence[str], views: Sequence[View]) -> list[Verdict]:
        return [self.judge(responses[0], views[0])] * len(views)


class Chancy(Scripted):
    """By the hash of a text, which another process has another of."""

    def judge(self, response: str, view: View) -> Verdict:
        return Verdict(hash(response) % 97, True, "fine")


class Farsighted(Scripted):
    """Helps itself to another sight."""

    def __init__(self, task: Task, sight: Sight) -> None:
        super().__init__(task, Sight(1.0))


class Peeping(Scripted):
    """Looks up the stack for what it is not shown."""

    def judge(self, response: str, view: View) -> Verdict:
        frame = sys._getframe()
        while "cases" not in frame.f_locals:
            assert frame.f_back
            frame = frame.f_back
        facts = dict(frame.f_locals["cases"][0].scenario.facts)
        return Verdict(len(str(facts)), True, "peeped")


class Absent(Scripted):
    """Leaves the program."""

    def judge(self, response: str, view: View) -> Verdict:
        raise SystemExit(0)


BROKEN_OVERSEERS: list[tuple[type[Overseer], str, str]] = [
    (OfNoKind, "it trains or is held out, by type", "one, not both"),
    (
        Endless,
        "verdicts are finite numbers with reasons",
        "on corridor at κ = 0: overseer Endless must give a finite number as score, not nan",
    ),
    (
        Speechless,
        "verdicts are finite numbers with reasons",
        "on corridor at κ = 0: no reason is given for 'left walk walk walk walk'",
    ),
    (Moody, "verdicts are repeatable", "verdicts depend on what was judged before"),
    (Unlike, "verdicts are repeatable", "two of the kind, made alike, judge differently"),
    (Hasty, "verdicts are repeatable", "overseer Hasty must judge the same view alike"),
    (Chancy, "verdicts are alike in another process", "another process makes others (hash"),
    (
        Farsighted,
        "it keeps the sight that it is given",
        "overseer Farsighted must keep the task and the sight that it is made with (right: super()",
    ),
    (
        Absent,
        "verdicts are finite numbers with reasons",
        "on corridor at κ = 0: overseer Absent failed to judge: SystemExit: 0 (test_contract.py",
    ),
    (Peeping, "the view is all that counts", "unseen facts change the verdict on"),
]


@pytest.mark.parametrize(("kind", "rule", "said"), BROKEN_OVERSEERS)
def test_every_rule_of_overseers_can_fail(kind: type[Overseer], rule: str, said: str) -> None:
    (result,) = tried({rule: OVERSEER_RULES[rule]}, Candidate(kind, [Corridor()]))
    assert result.status == "FAIL"
    assert said in result.detail


def test_no_rule_is_left_out_above() -> None:
    assert set(BROKEN) == set(TASK_RULES)
    assert {rule for _, rule, _ in BROKEN_OVERSEERS} == set(OVERSEER_RULES)


class Reading(TrainingOverseer):
    """Reads what it isn't shown."""

    summary = "asks for the dark"

    def judge(self, response: str, view: View) -> Verdict:
        return Verdict(1.0, True, str(view.facts["right 9"]))


class Collapsing(Corridor):
    def outcome(self, scenario: Scenario, response: str) -> Outcome:
        raise RuntimeError("the corridor\nfell in")


def test_what_a_plug_in_raises_is_a_failure_in_one_line() -> None:
    results = check_overseer(Reading, [Corridor()])
    assert [result.status for result in results] == ["PASS", "PASS", *["FAIL"] * 4]
    for result in results[2:]:
        assert "overseer Reading failed to judge: " in result.detail
        assert "KeyError: 'right 9' (test_contract.py, line " in result.detail
    details = {result.rule: result.detail for result in check_task(Collapsing())}
    assert (
        "RuntimeError: the corridor fell in (test_contract.py, line"
        in (details["every response can be read"])
    )
    assert not any("\n" in detail for detail in details.values())


def test_a_rule_is_broken_by_broken_only() -> None:
    def rule(number: int) -> str:
        if number % 2:
            raise Broken(f"{number} is\nodd")
        return f"{number} is even"

    assert tried({"even": rule}, 2) == [("even", "PASS", "2 is even")]
    assert tried({"even": rule}, 3) == [("even", "FAIL", "3 is odd")]
    ((_, status, detail),) = tried({"even": rule}, "x")  # type: ignore[arg-type]
    assert status == "FAIL"
    assert detail.startswith("raised TypeError: not all arguments converted")


def ended(monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    """The exit status of the command line."""
    monkeypatch.setattr(sys, "argv", ["rlhf-testbed", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code


def test_the_command_prints_every_rule_and_its_status_is_the_outcome(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, "check", "scripted", "--task", "corridor") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "PASS  scripted  it trains or is held out, by type: trains"
    assert lines[-1] == f"{len(OVERSEER_RULES)} of {len(OVERSEER_RULES)} rules hold"
    assert ended(monkeypatch, "check", "test_contract:Peeping", "--task", "corridor") == 1
    said = capsys.readouterr().out
    assert "FAIL  test_contract:Peeping  the view is all that counts: on corridor at κ = 0" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nobody"], "command line: 'nobody' is unknown (there are: corridor, "),
        (["json:dumps"], "json:dumps: is no subclass of rlhf_testbed.tasks.base.Task or rlhf_test"),
        (["nowhere.at:All"], "module nowhere.at can't be imported"),
        (["corridor", "--task", "corridor"], "--task is for overseers, and corridor is a task"),
        (["scripted", "--task", "scripted"], "--task 'scripted' is unknown"),
    ],
)
def test_the_command_answers_bad_input_with_status_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    assert ended(monkeypatch, "check", *words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
