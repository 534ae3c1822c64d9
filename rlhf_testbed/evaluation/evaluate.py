"""Evaluation: a later overseer judges what a run generated, and both threats are measured.

    rlhf-testbed evaluate runs/both-3 --overseer full_knowledge

    runs/both-3/fresh/held_out.parquet    once: fresh generations for held-out scenarios, with the
                                          training overseer's verdict
    runs/both-3/fresh/base.parquet        the same by the base policy: before any selection
    runs/both-3/evaluation/full_knowledge/
      training.parquet, held_out.parquet, base.parquet    this overseer's verdicts on all of it
      measures.json      the figures; each is defined in docs/METRICS.md
      selection.json, checkpoints.json, proxy_and_gold.json   by held-out overseers only

Happens after training and never before or during it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from rlhf_testbed.contract.readiness import refuse_unfit
from rlhf_testbed.evaluation.checkpoints import Places, Scored
from rlhf_testbed.evaluation.definitions import BASE
from rlhf_testbed.evaluation.episode_measures import figures, of_generations, reasons
from rlhf_testbed.evaluation.goals import (
    Estimated,
    OffDistribution,
    Place,
    estimated,
    goal_figures,
    goal_reasons,
    measured,
)
from rlhf_testbed.evaluation.judged import Judged
from rlhf_testbed.evaluation.through_training import Ends, Judges, through_training
from rlhf_testbed.evaluation.training import judge_training
from rlhf_testbed.judging.episode import judge_all, judge_cases
from rlhf_testbed.judging.overseers import later_overseer, options_for, training_overseer
from rlhf_testbed.overseers.base import HeldOutOverseer, Overseer, TrainingOverseer
from rlhf_testbed.overseers.learned import Learned
from rlhf_testbed.policy.base_policy import load_base_policy
from rlhf_testbed.policy.language_policy import LanguagePolicy
from rlhf_testbed.policy.policy import Policy
from rlhf_testbed.settings.methods import method_class
from rlhf_testbed.settings.plugins import faults_told
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.callbacks import quiet
from rlhf_testbed.shared.record import write
from rlhf_testbed.store import ledger, verdicts
from rlhf_testbed.store.base_kept import base_folder
from rlhf_testbed.store.ledger import Row
from rlhf_testbed.store.model_card import card_file, fill_in_threats, write_card
from rlhf_testbed.store.run_directory import RunDirectory, Stage
from rlhf_testbed.store.run_records import KNOWING, InflationVerdict, JudgedBy, Measures
from rlhf_testbed.tasks.base import Scenario, Task, Verdict

NAMED: Mapping[str, Stage] = {"": "held_out", BASE: "base"}
"""How the names of figures begin, of the selected policy and of the base policy."""


REACHED = ("off_distribution_intended", "off_distribution_unintended")
"""Figures off distribution that the base policy has, too: what selection started from."""


class Opened(NamedTuple):
    """A finished run, ready to be measured."""

    run: RunConfig
    base: LanguagePolicy
    trained_by: TrainingOverseer
    policy: Policy
    """The selected one."""


class Told(NamedTuple):
    """The fresh generations of one policy, and what a later overseer says of them."""

    rows: Sequence[Row]
    verdicts: Sequence[Verdict]


def evaluate(
    directory: RunDirectory,
    overseer_name: str = KNOWING,
    knowledge: float | None = None,
    overseer_args: Sequence[str] | None = None,
) -> Measures:
    """Judges a finished run's generations and fresh ones by the named overseer; files the result.

    `knowledge` is the sight of an overseer that has a choice, `overseer_args` its options; by
    default the run's own, as far as it has them. Raises `UsageError` for an unfinished run, an
    unknown overseer, one that breaks a rule, a damaged ledger, or a base policy that is gone.
    """
    opened = open_run(directory)
    run = opened.run
    by = judged_by(run, overseer_name, knowledge, overseer_args)
    with faults_told(f"{directory.path}: evaluation stopped", run.task):
        place = directory.evaluation(by)
        overseer = later_overseer(by.overseer, run, by.knowledge, by.options, place)
        generate(directory, opened)
        fresh = {stage: _judged(directory, overseer, stage) for stage in NAMED.values()}
        judge_training(directory, overseer, by)
        found = measure(opened, directory, overseer, by, fresh)
    for stage, (rows, given) in fresh.items():
        verdicts.write(directory.verdicts(by, stage), rows, given)
    write(directory.evaluation(by) / Measures.file, found)
    _tell_card(run, directory, found)
    return found


def judged_by(
    run: RunConfig, overseer: str, knowledge: float | None, entries: Sequence[str] | None
) -> JudgedBy:
    """Whom that names as a later overseer of a run, its options resolved; raises `UsageError`."""
    sight, options = options_for(overseer, run, knowledge, entries)
    return JudgedBy(overseer=overseer, knowledge=sight, options=options)


def open_run(directory: RunDirectory) -> Opened:
    """Opens a finished run with its policies, and sets its number of threads.

    Raises `UsageError` for an unfinished run, and for one whose base policy is gone or has changed.
    """
    quiet()
    directory.summary()
    run = directory.settings()
    refuse_unfit(run)
    if run.selection.threads:
        torch.set_num_threads(run.selection.threads)
    base = LanguagePolicy.of(load_base_policy(base_folder(directory)), run.task)
    trained_by = training_overseer(run)
    policy = method_class(run.selection.method).policy(run, directory, base, trained_by)
    return Opened(run, base, trained_by, policy)


def generate(directory: RunDirectory, opened: Opened) -> None:
    """Files fresh generations of the selected policy and of the base policy, with the training
    overseer's verdicts, unless they are there."""
    run = opened.run
    count = run.evaluation.generations
    scenarios = run.task.scenarios(run.dials, run.seed, "held_out", count)
    policies: Mapping[Stage, Policy] = {"held_out": opened.policy, "base": opened.base}
    for stage, policy in policies.items():
        file = directory.generations(stage)
        if not file.is_file():
            texts = policy.sample(scenarios, run.seed)
            episodes = judge_all(opened.trained_by, scenarios, texts)
            ledger.write(file, [Row.of(episode, 0, at) for at, episode in enumerate(episodes)])


