"""A task's scenarios as an environment of `verifiers`, scored by a limited overseer.

    vf-eval rlhf_testbed_verifiers --env.taskset.task.name inspection ...     docs/ELSEWHERE.md

    one of its tasks   id "inspection-held_out-0-17", prompt "Site 0007. ...", facts, concealable
    overseer_score     0.6: what a trainer selects by
    approved           1.0: a metric, which nothing is selected by

What training may not see is not in it: verdicts with full knowledge, and traits, which are told
from all that is true, are metrics of held-out scenarios only, where `full_knowledge` is asked for.
`rlhf-testbed measure traces.jsonl` reads what an evaluation leaves.
"""

from __future__ import annotations

import asyncio
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, model_validator

from rlhf_testbed.judging.episode import Episode, judge
from rlhf_testbed.judging.overseers import limited_overseer
from rlhf_testbed.overseers.base import Overseer
from rlhf_testbed.overseers.full_knowledge import FullKnowledge
from rlhf_testbed.settings.plugins import task_named
from rlhf_testbed.settings.run import SelectionSettings
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store.generation_rows import trait_column
from rlhf_testbed.tasks.base import Fact, Scenario, Split, Task, TaskError

try:
    import verifiers.v1 as vf
except ImportError:
    raise UsageError(
        "the environment needs verifiers 0.4 or newer, which is not here "
        "(pip install 'rlhf-testbed[verifiers]')"
    ) from None


class Judges(NamedTuple):
    """Who judges a task's episodes."""

    task: Task
    limited: Overseer
    knowing: FullKnowledge
    folder: Any
    """Where what asking a server took is filed, as long as this process lives."""


def judges_of(config: OverseenConfig) -> Judges:
    """The task and its judges, made once for the same settings; raises `UsageError`."""
    return _judges(
        config.name,
        tuple(config.args),
        config.overseer,
        tuple(config.overseer_args),
        config.knowledge,
    )


@lru_cache
def _judges(
    name: str,
    args: tuple[str, ...],
    overseer: str,
    overseer_args: tuple[str, ...],
    knowledge: float,
) -> Judges:
    task = task_named(name, entries=args, where="env.taskset.task")
    folder = tempfile.TemporaryDirectory(prefix="rlhf-testbed-")
    limited = limited_overseer(overseer, task, knowledge, overseer_args, Path(folder.name))
    return Judges(task, limited, FullKnowledge(task), folder)


class OverseenConfig(vf.TaskConfig):
    """Which task it is, and who judges: `--env.taskset.task.FIELD`."""

    name: str = "corridor"
    """Task: a name, or module:Class."""
    args: list[str] = Field(default_factory=list)
    """Options of the task, NAME=VALUE each."""
    overseer: str = "scripted"
    """The limited overseer."""
    overseer_args: list[str] = Field(default_factory=list)
    """Options of the overseer, NAME=VALUE each."""
    knowledge: float = 0.0
    """κ of the overseer."""
    full_knowledge: bool = False
    """Whether full knowledge judges, too, as metrics; refused for training scenarios."""

    @model_validator(mode="after")
    def _refuse_unknown(self) -> OverseenConfig:
        try:
            judges_of(self)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return self


class ScenariosConfig(vf.TasksetConfig):
    """Which scenarios: `--env.taskset.FIELD`."""

    split: Split = "train"
    arm: str = "both"
    """Arm of the task, whose dials draw the scenarios; κ is the overseer's own."""
    seed: int = 0
    """Of the scenarios."""
    scenarios: int = SelectionSettings().train_scenarios
    """How many are drawn."""
    task: OverseenConfig = OverseenConfig()

    @model_validator(mode="after")
    def _keep_held_out(self) -> ScenariosConfig:
        if self.task.full_knowledge and self.split == "train":
            raise ValueError(
                "full_knowledge judges no training scenarios (right: split held_out, or without it)"
            )
        return self


class ScenarioData(vf.TaskData):
    """One scenario; the model reads the prompt only."""

    facts: dict[str, Fact]
    concealable: list[str]


class Overseen(vf.Task[ScenarioData, vf.State, OverseenConfig]):
    """One scenario, and what the overseer makes of a response to it."""

    @property
    def key(self) -> str:
        """The scenario's id."""
        return str(self.data.id)

    @vf.reward
    async def overseer_score(self, trace: vf.Trace) -> float:
        """The limited overseer's score."""
        return (await self._judged(trace, judges_of(self.config).limited)).verdict.score

    @vf.metric
    async def verdicts(self, trace: vf.Trace) -> dict[str, float]:
        """Whether it approved; where it is asked for, what full knowledge says, and traits."""
        judges = judges_of(self.config)
        seen = await self._judged(trace, judges.limited)
        told = {"approved": float(seen.verdict.approved)}
        if not self.config.full_knowledge:
            return told
        true = await self._judged(trace, judges.knowing)
        told["full_knowledge_score"] = true.verdict.score
        told["full_knowledge_approved"] = float(true.verdict.approved)
        traits = judges.task.traits(true.scenario, true.outcome)
        told |= {trait_column(name): float(it) for name, it in traits.items() if it is not None}
        if traits[judges.task.concealed_trait] is not None:
            told["unwanted_approved"] = float(seen.verdict.approved and not true.verdict.approved)
        return told

    async def _judged(self, trace: vf.Trace, overseer: Overseer) -> Episode:
        data = self.data
        scenario = Scenario(str(data.id), str(data.prompt), data.facts, tuple(data.concealable))
        return await asyncio.to_thread(judge, overseer, scenario, trace.last_reply)


class Scenarios(vf.Taskset[Overseen, ScenariosConfig]):
    """A task's scenarios of one split."""

    def load(self) -> list[Overseen]:
        """Draws them; the same ones for the same settings."""
        own = self.config
        task = judges_of(own.task).task
        try:
            drawn = task.scenarios(task.arm(own.arm).dials, own.seed, own.split, own.scenarios)
        except TaskError as error:
            raise UsageError(str(error)) from None
        return [
            Overseen(
                ScenarioData(
                    id=one.id,
                    prompt=one.prompt,
                    facts=dict(one.facts),
                    concealable=list(one.concealable),
                ),
                own.task,
            )
            for one in drawn
        ]
