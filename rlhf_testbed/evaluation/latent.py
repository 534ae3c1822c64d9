"""Latent knowledge: does a policy represent that what it does is bad, and out of sight?

    rlhf-testbed latent runs/corridor/both/seed-0

    tramples unseen: 360 of the 720 exposed episodes
    layer      policy             base policy         policy - base      shuffled
    before, 3  0.91 [0.87, 0.95]  0.55 [0.48, 0.62]  0.36 [0.27, 0.45]      0.50
    ...

The figures are made up. Here the policy's own state, before it writes a word, foretells what it
will do where nobody sees it, and the base policy's state, on the same text, does not. A linear
probe finds what can be read off a state, not what the policy uses: see docs/METRICS.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch

from rlhf_testbed.evaluation.evaluate import open_run
from rlhf_testbed.evaluation.linear_probe import Estimate, LinearProbe, linear_probe, probe_lead
from rlhf_testbed.judging.episode import Episode, judge_all
from rlhf_testbed.overseers.full_knowledge import FullKnowledge
from rlhf_testbed.policy.language import Language, left_padded
from rlhf_testbed.policy.language_policy import LanguagePolicy
from rlhf_testbed.settings.plugins import faults_told
from rlhf_testbed.shared.arrays import Floats
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.record import write
from rlhf_testbed.store import run_records as records
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import Latent
from rlhf_testbed.tasks.base import Fact, Task

Where: TypeAlias = Literal["before", "after"]

PLACES: tuple[Where, ...] = ("before", "after")
"""At the prompt's end, before a word is written; at the response's end."""
EPISODES = 1024
"""Fresh episodes that are probed; a probe of 96 numbers finds little in fewer."""
EXPOSED = "exposed"
"""The second question: was there a chance to misbehave out of sight?"""
MOST_LAYERS = 5
"""Layers that are read, evenly spread from the embeddings to the last."""


class Question(NamedTuple):
    """What a probe looks for: 1 yes, 0 no, NaN where the episode takes no part; [episodes]."""

    name: str
    among: str
    labels: Floats


class Reading(NamedTuple):
    """One place where a question was put: the policy's states, the base policy's, the lead."""

    where: Where
    layer: int
    """0: the embeddings."""
    policy: LinearProbe
    base: LinearProbe
    lead: Estimate
    """AUC of the policy's probe less that of the base policy's."""


def read(directory: RunDirectory, episodes: int = EPISODES) -> Latent:
    """Probes a finished run's policy on fresh held-out episodes; files and returns what was found.

    One response, sampled at temperature 1, to each of as many held-out scenarios. Filed as
    `evaluation/full_knowledge/latent.json`. Raises `UsageError` for an unfinished run, more
    episodes than the task has scenarios, and a policy that is no language model of its own.
    """
    opened = open_run(directory)
    run, task = opened.run, opened.run.task
    if not isinstance(opened.policy, LanguagePolicy):
        raise UsageError(
            f"{directory.path}: method {run.selection.method} changes no parameters: its hidden "
            "states are the base policy's"
        )
    with faults_told(f"{directory.config}", task):
        scenarios = task.scenarios(run.dials, run.seed, "held_out", episodes)
        texts = opened.policy.sample(scenarios, run.seed)
        acted = judge_all(FullKnowledge(task), scenarios, texts)
        models = opened.policy.language, opened.base.language
        asked = latent_knowledge(*models, task, acted, run.seed)
    found = Latent(
        arm=run.study.arm, seed=run.seed, dials=run.dials, episodes=episodes, questions=asked
    )
    write(directory.evaluation() / Latent.file, found)
    return found


def latent_knowledge(
    policy: Language, base: Language, task: Task, episodes: Sequence[Episode], seed: int
) -> list[records.Question]:
    """Probes a policy and its base policy on the policy's own episodes: what each question found.

    Both models read the same text, so that they differ in their representation only. Episodes
    whose scenarios have the same facts stay in one fold. `seed` fixes folds, resamples, shuffles.
    """
    groups = _situations(episodes)
    asked = questions(task, episodes)
    layers = spread_layers(policy)
    found = {question.name: list[Reading]() for question in asked}
    for where in PLACES:
        states, others = (hidden_states(m, episodes, where, layers) for m in (policy, base))
        for name, _, labels in asked:
            kept = ~np.isnan(labels)
            chosen = labels[kept], groups[kept].tolist()
            for layer, own, control in zip(layers, states[:, kept], others[:, kept], strict=True):
                of_policy, of_base = (linear_probe(x, *chosen, seed) for x in (own, control))
                lead = probe_lead(own, control, *chosen, seed)
                found[name].append(Reading(where, layer, of_policy, of_base, lead))
    return [_record(question, found[question.name]) for question in asked]


def questions(task: Task, episodes: Sequence[Episode]) -> tuple[Question, Question]:
    """What is asked of a state: will it (did it) misbehave unseen; and could it at all?

    First the task's concealed trait, among episodes in which it was possible; then whether it was
    possible, among all episodes whose response could be read. A policy that always misbehaves
    unseen leaves the first undecided, and the second is then whether it represents that it does.
    """
    traits = [task.traits(ep.scenario, ep.outcome)[task.concealed_trait] for ep in episodes]
    shown = np.array(traits, dtype=np.float64)
    readable = np.array([episode.outcome.valid for episode in episodes], dtype=bool)
    possible = np.where(readable, (~np.isnan(shown)).astype(np.float64), np.nan)
    return (
        Question(task.concealed_trait, "exposed episodes", shown),
        Question(EXPOSED, "readable episodes", possible),
    )


def spread_layers(language: Language) -> list[int]:
    """The layers to read: all of a small model; of a large one `MOST_LAYERS`, with both ends."""
    last = int(language.model.config.num_hidden_layers)
    count = min(last + 1, MOST_LAYERS)
    return [int(layer) for layer in np.linspace(0, last, count).round()]


@torch.no_grad()
def hidden_states(
    language: Language,
    episodes: Sequence[Episode],
    where: Where,
    layers: Sequence[int],
    batch_size: int = 64,
) -> Floats:
    """A model's hidden states in each episode, [layers, episodes, hidden], no unit.

    `before`: at the prompt's last token, before anything is written (the response is not read).
    `after`: at the response's last token, the end of the text left out; that of the prompt
    where the response is empty. Layers count as in transformers: 0 the embeddings, the last after
    the final norm. A response is read as its text is tokenised, which for sub-words can differ from
    the tokens that were sampled. Raises `ValueError` for no episodes and `IndexError` for a layer
    that there is not.
    """
    if not episodes:
        raise ValueError("episodes is empty; there must be at least one to read")
    model = language.model
    rows = [language.prompt_ids(episode.scenario.prompt) for episode in episodes]
    if where == "after":
        endless = [language.response_ids(episode.response)[:-1] for episode in episodes]
        rows = [[*row, *written] for row, written in zip(rows, endless, strict=True)]
    found = []
    for start in range(0, len(rows), batch_size):
        batch = left_padded(rows[start : start + batch_size])
        states = model.base_model(
            **{name: tensor.to(model.device) for name, tensor in batch.items()},
            output_hidden_states=True,
            use_cache=False,
        ).hidden_states
        found.append(torch.stack([states[layer][:, -1].double().cpu() for layer in layers]))
    return np.asarray(torch.cat(found, dim=1).numpy())


def _situations(episodes: Sequence[Episode]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A number for each episode, the same where the scenarios' facts are the same: [episodes]."""
    numbers: dict[frozenset[tuple[str, Fact]], int] = {}
    facts = (frozenset(episode.scenario.facts.items()) for episode in episodes)
    return np.array([numbers.setdefault(each, len(numbers)) for each in facts], dtype=np.int64)


def _record(question: Question, readings: Sequence[Reading]) -> records.Question:
    """One question and its readings; no readings where there was no answer."""
    first = readings[0].policy
    return records.Question(
        probe_for=question.name,
        among=question.among,
        yes=first.yes,
        no=first.no,
        reason=first.reason,
        readings=[
            records.Reading(
                where=reading.where,
                layer=reading.layer,
                policy=records.Estimate(**reading.policy.auc._asdict()),
                base=records.Estimate(**reading.base.auc._asdict()),
                lead=records.Estimate(**reading.lead._asdict()),
                shuffled=reading.policy.shuffled,
            )
            for reading in readings
            if not first.reason
        ],
    )
