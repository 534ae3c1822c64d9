"""Rules of a task's data: arms, scenarios and demonstrations.

prompts are unique    PASS   300 in each split
                      FAIL   train: 12 of 300 prompts repeat another
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from rlhf_testbed.contract.elsewhere import ask_alike
from rlhf_testbed.contract.rules import OPEN, Broken, Rule, ask
from rlhf_testbed.settings.plugins import dotted, task_named
from rlhf_testbed.tasks.base import (
    SPLITS,
    Arm,
    Dials,
    Scenario,
    Split,
    Task,
    TaskError,
    refuse_odd_demonstrations,
)
from rlhf_testbed.tasks.facts import plain, refuse_odd_facts

ARMS = ("neither", "selection_only", "goal_only", "both", "habit")
NEEDED: Mapping[Split, int] = {"train": 512, "held_out": 512, "off_distribution": 64}
"""Scenarios that a run draws in every arm, by the default settings."""
NEEDED_BY_GATES = 2560
"""Training scenarios that the gates draw in the open setting."""
SAMPLE = 300


def _five_arms(task: Task) -> str:
    names = [arm.name for arm in task.arms]
    missing = [name for name in ARMS if name not in names]
    ask(not missing, f"there is no arm {', '.join(missing)}")
    ask(len(set(names)) == len(names), f"an arm's name is there twice: {', '.join(names)}")
    for arm in task.arms:
        ask(isinstance(arm, Arm) and isinstance(arm.dials, Dials), f"{arm!r:.60} is no Arm")
        ask(bool(arm.summary.strip()), f"arm {arm.name} does not say what it is for")
    honest = [arm.name for arm in task.arms if is_honest(arm.dials)]
    ask(bool(honest), "no arm has κ = α = δ = 1 (gate 2 needs one)")
    return f"{', '.join(names)}; {honest[0]} has κ = α = δ = 1"


def is_honest(dials: Dials) -> bool:
    """Whether all is seen, goals come apart and habits are of no use: gate 2 is decided there."""
    return dials.knowledge == dials.randomised == dials.diversity == 1


def _scenarios_follow_the_seed(task: Task) -> str:
    for split in SPLITS:
        first = task.scenarios(OPEN, 3, split, 100)
        for other in (task, type(task)()):
            ask(first == other.scenarios(OPEN, 3, split, 100), f"{split}: one seed, two results")
        ask(first != task.scenarios(OPEN, 4, split, 100), f"{split}: two seeds, one result")
    return "the same with one seed, others with another"


def _alike_in_another_process(task: Task) -> str:
    ask_alike(fingerprint, dotted(type(task)))
    return "another process made the same scenarios and demonstrations"


def _prompts_are_unique(task: Task) -> str:
    for split in SPLITS:
        refuse_repeated(split, task.scenarios(OPEN, 0, split, SAMPLE), SAMPLE)
    return f"{SAMPLE} in each split"


def refuse_repeated(split: Split, scenarios: Sequence[Scenario], count: int) -> None:
    """Raises `Broken` unless these are `count` scenarios, each with a prompt and an id of its own.

    Prompts that differ in spaces only are the same.
    """
    odd = [each for each in scenarios if not isinstance(each, Scenario)]
    ask(not odd, f"{split}: {odd[:1]!r:.60} is no Scenario")
    mute = [s for s in scenarios if not (isinstance(s.prompt, str) and isinstance(s.id, str))]
    ask(not mute, f"{split}: {mute[:1]!r:.60}: prompt and id must be texts")
    ask(len(scenarios) == count, f"{split}: asked for {count}, {len(scenarios)} came")
    for what, found in (
        ("prompts", {" ".join(scenario.prompt.split()) for scenario in scenarios}),
        ("ids", {scenario.id for scenario in scenarios}),
    ):
        twice = count - len(found)
        ask(not twice, f"{split}: {twice} of {count} {what} repeat another")
    for scenario in scenarios:
        _refuse_odd_facts(scenario)


def _splits_share_no_prompt(task: Task) -> str:
    prompts = {s: {x.prompt for x in task.scenarios(OPEN, 0, s, SAMPLE)} for s in SPLITS}
    for one, other in (
        ("train", "held_out"),
        ("train", "off_distribution"),
        ("held_out", "off_distribution"),
    ):
        shared = len(prompts[one] & prompts[other])  # type: ignore[index]
        ask(not shared, f"{shared} of {SAMPLE} prompts of {one} are in {other}, too")
    return f"{SAMPLE} in each split"


def _there_are_enough(task: Task) -> str:
    for arm in task.arms:
        for split, count in NEEDED.items():
            found = len(task.scenarios(arm.dials, 0, split, count))
            ask(found == count, f"arm {arm.name}: {found} of {count} {split} scenarios")
    found = len(task.scenarios(OPEN, 0, "train", NEEDED_BY_GATES))
    ask(found == NEEDED_BY_GATES, f"κ = 0, α = δ = 1: {found} of {NEEDED_BY_GATES} for the gates")
    wanted = ", ".join(f"{count} {split}" for split, count in NEEDED.items())
    return f"{wanted} in every arm; {NEEDED_BY_GATES} for the gates"


def _facts_are_plain(task: Task) -> str:
    for split in SPLITS:
        for scenario in task.scenarios(OPEN, 0, split, 100):
            _refuse_odd_facts(scenario)
    return "texts and numbers; what is concealable is a fact"


def _refuse_odd_facts(scenario: Scenario) -> None:
    ask(bool(scenario.prompt.strip()), f"{scenario.id} has no prompt")
    for what, text in (("prompt", scenario.prompt), ("id", scenario.id)):
        ask(plain(text), f"{what} {text!r:.60} can't be written in UTF-8")
    try:
        refuse_odd_facts(scenario.facts)
    except TaskError as error:
        raise Broken(f"{scenario.id}: {error}") from None
    strays = set(scenario.concealable) - set(scenario.facts)
    ask(not strays, f"concealable, and no fact: {', '.join(map(str, sorted(strays)))}")


def _prompts_keep_sight_to_themselves(task: Task) -> str:
    blind, seeing = (
        [s.prompt for s in task.scenarios(Dials(knowledge, 1, 1), 5, "train", 100)]
        for knowledge in (0, 1)
    )
    ask(blind == seeing, "κ changes what the model reads")
    return "the same at κ = 0 and 1"


def _off_distribution_ignores_the_dials(task: Task) -> str:
    first, second = (
        task.scenarios(d, 2, "off_distribution", 64) for d in (OPEN, Dials(1, 0, 0, 1))
    )
    ask(first == second, "off-distribution scenarios differ with the dials")
    return "the same at both ends of every dial"


def _demonstrations_follow_seed_and_share(task: Task) -> str:
    first = task.demonstrations(0.0, 1, 500)
    refuse_odd_demonstrations(first, 500)
    ask(first == task.demonstrations(0.0, 1, 500), "one seed, two results")
    ask(first != task.demonstrations(0.0, 2, 500), "two seeds, one result")
    ask(first != task.demonstrations(1.0, 1, 500), "ρ = 0 and ρ = 1 show the same")
    return "500, other ones with another seed or ρ"


def _demonstrations_keep_to_training(task: Task) -> str:
    shown = {prompt for prompt, _ in task.demonstrations(0.3, 0, 2000)}
    for split in ("held_out", "off_distribution"):
        kept = {s.prompt for s in task.scenarios(OPEN, 0, split, SAMPLE)}
        ask(not shown & kept, f"{split}: {len(shown & kept)} of {SAMPLE} prompts are demonstrated")
    return f"none of {SAMPLE} held-out prompts or off-distribution scenarios is demonstrated"


def fingerprint(name: str) -> str:
    """A hash of what the task of that name makes from fixed seeds."""
    task = task_named(name)
    made = [
        [scenario.id, scenario.prompt, dict(scenario.facts), scenario.concealable]
        for split in SPLITS
        for scenario in task.scenarios(OPEN, 0, split, 50)
    ]
    shown = task.demonstrations(0.3, 0, 200)
    return hashlib.sha256(json.dumps([made, shown]).encode()).hexdigest()


SCENARIO_RULES: Mapping[str, Rule[Task]] = {
    "the five arms are there": _five_arms,
    "scenarios follow the seed": _scenarios_follow_the_seed,
    "scenarios are alike in another process": _alike_in_another_process,
    "prompts are unique": _prompts_are_unique,
    "splits share no prompt": _splits_share_no_prompt,
    "there are enough scenarios and off-distribution scenarios": _there_are_enough,
    "facts are plain": _facts_are_plain,
    "prompts don't tell what is seen": _prompts_keep_sight_to_themselves,
    "off-distribution scenarios don't depend on the dials": _off_distribution_ignores_the_dials,
    "demonstrations follow seed and base policy": _demonstrations_follow_seed_and_share,
    "demonstrations keep to training": _demonstrations_keep_to_training,
}
"""What holds for the data of every task."""
