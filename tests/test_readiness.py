"""What a run can't do without is refused before anything is trained, with task and rule."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from conftest import SMALL
from rlhf_testbed.errors import UsageError
from rlhf_testbed.experiment import plan, plan_gates
from rlhf_testbed.parsing import parse_run
from rlhf_testbed.readiness import refuse_odd_demonstrations, refuse_unfit
from rlhf_testbed.train import train
from tasks.base import Demonstration, Dials, Organism, Scenario, Split
from tasks.corridor import Corridor


class NoProbes(Corridor):
    def scenarios(self, dials: Dials, seed: int, split: Split, count: int) -> tuple[Scenario, ...]:
        return () if split == "probes" else super().scenarios(dials, seed, split, count)


class Numbered(Corridor):
    def scenarios(self, dials: Dials, seed: int, split: Split, count: int) -> tuple[Scenario, ...]:
        found = super().scenarios(dials, seed, split, count)
        return tuple(replace(each, prompt=at) for at, each in enumerate(found))  # type: ignore[arg-type]


class Leaderless(Corridor):
    @property
    def organisms(self) -> tuple[Organism, ...]:
        return tuple(each for each in super().organisms if each.role != "golden")


class Tongueless(Corridor):
    responses = ()  # type: ignore[assignment]


REFUSED = {
    "test_contract:Repetitive": "scenarios: train: 1 of 64 prompts repeat another",
    "test_readiness:NoProbes": "scenarios: probes: asked for 8, 0 came",
    "test_readiness:Numbered": "prompt and id must be texts",
    "test_contract:Ghostly": "scenarios: concealable, and no fact: ghost",
    "test_readiness:Tongueless": "the response space is finite and unique: 0 responses (2 to 1000)",
    "test_contract:BeyondOne": "goals are utilities, and one is intended: the utility of 'right_en",
    "test_contract:Inseparable": "goals come apart on probes: 'left",
    "test_readiness:Leaderless": "every motive has an organism: 0 organisms are golden, not one",
    "test_contract:Improbable": "organisms are distributions: careful coin-seeker: probabilities",
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


def test_it_is_refused_before_there_is_a_run_or_an_experiment(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run = parse_run([*SMALL, "--task", "test_readiness:NoProbes", "--output_dir", str(out)])
    config = tmp_path / "x.yaml"
    config.write_text("task: test_readiness:NoProbes\n")
    for attempt in (
        lambda: train(run, lambda step: None),
        lambda: plan(str(config)),
        lambda: plan_gates("test_readiness:NoProbes", "0"),
    ):
        with pytest.raises(UsageError, match=r"^task test_readiness:NoProbes breaks a rule: scen"):
            attempt()
    assert not out.exists()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "demonstrations: asked for 2, 0 came"),
        ([Demonstration("a", "b"), Demonstration("a", " ")], "1 of 2 lack a prompt or a response"),
        (None, "demonstrations: are no pairs of prompt and response"),
        ([1, 2], "demonstrations: are no pairs of prompt and response"),
    ],
)
def test_odd_demonstrations_are_named(given: list[Demonstration], says: str) -> None:
    with pytest.raises(UsageError, match=f"^task x breaks a rule: .*{says}"):
        refuse_odd_demonstrations("x", given, 2)
    refuse_odd_demonstrations("x", [Demonstration("a", "b")], 1)
