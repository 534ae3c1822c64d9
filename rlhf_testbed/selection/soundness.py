"""Checks of every run, so that a model that breaks its numbers is told and not measured.

    before any selection     KL of the policy from its base policy is 0, the probability ratio 1
    before it and after it   samples fit the exact probabilities that the measures rest on
    after it                 the policy on disk has the probabilities of the one that was trained

    error: runs/both-3: before any selection the KL from the base policy is 0.1 nats, not 0 (...)

Each of these has been broken by a kind of model or a setting that was thought to work. They take
a fraction of a second for the small model, and leave every random generator as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from rlhf_testbed.policy.drawn import Drawn, fitting, fresh
from rlhf_testbed.policy.language import Language
from rlhf_testbed.policy.language_policy import longest_response
from rlhf_testbed.policy.scoring import response_log_probabilities
from rlhf_testbed.selection.generators import generators, set_generators
from rlhf_testbed.shared.arrays import Floats
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.tasks.base import Scenario, Task

if TYPE_CHECKING:
    from rlhf_testbed.selection.method import Method, Start
    from rlhf_testbed.store.run_directory import RunDirectory

DRAWN = 64
"""Samples that are tested before any selection."""
AFTER, OF_EACH = 16, 16
"""Scenarios on which the saved policy is tested, and samples of each: drawing costs less than
scoring."""
BY_CHANCE = 1e-6
"""p below which samples don't fit: once in a million runs by chance."""
SCORED = 4
"""Scenarios on which the saved policy is compared with the live one."""
RESPONSES = 64
"""Responses that it is compared on, at most."""
MOST_SCORED = 1000
"""Responses of a space that is scored whole, at most."""


class Allowed(NamedTuple):
    """By how much two figures that should be equal may differ, in nats."""

    kl: float
    """Mean over episodes. In half precision rounding has both signs, and is averaged out."""
    ratio: float
    """Of the logarithm of a token's probability ratio, the largest."""
    saved: float
    """Of a response's log-probability: the largest, or in half precision the mean under the live
    policy, since there what it never writes is known to within several nats only."""


SINGLE, HALF = Allowed(1e-3, 1e-2, 1e-2), Allowed(0.1, 0.7, 0.2)


class Begun(NamedTuple):
    """What is known of a method before anything was selected."""

    live: Language
    """The policy as it is."""
    drawn: Drawn | None
    """What the first update sampled, where its probabilities are those of temperature 1."""
    ratio: float
    """The largest |log probability ratio| of a token of the first update."""


def refuse_unsound_start(
    begun: Begun, task: Task, scenarios: Sequence[Scenario], kl: Sequence[float]
) -> None:
    """Raises `UsageError` where the first update is not the base policy's own.

    `scenarios`: what to sample on where nothing fit for it was `drawn`; `kl` [episodes]: KL of the
    policy that sampled from the base policy, in nats.
    """
    allowed, model = _allowed(begun.live), _family(begun.live)
    sizes = np.asarray(kl)
    off = abs(float(sizes.mean() if allowed is HALF else np.abs(sizes).mean()))
    if not off <= allowed.kl:
        raise UsageError(
            f"before any selection the KL from the base policy is {off:.2g} nats an episode, not 0 "
            f"({model}: dropout that stays on, or sampling that is not the policy's own)"
        )
    if not begun.ratio <= allowed.ratio:
        raise UsageError(
            f"before any selection a token's probability differs by {begun.ratio:.2g} nats from "
            f"that it was sampled with ({model}: dropout that stays on, or a cache that is not its)"
        )
    if begun.drawn is None:
        drawn = fresh(begun.live, scenarios[:DRAWN], longest_response(begun.live, task))
    else:
        told = begun.drawn
        drawn = told._replace(scenarios=told.scenarios[:DRAWN], ids=told.ids[:DRAWN])
    refuse_misfit(drawn, task, "before any selection")


def refuse_misfit(drawn: Drawn, task: Task, when: str) -> None:
    """Raises `UsageError` where samples don't fit their exact probabilities.

    A response space that is too large to score whole is not looked at.
    """
    if len(task.responses) > MOST_SCORED:
        return
    p = fitting(drawn, task)
    if p < BY_CHANCE:
        raise UsageError(
            f"{when} the policy's samples don't fit its exact probabilities, on which every "
            f"measure rests: p = {p:.1g} of {len(drawn.ids)} samples ({_family(drawn.language)}: "
            "sampling that is not the policy's own, or a tokenizer that writes otherwise than it "
            "reads)"
        )