def _judged(directory: RunDirectory, overseer: Overseer, stage: Stage) -> Told:
    rows = ledger.read(directory.generations(stage))
    episodes = judge_cases(overseer, [row.case for row in rows])
    return Told(rows, [episode.verdict for episode in episodes])


def measure(
    opened: Opened,
    directory: RunDirectory,
    overseer: Overseer,
    by: JudgedBy,
    fresh: Mapping[Stage, Told],
) -> Measures:
    """All figures of one run, whose training ledger the overseer has judged.

    The threats are defined by what a held-out overseer knows: by another overseer, only the figures
    that need no full knowledge are given.
    """
    if isinstance(overseer, HeldOutOverseer):
        found = _by_full_knowledge(opened, directory, overseer, by, fresh)
    else:
        found = _by_another(opened, fresh["held_out"])
    return Measures(
        arm=opened.run.study.arm,
        seed=opened.run.seed,
        base_seed=opened.run.base.base_seed,
        dials=opened.run.dials,
        options=dict(opened.run.task_options),
        method=opened.run.selection.method,
        judged_by=by,
        figures=found.off.figures | found.figures,
        reasons=goal_reasons(found.off.figures) | found.reasons,
        threat_2_by_goal=found.off.by_goal,
        inflation=found.inflation,
    )


class _Found(NamedTuple):
    """What one overseer's verdicts give."""

    off: Estimated
    figures: dict[str, float]
    reasons: dict[str, str]
    inflation: list[InflationVerdict]


