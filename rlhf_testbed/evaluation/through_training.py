"""What a run shows through training, filed beside its measures once it has been evaluated.

evaluation/full_knowledge/
  selection.json        each update: what its episodes selected (history.py, inflation.py)
  checkpoints.json      each checkpoint: both threats, every goal (checkpoints.py)
  proxy_and_gold.json   over-optimisation, of training and of best-of-n (proxy_and_gold.py)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rlhf_testbed.evaluation.checkpoints import checkpoint_figures, floors, onsets
from rlhf_testbed.evaluation.history import heritability, selection_history
from rlhf_testbed.evaluation.inflation import reference_inflation, verdicts
from rlhf_testbed.evaluation.proxy_and_gold import best_of_n_curve, training_curve
from rlhf_testbed.judging.episode import judge_cases
from rlhf_testbed.overseers.base import HeldOutOverseer, TrainingOverseer
from rlhf_testbed.overseers.learned import Learned
from rlhf_testbed.policy.language_policy import LanguagePolicy
from rlhf_testbed.policy.policy import Policy
from rlhf_testbed.settings.methods import method_class
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.record import write
from rlhf_testbed.store.ledger import Row
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import (
    Checkpoints,
    Curve,
    Form,
    InflationVerdict,
    JudgedBy,
    ProxyAndGold,
    SelectionThroughTraining,
)
from rlhf_testbed.tasks.base import Verdict

BASE_SCORES = {
    "proxy": "base_score",
    "gold": "base_score_by_full_knowledge",
    "teacher": "base_score_by_teacher",
}
"""Under which figure a score's value before training is."""
ALONG_N = "best_of_n"
"""The method whose curve runs along n; of a method that trains, there is one along updates."""
ALL_THE_BASE_POLICYS = "nothing is trained: the episodes of every update are the base policy's own"


class Through(NamedTuple):
    """Headlines of what was filed, for `measures.json`."""

    figures: dict[str, float]
    reasons: dict[str, str]
    inflation: list[InflationVerdict]


class Judges(NamedTuple):
    """Who judges: the training overseer, and full knowledge under the name that it is filed by."""

    trained_by: TrainingOverseer
    knowing: HeldOutOverseer
    filed_by: JudgedBy


def through_training(
    run: RunConfig,
    directory: RunDirectory,
    base: LanguagePolicy,
    last: Policy,
    judges: Judges,
    rows: Sequence[Row],
    truths: Sequence[Verdict],
    measured: Mapping[str, float],
) -> Through:
    """Files the three records; returns their headlines.

    `truths`: the held-out overseer's verdict on each row of the ledger; `measured`: figures, of
    which the base policy's mean scores are taken.
    """
    folder = directory.evaluation(judges.filed_by)
    both = judges.trained_by, judges.knowing
    selection = _selection(run, rows, truths, both)
    write(folder / SelectionThroughTraining.file, selection)
    between = method_class(run.selection.method).checkpoints(run, directory, base)
    updates = directory.summary().updates
    checkpoints = checkpoint_figures(run, base, last, between, updates, both)
    write(folder / Checkpoints.file, Checkpoints(checkpoints=checkpoints))
    curves = _curves(run, base, both, rows, truths, measured)
    write(folder / ProxyAndGold.file, ProxyAndGold(curves=curves))
    own = curves.get(run.selection.method, curves[ALONG_N])
    form = own.rl_form if own.along == "update" else own.best_of_n_form
    found = onsets(checkpoints, floors(run))
    concealed = selection.heritability[run.task.concealed_trait]
    onset_figures = {f"onset_{curve}": one.update for curve, one in found.items()}
    fit = {"gold_peak_d": form.peak_d, "gold_r_squared": form.r_squared}
    return Through(
        figures={**onset_figures, "heritability": concealed.estimate, **fit},
        reasons={
            **{f"onset_{curve}": one.reason for curve, one in found.items()},
            "heritability": concealed.reason,
            **unfitted(own, form),
        },
        inflation=selection.inflation,
    )


def _curves(
    run: RunConfig,
    base: LanguagePolicy,
    overseers: tuple[TrainingOverseer, HeldOutOverseer],
    rows: Sequence[Row],
    truths: Sequence[Verdict],
    measured: Mapping[str, float],
) -> dict[str, Curve]:
    """Proxy and gold by method: along the updates of one that trains, and along n."""
    along_n = {ALONG_N: best_of_n_curve(run, base, *overseers)}
    if not method_class(run.selection.method).has_weights:
        return along_n
    base_scores = {of: measured[name] for of, name in BASE_SCORES.items() if name in measured}
    scores = _scores(rows, overseers[0], truths)
    return {run.selection.method: training_curve(rows, scores, base_scores), **along_n}


def unfitted(curve: Curve, form: Form) -> dict[str, str]:
    """Why the figures of a curve's form that are NaN are, by their names in `measures.json`."""
    why = {
        "gold_peak_d": f"the form has no peak: its β, {form.beta:.3g}, is not above 0",
        "gold_r_squared": "the gold score is the same at every distance",
    }
    found = {"gold_peak_d": form.peak_d, "gold_r_squared": form.r_squared}
    return {name: curve.reason or why[name] for name, value in found.items() if math.isnan(value)}


def _scores(
    rows: Sequence[Row], trained_by: TrainingOverseer, truths: Sequence[Verdict]
) -> dict[str, list[float]]:
    """The scores of each row of the ledger, by name."""
    found = {
        "proxy": [row.score for row in rows],
        "gold": [verdict.score for verdict in truths],
    }
    if isinstance(trained_by, Learned):
        taught = judge_cases(trained_by.teacher, [row.case for row in rows])
        found["teacher"] = [episode.verdict.score for episode in taught]
    return found


def _selection(
    run: RunConfig,
    rows: Sequence[Row],
    truths: Sequence[Verdict],
    overseers: tuple[TrainingOverseer, HeldOutOverseer],
) -> SelectionThroughTraining:
    history = selection_history(run.task, rows, truths)
    best, untrained = (
        reference_inflation(rows, *overseers),
        not method_class(run.selection.method).has_weights,
    )
    return SelectionThroughTraining(
        updates=history,
        heritability={trait: heritability(history, trait) for trait in history[0].traits},
        inflation=verdicts([] if untrained else history, best, ALL_THE_BASE_POLICYS),
    )