class Kept(NamedTuple):
    """Log-probabilities of a live policy, to compare a saved one with: [scenarios, responses]."""

    scenarios: Sequence[Scenario]
    responses: Sequence[str]
    logs: Floats
    allowed: Allowed

    @classmethod
    def of(cls, live: Language, task: Task, scenarios: Sequence[Scenario]) -> Kept:
        """Those of the policy as it is."""
        few, step = scenarios[:SCORED], math.ceil(len(task.responses) / RESPONSES)
        responses = task.responses[::step]
        return cls(few, responses, _logs(live, few, responses), _allowed(live))

    def difference(self, saved: Language) -> float:
        """By how much another policy differs, in nats; see `Allowed.saved`."""
        found = np.abs(_logs(saved, self.scenarios, self.responses) - self.logs)
        if self.allowed is SINGLE:
            return float(found.max())
        chances = np.exp(self.logs - self.logs.max(axis=1, keepdims=True))
        return float((found * chances).sum(axis=1).max() / chances.sum(axis=1).min())


def refuse_other_policy(
    kept: Kept, saved: Language, adapter: Callable[[], Language] | None
) -> None:
    """Raises `UsageError` where the saved policy is not the live one.

    `adapter`: loads the adapter of a LoRA run, which may be right where merging went wrong.
    """
    off = kept.difference(saved)
    if off <= kept.allowed.saved:
        return
    told = ""
    if adapter is not None:
        right = kept.difference(adapter()) <= kept.allowed.saved
        told = "; the adapter alone is exact" if right else "; nor is the adapter"
    raise UsageError(
        f"the saved policy is not the one that was trained: log-probabilities differ by {off:.2g} "
        f"nats ({_family(saved)}: weights that are shared, or that are not saved{told})"
    )


@contextmanager
def undisturbed() -> Iterator[None]:
    """Leaves every random generator as it was."""
    before = generators()
    try:
        yield
    finally:
        set_generators(before)


@dataclass(frozen=True)
class Checks:
    """The checks of one training job, at its start and at its end."""

    method: Method[Any, Any]
    start_from: Start
    directory: RunDirectory

    def start(self, completions: Any, kl: Sequence[float]) -> None:
        """Before anything is selected; raises `UsageError`. All processes must call this."""
        with self._told(), undisturbed():
            begun = self.method.begun(completions)
            if begun is not None and self.method.is_main:
                refuse_unsound_start(begun, self._task, self._scenarios, kl)

    def save(self) -> None:
        """Saves the policy and compares what is on disk with what was live; raises `UsageError`.

        What was saved stays, and the run is not finished: nothing is measured of it.
        """
        with self._told(), undisturbed():
            live = self.method.live() if self.method.has_weights else None
            kept = None if live is None else Kept.of(live, self._task, self._scenarios)
            self.method.save(self.directory)
            saved = self.method.saved(self.directory)
            if kept is None or saved is None:
                return
            refuse_other_policy(kept, saved, self.method.saved_adapter(self.directory))
            asked = [each for each in self._scenarios[:AFTER] for _ in range(OF_EACH)]
            drawn = fresh(saved, asked, longest_response(saved, self._task))
            refuse_misfit(drawn, self._task, "as it was saved")

    @property
    def _task(self) -> Task:
        return self.start_from.run.task

    @property
    def _scenarios(self) -> Sequence[Scenario]:
        return self.start_from.scenarios

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except UsageError as error:
            raise UsageError(f"{self.directory.path}: {error}") from error


def _logs(language: Language, scenarios: Sequence[Scenario], responses: Sequence[str]) -> Floats:
    prompts = [scenario.prompt for scenario in scenarios]
    return response_log_probabilities(language, prompts, responses)


def _allowed(language: Language) -> Allowed:
    half = torch.finfo(language.model.dtype).bits < 32 or torch.is_autocast_enabled("cuda")
    return HALF if half else SINGLE


def _family(language: Language) -> str:
    return f"model family {language.model.config.model_type}"
