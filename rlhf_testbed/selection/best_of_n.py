"""Best of n: selection without any training. Of n completions the best by the overseer stays.

    --method best_of_n --completions 16

    one scenario, n = 4, scores 0.4, 1.0, 0.7, 1.0    the second stays: fitness -1, 3, -1, -1

No parameter changes: the selected policy is the base policy behind the same filter, and it is
measured as any other. Its probabilities are exact: with F(u) the chance that the base policy's
score is at most u, the best of n has a score of at most u with chance F(u)^n, and among equal
scores the base policy's own odds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rlhf_testbed.judging.episode import judge_all
from rlhf_testbed.overseers.base import TrainingOverseer
from rlhf_testbed.policy.policy import Policy
from rlhf_testbed.selection.method import Completions, Fitness, Method, Start, State
from rlhf_testbed.selection.scenario_order import SEEDS_A_PROCESS, scenario_at, update_seed
from rlhf_testbed.settings.fields import COUNT, MethodSettings, Where, setting
from rlhf_testbed.shared.arrays import Floats
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.tasks.base import Scenario, Verdict

if TYPE_CHECKING:
    from rlhf_testbed.policy.language import Language
    from rlhf_testbed.policy.language_policy import LanguagePolicy
    from rlhf_testbed.settings.run import RunConfig
    from rlhf_testbed.store.ledger import Row
    from rlhf_testbed.store.run_directory import RunDirectory

UNREADABLE = ""
"""Stands for all that the base policy writes outside the response space."""


@dataclass
class BestOfNSettings(MethodSettings):
    """How many completions the overseer chooses from."""

    completions: int = setting(
        16, "n: completions to each scenario, of which the one that scores best stays.", COUNT
    )

    def scenarios(self, batch: int) -> int:
        """Different scenarios in a batch of so many episodes."""
        return max(1, batch // self.completions)

    def check(self, where: Where, batch: int) -> None:
        """Raises `UsageError` where an update is no whole number of scenarios."""
        if batch % self.completions:
            raise UsageError(
                f"{where('completions')}: completions = {self.completions} does not divide an "
                f"update of {batch} episodes (per_device_train_batch_size)"
            )


class BestOfN(Method[Completions, Fitness]):
    """The base policy behind a filter."""

    summary = "best of n: the completion that the overseer scores best stays, nothing is trained"
    settings = BestOfNSettings
    has_weights = False

    def __init__(self, start: Start) -> None:
        from rlhf_testbed.policy.base_policy import load_base_policy
        from rlhf_testbed.policy.language_policy import LanguagePolicy, longest_response
        from rlhf_testbed.selection.processes import processes

        selection = start.run.selection
        language = load_base_policy(start.base)
        length = selection.response_length or longest_response(language, start.run.task)
        self.run = start.run
        self.n = _settings(start.run).completions
        self.base = LanguagePolicy(language, length)
        self.training = start.scenarios
        self.process = processes(selection.use_cpu)
        self.is_main = self.process.is_main_process
        each = selection.per_device_train_batch_size
        self.episodes_per_update = each * self.process.num_processes
        self.updates = -(-selection.total_episodes // self.episodes_per_update)

    def sample(self, update: int) -> Completions:
        """`completions` responses of the base policy to each of the next scenarios, this process's
        share."""
        here, processes = self.process.process_index, self.process.num_processes
        count = self.episodes_per_update // self.n // processes
        first = ((update - 1) * processes + here) * count
        places = range(first, first + count)
        chosen = [self.training[scenario_at(self.training, self.run.seed, at)] for at in places]
        repeated = [scenario for scenario in chosen for _ in range(self.n)]
        seed = update_seed(self.run.seed, update) + SEEDS_A_PROCESS * here
        return Completions(repeated, self.base.sample(repeated, seed))

    def fitness(self, completions: Completions, verdicts: Sequence[Verdict]) -> Fitness:
        """What stays has n - 1, the others -1: how often each is taken, less one."""
        scores = np.array([verdict.score for verdict in verdicts]).reshape(-1, self.n)
        values = np.full(scores.shape, -1.0)
        values[np.arange(len(scores)), scores.argmax(axis=1)] += self.n
        return Fitness(values.ravel().tolist(), [0.0] * len(verdicts))

    def select(self, completions: Completions, fitness: Fitness) -> Mapping[str, float]:
        """Nothing changes; the next completions come from the same base policy."""
        return {}

    def gathered(self, rows: list[Row]) -> list[Row]:
        """The rows of all processes, by accelerate."""
        from accelerate.utils import gather_object

        found: list[Row] = gather_object(rows)
        return found

    def state(self) -> State:
        """Nothing changes: the seed of an update comes from its number."""
        return State({}, {})

    def live(self) -> Language:
        """The base policy, which every completion comes from."""
        return self.base.language

    def save(self, directory: RunDirectory) -> None:
        """Nothing: the run names its base policy, and its settings say n."""

    @classmethod
    def policy(
        cls, run: RunConfig, directory: RunDirectory, base: LanguagePolicy, by: TrainingOverseer
    ) -> Policy:
        """The base policy behind the filter."""
        return Filtered(base, by, _settings(run).completions)


@dataclass(frozen=True)
class Filtered(Policy):
    """The best of n completions of a policy, by a training overseer's score."""

    base: Policy
    overseer: TrainingOverseer
    n: int

    def log_probs(self, scenarios: Sequence[Scenario], responses: Sequence[str]) -> Floats:
        """Exact, but that all outside of `responses` counts as one response that can't be read."""
        asked = [scenario for scenario in scenarios for _ in (*responses, UNREADABLE)]
        texts = [text for _ in scenarios for text in (*responses, UNREADABLE)]
        judged = judge_all(self.overseer, asked, texts)
        scores = np.array([episode.verdict.score for episode in judged])
        chances = np.exp(self.base.log_probs(scenarios, responses))
        rest = np.maximum(0.0, 1 - chances.sum(axis=1, keepdims=True))
        every = np.concatenate([chances, rest], axis=1)
        rows = zip(every, scores.reshape(every.shape), strict=True)
        with np.errstate(divide="ignore"):
            logs: Floats = np.log([best_of_n_chances(row, told, self.n)[:-1] for row, told in rows])
        return logs

    def sample(self, scenarios: Sequence[Scenario], seed: int) -> list[str]:
        """The best of n samples of the base policy; of equals the first."""
        repeated = [scenario for scenario in scenarios for _ in range(self.n)]
        texts = self.base.sample(repeated, seed)
        judged = judge_all(self.overseer, repeated, texts)
        scores = np.array([episode.verdict.score for episode in judged]).reshape(-1, self.n)
        first = np.arange(len(scores)) * self.n
        return [texts[at] for at in first + scores.argmax(axis=1)]


def best_of_n_chances(chances: Floats, scores: Floats, n: int) -> Floats:
    """The chance of each response to be the best of n, [responses], from its own chance and score.

    P(r) = (F(u)^n - F(u-)^n) p(r) / p(score = u), with u the score of r and F(u) the chance of a
    score of at most u; among equal scores the first sample stays, which is any of them.

    >>> best_of_n_chances(np.array([0.5, 0.5]), np.array([0.0, 1.0]), n=2).tolist()
    [0.25, 0.75]
    """
    found = np.zeros_like(chances)
    below = 0.0
    for score in np.unique(scores):
        tied = scores == score
        level = float(chances[tied].sum())
        upto = min(1.0, below + level)
        if level > 0:
            found[tied] = chances[tied] / level * (upto**n - below**n)
        below = upto
    return found


def _settings(run: RunConfig) -> BestOfNSettings:
    assert isinstance(run.method, BestOfNSettings)  # the class names both
    return run.method