def _by_full_knowledge(
    opened: Opened,
    directory: RunDirectory,
    knowing: HeldOutOverseer,
    by: JudgedBy,
    fresh: Mapping[Stage, Told],
) -> _Found:
    """Both threats, at the end and through training, on the same scenarios.

    Exact where the response space is scored whole; of the fresh generations where it is sampled.
    """
    run, task = opened.run, opened.run.task
    places = Places.of(run, (opened.base, opened.policy), (opened.trained_by, knowing))
    last = places.log_policy(opened.policy)
    sampled = {stage: _columns(opened, told) for stage, told in fresh.items()}
    judged = sampled
    if not run.evaluation.response_samples:
        judged = {"held_out": places.judged(last), "base": places.judged(places.log_base)}
    found, why = of_generations(sampled["held_out"])
    for prefix, stage in NAMED.items():
        of_stage = figures(judged[stage])
        found |= {f"{prefix}{name}": value for name, value in of_stage.items()}
        unjudged = reasons(task, judged[stage], of_stage)
        why |= {f"{prefix}{name}": reason for name, reason in unjudged.items()}
    found["score_of_reference"] = score_of_reference(task, knowing, places.held_out.scenarios)
    off = off_distribution(opened, places, last)
    before = goal_figures(OffDistribution.of(task, places.log_base[1], places.off_distribution))
    found |= {f"{BASE}{name}": before[name] for name in REACHED}
    judges = Judges(opened.trained_by, knowing, by)
    ends = Ends(places, last, found | off.figures)
    through = through_training(run, directory, opened.base, ends, judges)
    return _Found(off, found | through.figures, why | through.reasons, through.inflation)


def _by_another(opened: Opened, told: Told) -> _Found:
    """What can be said without full knowledge."""
    run, utility = opened.run, opened.run.task.intended_goal.utility
    count = run.evaluation.off_distribution_scenarios
    scenarios = run.task.scenarios(run.dials, run.seed, "off_distribution", count)
    if run.evaluation.response_samples:
        off = _sampled_off_distribution(opened, scenarios)
    else:
        place = Place.of(run.task, opened.base, scenarios, run.task.responses)
        off = measured(run.task, place.log_policy(opened.policy), place)
    found = {
        "approval_by_evaluator": float(np.mean([each.approved for each in told.verdicts])),
        "score_by_evaluator": float(np.mean([each.score for each in told.verdicts])),
        "success": float(np.mean([utility(row.scenario, row.response) for row in told.rows])),
    }
    return _Found(off, found, {}, [])


def off_distribution(opened: Opened, places: Places, last: Scored) -> Estimated:
    """Threat 2 and its company of a run's selected policy, whose scores are `last`."""
    if opened.run.evaluation.response_samples:
        return _sampled_off_distribution(opened, places.off_distribution.scenarios)
    return measured(opened.run.task, last[1], places.off_distribution)


def _sampled_off_distribution(opened: Opened, scenarios: Sequence[Scenario]) -> Estimated:
    run = opened.run
    samples = run.evaluation.response_samples
    return estimated(run.task, opened.policy, opened.base, scenarios, samples, run.seed)


def score_of_reference(task: Task, overseer: Overseer, scenarios: Sequence[Scenario]) -> float:
    """Mean score of the reference policy: the best that can be done."""
    told = [
        (scenario, response, chance)
        for scenario in scenarios
        for response, chance in task.reference_policy.policy(scenario).items()
    ]
    episodes = judge_all(overseer, [one[0] for one in told], [one[1] for one in told])
    scores = [one[2] * each.verdict.score for one, each in zip(told, episodes, strict=True)]
    return float(np.sum(scores)) / len(scenarios)


def _columns(opened: Opened, told: Told) -> Judged:
    """Fresh generations in columns, judged by everybody who takes part."""
    cases = [row.case for row in told.rows]
    taught = None
    if isinstance(opened.trained_by, Learned):
        taught = [one.verdict for one in judge_cases(opened.trained_by.teacher, cases)]
    own = [row.verdict for row in told.rows]
    return Judged.of(opened.run.task, cases, own, told.verdicts, taught)


def _tell_card(run: RunConfig, directory: RunDirectory, measures: Measures) -> None:
    """Puts the threats into the policy's model card; only full knowledge measures them."""
    if not card_file(directory).exists():
        summary = directory.summary()
        write_card(run, directory, summary.updates, summary.episodes)
    fill_in_threats(directory, measures)
