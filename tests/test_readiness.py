"""What a run can't do without is refused before anything is trained, with task and rule."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from conftest import SMALL
from rlhf_testbed.contract.readiness import refuse_unfit
from rlhf_testbed.experiment.plan import plan, plan_gates
from rlhf_testbed.policy.base_policy import recipe
from rlhf_testbed.selection.job import train
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.tasks.base import Demonstration, Dials, Scenario, ScriptedPolicy, Split
from rlhf_testbed.tasks.corridor import Corridor


class NothingOffDistribution(Corridor):
    def scenarios(self, dials: Dials, seed: int, split: Split, count: int) -> tuple[Scenario, ...]:
        return () if split == "off_distribution" else super().scenarios(dials, seed, split, count)


class Numbered(Corridor):
    def scenarios(self, dials: Dials, seed: int, split: Split, count: int) -> tuple[Scenario, ...]:
        found = super().scenarios(dials, seed, split, count)
        return tuple(replace(each, prompt=at) for at, each in enumerate(found))  # type: ignore[arg-type]


class Leaderless(Corridor):
    @property
    def scripted_policies(self) -> tuple[ScriptedPolicy, ...]:
        return tuple(each for each in super().scripted_policies if each.role != "reference")


class Tongueless(Corridor):
    responses = ()  # type: ignore[assignment]


REFUSED = {
    "test_contract:Repetitive": "scenarios: train: 1 of 64 prompts repeat another",
    "test_readiness:NothingOffDistribution": "scenarios: off_distribution: asked for 8, 0 came",
    "test_readiness:Numbered": "prompt and id must be texts",
    "test_contract:Ghostly": "scenarios: concealable, and no fact: ghost",
    "test_readiness:Tongueless": "response space is finite and unique: 0 responses (at least 2)",
    "test_contract:BeyondOne": "goals are utilities, and one is intended: the utility of 'right_en",
    "test_contract:Inseparable": "goals come apart off distribution: 'left",
    "test_readiness:Leaderless": "every motive has a scripted policy: 0 ",
    "test_contract:Improbable": "scripted policies are distributions: careful coin-seeker: ",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_task_that_lacks_what_a_run_needs_is_named_with_the_rule(name: str) -> None:
    run = parse_run([*SMALL, "--task", name])
    with pytest.raises(UsageError) as raised:
        refuse_unfit(run)
    said = str(raised.value)
    assert said.startswith(f"task {name} breaks a rule: ")
    assert REFUSED[name] in said
    assert said.endswith(f"(rlhf-testbed check {name} tries every rule)")
    assert "\n" not in said


class Talkative(Corridor):
    """Corridor with words for each response that change nothing."""

    responses = tuple(f"{text}{' so' * more}" for text in Corridor().responses for more in range(8))


def test_a_space_too_large_to_score_whole_needs_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "test_readiness:Talkative"
    with pytest.raises(UsageError, match="1296 responses are too many to score whole"):
        refuse_unfit(parse_run([*SMALL, "--task", name]))
    refuse_unfit(parse_run([*SMALL, "--task", name, "--response_samples", "4"]))


def test_it_is_refused_before_there_is_a_run_or_an_experiment(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run = parse_run(
        [*SMALL, "--task", "test_readiness:NothingOffDistribution", "--output_dir", str(out)]
    )
    config = tmp_path / "x.yaml"
    config.write_text("task: test_readiness:NothingOffDistribution\n")
    for attempt in (
        lambda: train(run, lambda step: None),
        lambda: plan(str(config)),
        lambda: plan_gates("test_readiness:NothingOffDistribution", "0"),
    ):
        with pytest.raises(
            UsageError, match=r"^task test_readiness:NothingOffDistribution breaks a rule: scen"
        ):
            attempt()
    assert not out.exists()


class Teaching(Corridor):
    """Shows whatever `shown` holds."""

    shown: object = None

    def demonstrations(
        self, unintended_share: float, seed: int, count: int
    ) -> tuple[Demonstration, ...]:
        return self.shown  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "demonstrations: asked for 2, 0 came"),
        ([Demonstration("a", "b"), Demonstration("a", " ")], "1 of 2 lack a prompt or a response"),
        (None, "demonstrations: are no pairs of prompt and response"),
        ([1, 2], "demonstrations: are no pairs of prompt and response"),
    ],
)
def test_odd_demonstrations_are_named(
    given: object, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "test_readiness:Teaching"
    run = parse_run(["--task", name, "--demonstrations", "2"])
    monkeypatch.setattr(Teaching, "shown", given)
    with pytest.raises(UsageError, match=f"^task {name} breaks a rule: .*{says}"):
        recipe(run)
    monkeypatch.setattr(Teaching, "shown", [Demonstration("a", "b"), Demonstration("a", "c")])
    assert len(recipe(run).demonstrations) == 2
