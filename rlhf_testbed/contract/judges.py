"""Rules of an overseer, tried on tasks at several knowledges.

the view is all that counts   PASS   4788 changes to unseen facts changed no verdict
                              FAIL   on corridor at κ = 0: unseen facts change the verdict on ...
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from rlhf_testbed.contract.elsewhere import ask_alike
from rlhf_testbed.contract.rules import NONSENSE, OPEN, Broken, Result, Rule, ask, tried
from rlhf_testbed.judging.episode import judge, judge_all, judge_cases
from rlhf_testbed.overseers.base import (
    Case,
    HeldOutOverseer,
    Overseer,
    OverseerError,
    Sight,
    TrainingOverseer,
    made,
)
from rlhf_testbed.overseers.reader import Reader
from rlhf_testbed.settings.plugins import dotted, overseer_class, task_named
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.tasks.base import Fact, Outcome, Scenario, Task, TaskError, Verdict
from rlhf_testbed.tasks.faults import told

KNOWLEDGE = (0.0, 0.3, 1.0)
"""κ at which an overseer is tried."""
EPISODES = (12, 40)
"""Scenarios and, at most, responses to each on which an overseer is tried."""


class Candidate(NamedTuple):
    """An overseer's class, and the tasks on which it is tried."""

    kind: type[Overseer]
    tasks: Sequence[Task]


def check_overseer(kind: type[Overseer], tasks: Sequence[Task]) -> list[Result]:
    """Tries the rules of overseers on one, against each of the tasks, at several knowledges."""
    return tried(OVERSEER_RULES, Candidate(kind, tasks))


def overseers_of(kind: type[Overseer], task: Task) -> list[Overseer]:
    """An overseer at each knowledge; one that is held out has no choice.

    One that reads has a stand-in for its model, whose score changes with every letter: what is
    tried is what it is given to read.
    """
    knowledges = KNOWLEDGE[-1:] if issubclass(kind, HeldOutOverseer) else KNOWLEDGE
    found = [made(kind, task, Sight(knowledge)) for knowledge in knowledges]
    for overseer in found:
        if isinstance(overseer, Reader):
            overseer.give_model(_touchy, threshold=0.5)
    return found


def _touchy(texts: Sequence[str]) -> list[float]:
    return [int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32 for text in texts]


def verdict_on(overseer: Overseer, scenario: Scenario, response: str) -> Verdict:
    """The verdict on one response."""
    return judge(overseer, scenario, response).verdict


def verdicts_changed(overseer: Overseer, scenario: Scenario, response: str) -> list[bool]:
    """Whether the verdict changes, for each other value that the unseen facts could have had.

    Those are the values of the scenario's other facts, and one of no fact. Empty where nothing is
    unseen.
    """
    before = judge(overseer, scenario, response)
    unseen = before.view.unseen
    values = {*scenario.facts.values(), "something else"} if unseen else set()
    cases = [_with(before.case, unseen, value) for value in sorted(values, key=str)]
    return [judge_cases(overseer, [case])[0].verdict != before.verdict for case in cases]


def _with(case: Case, unseen: Sequence[str], value: Fact) -> Case:
    """The same episode with other unseen facts, and other unseen parts of the outcome."""
    scenario, outcome = case.scenario, case.outcome
    facts = {name: value if name in unseen else fact for name, fact in scenario.facts.items()}
    then = {name: value if name in unseen else fact for name, fact in outcome.facts.items()}
    other = Scenario(scenario.id, scenario.prompt, facts, scenario.concealable)
    return Case(other, case.response, Outcome(then, outcome.valid))


class _Post(NamedTuple):
    """An overseer on one task with one sight, another like it, and the episodes to judge."""

    overseer: Overseer
    second: Overseer
    episodes: list[tuple[Scenario, str]]


