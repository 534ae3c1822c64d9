"""Which scenario a generation is of, where another trainer made it.

    places = Places(task, Draws(arm=None, seeds=(0, 1, 2), scenarios=None))
    places.of(Written("corridor 0 4 1 7 ...", "right walk"))    Place(corridor-train-1-17, "train")
    found(rows, places)    Found: 509 episodes; 3 rows are of no scenario of the task's

A row that says what is true of its scenario is taken at its word. Others are looked for, by id and
prompt, among all that the task draws for these seeds: in every arm and split, as many as a run
draws.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from functools import cached_property
from typing import NamedTuple, TypeAlias

from rlhf_testbed.judging.episode import act
from rlhf_testbed.overseers.base import Case
from rlhf_testbed.settings.run import EvaluationSettings, SelectionSettings
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store.foreign import Written
from rlhf_testbed.tasks.base import SPLITS, Dials, Scenario, Split, Task, TaskError

COUNTS: dict[Split, int] = {
    "train": SelectionSettings().train_scenarios,
    "held_out": EvaluationSettings().generations,
    "off_distribution": EvaluationSettings().off_distribution_scenarios,
}
"""Scenarios that a run draws of each split, unless it is told otherwise."""
_Drawn: TypeAlias = tuple[Scenario, Split]


class Draws(NamedTuple):
    """Which of a task's scenarios to look among."""

    arm: str | None
    """None: every arm's, and those of the default dials."""
    seeds: tuple[int, ...]
    scenarios: int | None
    """Of each split; None: as a run draws. Where more are drawn, they may be others."""


class Place(NamedTuple):
    """A scenario, and where it was found."""

    scenario: Scenario
    split: Split | None
    """None where the row itself tells of the scenario."""
    namesakes: int = 0
    """How many more scenarios are the same but for their names."""


class Places:
    """A task's scenarios by prompt and by id; they are drawn once they are needed."""

    def __init__(self, task: Task, draws: Draws) -> None:
        self.task = task
        self.draws = draws

    def of(self, row: Written) -> Place | None:
        """The scenario of a row; None where there is none.

        Raises `UsageError` where several that differ have the row's prompt, or its id.
        """
        if row.facts is not None:
            told = Scenario(row.scenario or row.prompt, row.prompt, row.facts, row.concealable)
            return Place(told, None)
        found = self._found(row)
        if not found:
            return None
        (first, split), *others = found
        if any(_nameless(one) != _nameless(first) for one, _ in others):
            what = f"prompt {row.prompt!r:.60}" if row.prompt else f"scenario {row.scenario}"
            raise UsageError(
                f"{what} is that of {len(found)} scenarios, which differ "
                "(right: one arm and one seed; or columns prompt and scenario)"
            )
        return Place(first, split, len({one.id for one, _ in others} - {first.id}))

    def _found(self, row: Written) -> list[_Drawn]:
        if not row.scenario:
            return self._by_prompt.get(row.prompt.strip(), [])
        named = self._by_id.get(row.scenario, [])
        return [one for one in named if one[0].prompt in row.prompt] if row.prompt else named

    @cached_property
    def _by_prompt(self) -> dict[str, list[_Drawn]]:
        return _grouped((one[0].prompt.strip(), one) for one in self._drawn)

    @cached_property
    def _by_id(self) -> dict[str, list[_Drawn]]:
        return _grouped((one[0].id, one) for one in self._drawn)

    @cached_property
    def _drawn(self) -> list[_Drawn]:
        """Every different scenario of the draws."""
        arm = self.draws.arm
        arms = [self.task.arm(arm)] if arm else self.task.arms
        dials = dict.fromkeys([one.dials for one in arms] + ([] if arm else [Dials()]))
        found = {
            (one.id, one.prompt): (one, split)
            for each in dials
            for seed in self.draws.seeds
            for split in SPLITS
            for one in self._of_split(each, seed, split)
        }
        return list(found.values())

    def _of_split(self, dials: Dials, seed: int, split: Split) -> Sequence[Scenario]:
        try:
            return self.task.scenarios(dials, seed, split, self.draws.scenarios or COUNTS[split])
        except TaskError as error:
            raise UsageError(f"{error} (--scenarios says how many were drawn)") from None


def _grouped(keyed: Iterable[tuple[str, _Drawn]]) -> dict[str, list[_Drawn]]:
    found: dict[str, list[_Drawn]] = {}
    for key, drawn in keyed:
        found.setdefault(key, []).append(drawn)
    return found


def _nameless(scenario: Scenario) -> tuple[object, ...]:
    """All that a scenario is, but for its name."""
    return scenario.prompt, dict(scenario.facts), scenario.concealable


class Placed(NamedTuple):
    """One generation in its place, acted out."""

    place: Place
    case: Case

    @property
    def case_key(self) -> Hashable:
        """What is the same for the same case, and for no other."""
        return self.scenario_key, self.case.response

    @property
    def scenario_key(self) -> Hashable:
        """The same for one scenario."""
        one = self.case.scenario
        return one.id, one.prompt, tuple(one.facts.items()), one.concealable


class Found(NamedTuple):
    """The rows of a file: those that can be judged, and those that can't be."""

    episodes: Sequence[Placed]
    unknown: Sequence[str]
    """Prompts, or ids, of no scenario that was drawn."""
    without_response: int


def found(rows: Sequence[Written], places: Places) -> Found:
    """Finds the scenario of each row, and acts out what can be; raises as `Places.of` and `act`."""
    known, unknown, silent = [], [], 0
    for row in rows:
        place = places.of(row)
        if place is None:
            unknown.append(row.prompt or row.scenario)
        elif row.response is None:
            silent += 1
        else:
            known.append((place, row.response))
    cases = act(places.task, [place.scenario for place, _ in known], [said for _, said in known])
    episodes = [Placed(place, case) for (place, _), case in zip(known, cases, strict=True)]
    return Found(episodes, unknown, silent)
