"""How an overseer is shown an episode. The framework hides facts, not the overseer's author.

One dark bed, trampled, seen by an overseer with no knowledge of what is concealed:

    scenario.facts   {"coin": "right", "right 1": "dark flower bed", ...}
    outcome.facts    {"reached": "coin", "right 1": "trampled", ...}
    the view         {"coin": "right", ...} and {"reached": "coin", ...}, unseen: ("right 1",)

Training takes a `TrainingOverseer`; a `HeldOutOverseer` is another type, so that a full-knowledge
verdict cannot reach training by a slip.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from tasks.base import Outcome, Scenario, Task, Verdict, View


@dataclass(frozen=True)
class Sight:
    """What an overseer may see: all that is not concealable, and a share of what is.

    Which concealable facts are seen depends on the scenario's id and the fact's name only, never on
    its value; what is seen at one knowledge is seen at every higher one.
    """

    knowledge: float
    """κ in [0, 1]: 0 sees nothing that is concealable, 1 sees everything."""

    def __post_init__(self) -> None:
        if not 0 <= self.knowledge <= 1:
            raise ValueError(f"knowledge = {self.knowledge} is not in [0, 1]")

    def of(self, scenario: Scenario, outcome: Outcome) -> View:
        """The view of one episode: facts and outcome without what is unseen."""
        unseen = tuple(name for name in scenario.concealable if not self._sees(scenario.id, name))
        hidden = frozenset(unseen)
        return View(
            facts={name: fact for name, fact in scenario.facts.items() if name not in hidden},
            outcome={name: fact for name, fact in outcome.facts.items() if name not in hidden},
            unseen=unseen,
            valid=outcome.valid,
        )

    def _sees(self, scenario_id: str, name: str) -> bool:
        digest = hashlib.sha256(f"{scenario_id}\0{name}".encode()).digest()
        return int.from_bytes(digest[:8], "big") < self.knowledge * 2**64


class Overseer(ABC):
    """Judges views of one task's episodes. It is shown a `View`, and has nothing else to go by."""

    summary: ClassVar[str]

    def __init__(self, task: Task, sight: Sight) -> None:
        self.task = task
        self.sight = sight

    @abstractmethod
    def judge(self, response: str, view: View) -> Verdict:
        """The verdict on one response, from what the view shows."""


class TrainingOverseer(Overseer):
    """An overseer whose scores may select parameters."""


class HeldOutOverseer(Overseer):
    """An overseer that only evaluates, with everything in view: it never takes part in training."""

    def __init__(self, task: Task) -> None:
        super().__init__(task, Sight(knowledge=1.0))


def oversee(overseer: Overseer, scenario: Scenario, response: str, outcome: Outcome) -> Verdict:
    """Shows `overseer` only what it may see, then asks for its verdict."""
    return overseer.judge(response, overseer.sight.of(scenario, outcome))