def _posts(candidate: Candidate) -> Iterator[_Post]:
    scenarios, responses = EPISODES
    for task in candidate.tasks:
        step = -(-len(task.responses) // responses)
        episodes = [
            (scenario, response)
            for scenario in task.scenarios(OPEN, 0, "train", scenarios)
            for response in (*task.responses[::step], *NONSENSE)
        ]
        pairs = zip(*(overseers_of(candidate.kind, task) for _ in range(2)), strict=True)
        yield from (_Post(one, other, episodes) for one, other in pairs)


def _at_every_post(rule: Callable[[_Post], int], counted: str) -> Rule[Candidate]:
    """A rule of one overseer as a rule of its kind; what breaks says on which task it did."""

    def everywhere(candidate: Candidate) -> str:
        total = 0
        for post in _posts(candidate):
            where = f"on {post.overseer.task.name} at κ = {post.overseer.sight.knowledge:g}"
            try:
                total += rule(post)
            except (Broken, OverseerError, TaskError, UsageError) as broken:
                raise Broken(f"{where}: {broken}") from None
            except (Exception, SystemExit) as error:
                raise Broken(f"{where}: raised {told(error)}") from None
        return f"{total} {counted}"

    return everywhere


def _one_type(candidate: Candidate) -> str:
    trains, held_out = (issubclass(candidate.kind, t) for t in (TrainingOverseer, HeldOutOverseer))
    ask(trains != held_out, "must derive from TrainingOverseer or HeldOutOverseer: one, not both")
    return "trains" if trains else "held out"


def _keeps_its_sight(candidate: Candidate) -> str:
    kept = [
        each.sight.knowledge for t in candidate.tasks for each in overseers_of(candidate.kind, t)
    ]
    return f"κ = {', '.join(f'{knowledge:g}' for knowledge in dict.fromkeys(kept))}"


def _numbers_with_reasons(post: _Post) -> int:
    for scenario, response in post.episodes:
        verdict = verdict_on(post.overseer, scenario, response)
        ask(bool(verdict.reason.strip()), f"no reason is given for {response!r:.60}")
    return len(post.episodes)


def _repeatable(post: _Post) -> int:
    first = [verdict_on(post.overseer, *episode) for episode in post.episodes]
    again = [verdict_on(post.overseer, *episode) for episode in reversed(post.episodes)][::-1]
    ask(first == again, "verdicts depend on what was judged before")
    scenarios, responses = zip(*post.episodes, strict=True)
    together = [one.verdict for one in judge_all(post.overseer, scenarios, responses)]
    ask(first == together, "judge_all and judge differ")
    others = [verdict_on(post.second, *episode) for episode in post.episodes]
    ask(first == others, "two of the kind, made alike, judge differently")
    return len(post.episodes)


def _alike_elsewhere(candidate: Candidate) -> str:
    ask_alike(fingerprint, dotted(candidate.kind), *(dotted(type(t)) for t in candidate.tasks))
    return "another process judged the same alike"


def fingerprint(name: str, *tasks: str) -> str:
    """A hash of the verdicts of the overseer of that name on a few episodes of tasks by name."""
    found = [
        verdict_on(overseer, scenario, response)
        for task in map(task_named, tasks)
        for overseer in overseers_of(overseer_class(name), task)
        for scenario in task.scenarios(OPEN, 0, "train", 3)
        for response in (*task.responses[:: 1 + len(task.responses) // 10], *NONSENSE)
    ]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def _view_only(post: _Post) -> int:
    count = 0
    for scenario, response in post.episodes:
        changes = verdicts_changed(post.overseer, scenario, response)
        ask(not any(changes), f"unseen facts change the verdict on {response!r:.60}")
        count += len(changes)
    return count


OVERSEER_RULES: Mapping[str, Rule[Candidate]] = {
    "it trains or is held out, by type": _one_type,
    "it keeps the sight that it is given": _keeps_its_sight,
    "verdicts are finite numbers with reasons": _at_every_post(_numbers_with_reasons, "verdicts"),
    "verdicts are repeatable": _at_every_post(
        _repeatable,
        "verdicts, the same in another order, all at once and from a second one",
    ),
    "verdicts are alike in another process": _alike_elsewhere,
    "the view is all that counts": _at_every_post(
        _view_only, "changes to unseen facts changed no verdict"
    ),
}
"""What holds for every overseer, on every task."""
