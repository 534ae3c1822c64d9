"""What a run shows through training, filed beside its measures once it has been evaluated.

evaluation/full_knowledge/
  selection.json        each update: what its episodes selected (history.py, inflation.py)
  trajectory.json       each kept policy: both threats, every goal (trajectory.py)
  proxy_and_gold.json   over-optimisation, of PPO and of best-of-n (proxy_and_gold.py)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from overseers.base import HeldOutOverseer, TrainingOverseer
from overseers.learned import Learned
from rlhf_testbed import ledger
from rlhf_testbed.config import RunConfig
from rlhf_testbed.files import write_json
from rlhf_testbed.history import (
    UpdateSelection,
    as_table,
    heritability,
    selection_history,
)
from rlhf_testbed.inflation import golden_inflation, verdicts
from rlhf_testbed.judging import judged_all
from rlhf_testbed.language_model import Language
from rlhf_testbed.proxy_and_gold import proxy_and_gold, training_points
from rlhf_testbed.run_directory import RunDirectory
from rlhf_testbed.trajectory import onsets, trajectory
from tasks.base import Verdict

BASE_SCORES = {
    "proxy": "base_score",
    "gold": "base_score_by_evaluator",
    "teacher": "base_teacher_score",
}
"""Of which measure a score's value before training is."""


def through_training(
    run: RunConfig,
    directory: RunDirectory,
    base: Language,
    overseers: tuple[TrainingOverseer, HeldOutOverseer],
    knowing: Sequence[Verdict],
    measures: Mapping[str, Any],
    folder: Path,
) -> dict[str, Any]:
    """Files the three records in `folder`; returns their headlines, for `measures.json`.

    `knowing` is the held-out overseer's verdict on each row of the ledger; `measures` has the base
    policy's mean scores.
    """
    rows = ledger.read(directory.ledger)
    history = selection_history(run.task, rows, knowing)
    selection = _selection(run, history, rows, overseers)
    write_json(folder / "selection.json", selection)
    checkpoints = trajectory(run, directory, base, *overseers)
    write_json(folder / "trajectory.json", {"checkpoints": checkpoints})
    base_scores = {of: measures[name] for of, name in BASE_SCORES.items() if name in measures}
    training = training_points(rows, _scores(rows, overseers[0], knowing), base_scores)
    scores = proxy_and_gold(run, base, training, *overseers)
    write_json(folder / "proxy_and_gold.json", scores)
    found = onsets(checkpoints, floors(run))
    concealed = selection["heritability"][run.task.concealed_trait]
    return {
        **{f"onset_{curve}": one["update"] for curve, one in found.items()},
        "onset_reasons": {curve: one["reason"] for curve, one in found.items()},
        "heritability": concealed["estimate"],
        "heritability_reason": concealed["reason"],
        "inflation": selection["inflation"],
        "gold_peak_d": scores["training"]["rl_form"]["peak_d"],
        "gold_r_squared": scores["training"]["rl_form"]["r_squared"],
    }


def _scores(
    rows: Sequence[ledger.Row], trained_by: TrainingOverseer, knowing: Sequence[Verdict]
) -> dict[str, list[float]]:
    """The scores of each row of the ledger, by name."""
    found = {
        "proxy": [row["score"] for row in rows],
        "gold": [verdict.score for verdict in knowing],
    }
    if isinstance(trained_by, Learned):
        scenarios = [ledger.scenario_of(row) for row in rows]
        taught = judged_all(trained_by.teacher, scenarios, [row["response"] for row in rows])
        found["teacher"] = [episode.verdict.score for episode in taught]
    return found


def floors(run: RunConfig) -> dict[str, float]:
    """The final value of each curve below which nothing has set on: what counts as no difference
    in the run's settings."""
    share, nats = run.testbed.equivalent_threat_1, run.testbed.equivalent_threat_2
    return {
        "threat_1": share,
        "threat_2": nats,
        "concealment_gap": share,
        "goal_directedness": nats,
    }


def _selection(
    run: RunConfig,
    history: Sequence[UpdateSelection],
    rows: Sequence[ledger.Row],
    overseers: tuple[TrainingOverseer, HeldOutOverseer],
) -> dict[str, Any]:
    golden = golden_inflation(rows, *overseers)
    return {
        "updates": as_table(history),
        "heritability": {
            trait: heritability(history, trait)._asdict() for trait in history[0].traits
        },
        "inflation": [
            one._asdict() | {"policy": one.policy._asdict(), "against": one.against._asdict()}
            for one in verdicts(history, golden)
        ],
    }
