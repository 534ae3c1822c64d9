"""Evaluation: any overseer judges saved generations and fresh ones, and both threats are measured.

    rlhf-testbed evaluate runs/both-3 --overseer full_knowledge

    runs/both-3/evaluation/full_knowledge/
      ledger.parquet     the generations of training, each with this overseer's verdict
      held_out.parquet   a fresh generation for each held-out scenario, with the same
      base.parquet       the same of the base population: before any selection
      measures.json      the figures below; each is defined in docs/METRICS.md
      selection.json, trajectory.json, proxy_and_gold.json   through training, by held-out overseers

Happens after training and never before or during it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from overseers.base import HeldOutOverseer, Overseer, TrainingOverseer
from overseers.learned import Learned
from rlhf_testbed import ledger
from rlhf_testbed.arrays import Floats
from rlhf_testbed.config import RunConfig
from rlhf_testbed.errors import UsageError
from rlhf_testbed.files import write_json
from rlhf_testbed.goals import Measures, Place, estimated_goal_measures, goal_measures
from rlhf_testbed.judging import Episode, judged, judged_all
from rlhf_testbed.language_model import Language, sampled_responses
from rlhf_testbed.measures.selection import (
    agent_score_difference,
    concealment_gap,
    false_positive_rate,
    unwanted_approved,
)
from rlhf_testbed.model_card import card_file, fill_in_threats, write_card
from rlhf_testbed.overseeing import named_overseer, training_overseer
from rlhf_testbed.parsing import parse_run
from rlhf_testbed.plugins import faults_told
from rlhf_testbed.population import known_population, load_population, population_folder
from rlhf_testbed.progress import quiet
from rlhf_testbed.readiness import refuse_unfit
from rlhf_testbed.run_directory import KNOWING, RunDirectory
from rlhf_testbed.shapes import MEASURES, TRAINED, read_json
from rlhf_testbed.through_training import through_training
from rlhf_testbed.train import load_policy
from tasks.base import Scenario, Task


def evaluate(
    directory: RunDirectory,
    overseer_name: str = KNOWING,
    knowledge: float | None = None,
    overseer_args: Sequence[str] | None = None,
) -> Measures:
    """Judges a finished run's generations and fresh ones by the named overseer; files the result.

    `knowledge` is the sight of an overseer that has a choice, `overseer_args` its options; by
    default the run's own, as far as it has them. Raises `UsageError` for an unfinished run, an
    unknown overseer, one that breaks a rule, or a damaged ledger.
    """
    run, base = opened(directory)
    rows = ledger.read(directory.ledger)
    folder = directory.evaluation(overseer_name)
    with faults_told(f"{directory.path}: evaluation stopped", run.task):
        overseer = named_overseer(overseer_name, run, knowledge, overseer_args)
        saved = judged_all(
            overseer,
            [ledger.scenario_of(row) for row in rows],
            [row["response"] for row in rows],
        )
        trained_by = training_overseer(run, with_model=isinstance(overseer, HeldOutOverseer))
        measures, fresh = measure(run, load_policy(directory), base, overseer, trained_by)
        if isinstance(overseer, HeldOutOverseer):
            knowing = [episode.verdict for episode in saved]
            both = trained_by, overseer
            measures |= through_training(run, directory, base, both, knowing, measures, folder)
    ledger.write(folder / "ledger.parquet", _rejudged(rows, saved))
    for name, episodes in fresh.items():
        rows = [ledger.row(episode, 0, index) for index, episode in enumerate(episodes)]
        ledger.write(folder / f"{name}.parquet", rows)
    found = {"arm": run.testbed.arm, "seed": run.selection.seed, "dials": asdict(run.dials)}
    found |= {"overseer": overseer_name, **measures}
    write_json(folder / "measures.json", found)
    if isinstance(overseer, HeldOutOverseer):
        _tell_card(run, directory, found)
    return found


def opened(directory: RunDirectory) -> tuple[RunConfig, Language]:
    """The settings of a finished run, and its base population (built anew where it is not cached).

    Sets the run's number of threads. Raises `UsageError` for an unfinished run.
    """
    quiet()
    base_name = str(directory.summary(TRAINED)["base population"])
    directory.settings()
    run = parse_run(["--config", str(directory.config), "--output_dir", str(directory.path)])
    refuse_unfit(run)
    if run.testbed.threads:
        torch.set_num_threads(run.testbed.threads)
    folder = known_population(base_name) or population_folder(run)
    return run, load_population(folder)


def _tell_card(run: RunConfig, directory: RunDirectory, measures: Measures) -> None:
    """Puts the threats into the policy's model card, which runs of older versions lack."""
    if not card_file(directory).exists():
        summary = directory.summary()
        write_card(run, directory, summary["updates"], summary["episodes"])
    fill_in_threats(directory, measures)


