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

from rlhf_testbed.contract.scales import another_scale
from rlhf_testbed.evaluation.checkpoints import (
    Places,
    Scored,
    checkpoint_figures,
    floors,
    late,
    late_reasons,
    onsets,
)
from rlhf_testbed.evaluation.definitions import BASE
from rlhf_testbed.evaluation.history import heritability, traits_of, update_selection
from rlhf_testbed.evaluation.inflation import ReferenceInflation, verdicts
from rlhf_testbed.evaluation.proxy_and_gold import TrainingCurve, best_of_n_curve
from rlhf_testbed.evaluation.training import Training
from rlhf_testbed.judging.remembered import RememberedVerdicts
from rlhf_testbed.measures.selection import Inflation
from rlhf_testbed.overseers.base import HeldOutOverseer, TrainingOverseer
from rlhf_testbed.overseers.learned import Learned
from rlhf_testbed.policy.language_policy import LanguagePolicy
from rlhf_testbed.settings.methods import method_class
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.record import write
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import (
    Checkpoint,
    Checkpoints,
    Curve,
    Form,
    InflationVerdict,
    JudgedBy,
    ProxyAndGold,
    SelectionThroughTraining,
)

BASE_SCORES = {
    "proxy": "base_score",
    "gold": "base_score_by_full_knowledge",
    "teacher": "base_score_by_teacher",
}
"""Under which figure a score's value before training is."""
ALONG_N = "best_of_n"
"""The method whose curve runs along n; of a method that trains, there is one along updates."""
ALL_THE_BASE_POLICYS = "nothing is trained: the episodes of every update are the base policy's own"


class Ends(NamedTuple):
    """What is known of a run's first and last policy before anything is told of those between."""

    places: Places
    last: Scored
    figures: Mapping[str, float]
    """Those of `measures.json`: the last checkpoint is the same policy, and has the same."""


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
    ends: Ends,
    judges: Judges,
) -> Through:
    """Files the three records; returns their headlines.

    The held-out overseer's verdicts on the ledger are read where they are filed.
    """
    folder = directory.evaluation(judges.filed_by)
    both = judges.trained_by, judges.knowing
    training = Training(directory, run.task, judges.filed_by)
    along = _read(training, judges, ends.figures)
    selection = _selection(run, training, along, another_scale(judges.trained_by))
    write(folder / SelectionThroughTraining.file, selection)
    between = method_class(run.selection.method).checkpoints(run, directory, base)
    updates = directory.summary().updates
    checkpoints = checkpoint_figures(run, ends.places, ends.last, between, updates)
    if run.evaluation.response_samples:
        checkpoints = agreeing(checkpoints, ends.figures)
    write(folder / Checkpoints.file, Checkpoints(checkpoints=checkpoints))
    curves = {ALONG_N: best_of_n_curve(run, base, *both)}
    if method_class(run.selection.method).has_weights:
        curves = {run.selection.method: along.curve, **curves}
    write(folder / ProxyAndGold.file, ProxyAndGold(curves=curves))
    own = curves.get(run.selection.method, curves[ALONG_N])
    form = own.rl_form if own.along == "update" else own.best_of_n_form
    found = onsets(checkpoints, floors(run))
    concealed = selection.heritability[run.task.concealed_trait]
    onset_figures = {f"onset_{curve}": one.update for curve, one in found.items()}
    fit = {"gold_peak_d": form.peak_d, "gold_r_squared": form.r_squared}
    return Through(
        figures={
            **onset_figures,
            **late(checkpoints, updates),
            "heritability": concealed.estimate,
            **fit,
        },
        reasons={
            **{f"onset_{curve}": one.reason for curve, one in found.items()},
            **late_reasons(checkpoints, updates),
            "heritability": concealed.reason,
            **unfitted(own, form),
        },
        inflation=selection.inflation,
    )


def agreeing(checkpoints: Sequence[Checkpoint], measured: Mapping[str, float]) -> list[Checkpoint]:
    """The same checkpoints, where the first and the last have the figures that were measured.

    Sampled figures have an error each: without this, one policy had two numbers.
    """
    base, *between, last = checkpoints
    of_base = {name: measured.get(f"{BASE}{name}", value) for name, value in base.figures.items()}
    of_last = {name: measured.get(name, value) for name, value in last.figures.items()}
    return [
        base.model_copy(update={"figures": of_base}),
        *between,
        last.model_copy(update={"figures": of_last}),
    ]


def unfitted(curve: Curve, form: Form) -> dict[str, str]:
    """Why the figures of a curve's form that are NaN are, by their names in `measures.json`."""
    why = {
        "gold_peak_d": f"the form has no peak: its β, {form.beta:.3g}, is not above 0",
        "gold_r_squared": "the gold score is the same at every distance",
    }
    found = {"gold_peak_d": form.peak_d, "gold_r_squared": form.r_squared}
    return {name: curve.reason or why[name] for name, value in found.items() if math.isnan(value)}


class _Along(NamedTuple):
    """What one reading of the ledger gives."""

    traits: list[str]
    """Those that the task names in any update."""
    curve: Curve
    """Proxy and gold along the updates."""
    best: Inflation
    """What the best honest policy has at the end."""


def _read(training: Training, judges: Judges, measured: Mapping[str, float]) -> _Along:
    trained_by, updates = judges.trained_by, training.updates
    base_scores = {of: measured[name] for of, name in BASE_SCORES.items() if name in measured}
    curve = TrainingCurve(updates, base_scores)
    best = ReferenceInflation(trained_by, judges.knowing, updates)
    teacher = RememberedVerdicts(trained_by.teacher) if isinstance(trained_by, Learned) else None
    traits: dict[str, None] = {}
    for rows, truths, done in training:
        scores = {
            "proxy": [row.score for row in rows],
            "gold": [verdict.score for verdict in truths],
        }
        if teacher:
            scores["teacher"] = [verdict.score for verdict in teacher.on(rows)]
        curve.add(rows[0].update, [row.kl for row in rows], scores)
        best.add(rows)
        traits |= dict.fromkeys(traits_of(done))
    return _Along(list(traits), curve.curve(), best.found)


def _selection(
    run: RunConfig, training: Training, along: _Along, scale: str
) -> SelectionThroughTraining:
    history = [update_selection(run.task, *update, along.traits) for update in training]
    untrained = not method_class(run.selection.method).has_weights
    return SelectionThroughTraining(
        updates=history,
        heritability={trait: heritability(history, trait) for trait in history[0].traits},
        inflation=verdicts([] if untrained else history, along.best, ALL_THE_BASE_POLICYS, scale),
    )