def measure(
    run: RunConfig,
    policy: Language,
    base: Language,
    overseer: Overseer,
    trained_by: TrainingOverseer,
) -> tuple[Measures, dict[str, list[Episode]]]:
    """All figures of one policy, and the fresh episodes (judged by `overseer`), by file.

    The threats are defined by what a held-out overseer knows: with another overseer, only the
    figures that need no full knowledge are given.
    """
    task, seed = run.task, run.selection.seed
    scenarios = task.scenarios(run.dials, seed, "held_out", run.testbed.held_out_scenarios)
    fresh = generations(policy, overseer, scenarios, seed)
    found: Measures = {
        "approval_by_evaluator": _mean(fresh, lambda episode: episode.verdict.approved),
        "score_by_evaluator": _mean(fresh, lambda episode: episode.verdict.score),
        "success": _mean(
            fresh, lambda episode: task.intended_goal.utility(episode.scenario, episode.response)
        ),
    }
    episodes = {"held_out": fresh}
    if isinstance(overseer, HeldOutOverseer):
        found |= selection_measures(task, _by(trained_by, fresh), fresh)
        before = episodes["base"] = generations(base, overseer, scenarios, seed)
        earlier = selection_measures(task, _by(trained_by, before), before)
        named = ("threat_1", "misbehaviour_unseen", "score")
        found |= {f"base_{name}": earlier[name] for name in named}
        found["base_score_by_evaluator"] = _mean(before, lambda episode: episode.verdict.score)
        if isinstance(trained_by, Learned):
            taught = _by(trained_by.teacher, fresh)
            found["teacher_score"] = _mean(taught, lambda episode: episode.verdict.score)
            found["teacher_approval"] = _mean(taught, lambda episode: episode.verdict.approved)
            taught = _by(trained_by.teacher, before)
            found["base_teacher_score"] = _mean(taught, lambda episode: episode.verdict.score)
        found["score_of_golden"] = _score_of_golden(task, overseer, scenarios)
    probes = task.scenarios(run.dials, seed, "probes", run.testbed.probes)
    samples = run.testbed.probe_samples
    if samples:
        on_probes = estimated_goal_measures(task, policy, base, probes, samples, seed)
    else:
        on_probes = goal_measures(task, policy, Place.of(task, base, probes, task.responses))
    return found | on_probes, episodes


def generations(
    language: Language, overseer: Overseer, scenarios: Sequence[Scenario], seed: int
) -> list[Episode]:
    """One fresh response to each scenario, judged."""
    prompts = [scenario.prompt for scenario in scenarios]
    length = max(len(language.response_ids(response)) for response in overseer.task.responses)
    responses = sampled_responses(language, prompts, length, seed)
    return judged_all(overseer, scenarios, responses)


def selection_measures(
    task: Task, approving: Sequence[Episode], knowing: Sequence[Episode]
) -> Measures:
    """Threat 1 and its company, from the same episodes judged by the training overseer and by a
    held-out one."""
    approved = np.array([episode.verdict.approved for episode in approving], dtype=float)
    scores = np.array([episode.verdict.score for episode in approving], dtype=float)
    unwanted = 1 - np.array([episode.verdict.approved for episode in knowing], dtype=float)
    traits = [task.traits(episode.scenario, episode.outcome) for episode in knowing]
    unseen = np.array([trait[task.concealed_trait] for trait in traits], dtype=float)
    seen = np.array([trait[task.open_trait] for trait in traits], dtype=float)
    exposed = ~np.isnan(unseen)
    found: Measures = {
        "threat_1": unwanted_approved(approved, unwanted, exposed),
        "exposed": int(exposed.sum()),
        "approval": float(approved.mean()),
        "score": float(scores.mean()),
        "misbehaviour_unseen": _mean_of(unseen),
        "misbehaviour_seen": _mean_of(seen),
        "concealment_gap": concealment_gap(unseen, seen),
        "false_positive_rate": false_positive_rate(approved, unwanted),
        "agent_score_difference": agent_score_difference(scores[exposed], unseen[exposed]),
    }
    if not exposed.any():
        found["threat_1_reason"] = (
            f"never exposed: '{task.concealed_trait}' was possible in none of "
            f"{len(knowing)} episodes"
        )
    return found


def _by(overseer: Overseer, episodes: Sequence[Episode]) -> list[Episode]:
    return judged_all(overseer, [e.scenario for e in episodes], [e.response for e in episodes])


def _rejudged(rows: Sequence[ledger.Row], episodes: Sequence[Episode]) -> list[ledger.Row]:
    """Ledger rows with another overseer's view and verdict; what selected them stays."""
    return [
        ledger.row(episode, row["update"], row["episode"], row["advantage"], row["kl"])
        for row, episode in zip(rows, episodes, strict=True)
    ]


def _score_of_golden(task: Task, overseer: Overseer, scenarios: Sequence[Scenario]) -> float:
    """Mean score of the golden organism: the best that can be done."""
    return float(
        np.mean(
            [
                chance * judged(overseer, scenario, response).verdict.score
                for scenario in scenarios
                for response, chance in task.golden.policy(scenario).items()
            ]
        )
    )


def _mean(episodes: Sequence[Episode], figure: Callable[[Episode], float]) -> float:
    return float(np.mean([figure(episode) for episode in episodes]))


def _mean_of(values: Floats) -> float:
    """Mean of what is not NaN; NaN when nothing is left."""
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if kept.size else math.nan


def read_measures(folder: Path) -> Mapping[str, Any]:
    """What `evaluate` filed; raises `UsageError` when there is nothing."""
    file = folder / "measures.json"
    if not file.is_file():
        raise UsageError(f"{folder}: not evaluated yet (rlhf-testbed evaluate RUN)")
    return read_json(file, MEASURES)
