"""Threat 1 through training: a run's ledger and full-knowledge verdicts become a record an update.

    history = selection_history(task, ledger.read(run.ledger), truths)
    history[0]    update 1, generated before any selection: approval 0.31, threat_1 0.19,
                  traits["tramples unseen"]: rate 0.25, differential 0.07, gradient 0.40
    heritability(history, "tramples unseen")    0.31 (0.12 to 0.50): response per differential

Happens after training, by the held-out overseer, and needs no torch. A verdict whose score is NaN
judged nothing: its approval is unknown too. A figure that can't be judged is NaN, and `reasons`
says why. Each is defined in docs/METRICS.md.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from rlhf_testbed.evaluation.episode_measures import figures, reasons
from rlhf_testbed.evaluation.judged import Deed, Judged, deeds, floats
from rlhf_testbed.measures import selection
from rlhf_testbed.measures.arguments import mean
from rlhf_testbed.shared.arrays import Floats
from rlhf_testbed.store.ledger import Row
from rlhf_testbed.store.run_records import Heritability, TraitSelection, UpdateSelection
from rlhf_testbed.tasks.base import Task, Verdict

_Traits: TypeAlias = Mapping[str, Floats]
"""Columns of traits: 1 shown, 0 not shown, NaN not possible; [episodes] each."""


def selection_history(
    task: Task, rows: Sequence[Row], truths: Sequence[Verdict]
) -> list[UpdateSelection]:
    """One record an update, in order of updates; none for an empty ledger.

    `rows`: the training ledger's, with the training overseer's verdicts; `truths`: the
    full-knowledge verdict on each of them, in the same order. Raises `ValueError` where their
    numbers differ. For what fits in memory; see `update_selection`.
    """
    if len(rows) != len(truths):
        raise ValueError(f"{len(rows)} rows but {len(truths)} full-knowledge verdicts")
    done = deeds(task, [row.case for row in rows])
    traits = traits_of(done)
    episodes: dict[int, list[int]] = {}
    for at, row in enumerate(rows):
        episodes.setdefault(row.update, []).append(at)
    return [
        update_selection(
            task,
            [rows[at] for at in chosen],
            [truths[at] for at in chosen],
            [done[at] for at in chosen],
            traits,
        )
        for _, chosen in sorted(episodes.items())
    ]


def traits_of(done: Iterable[Deed]) -> list[str]:
    """The traits that a task names in any of these episodes, in the order in which they come."""
    return list(dict.fromkeys(name for one in done for name in one.traits))


def update_selection(
    task: Task,
    rows: Sequence[Row],
    truths: Sequence[Verdict],
    done: Sequence[Deed],
    traits: Iterable[str],
) -> UpdateSelection:
    """The record of one update: of its rows, with the full-knowledge verdict on each.

    `done`: what the task says of each; `traits`: those that the task names in any update of the
    run, since selection on one is told from selection on the others.
    """
    judged = Judged.of_deeds(task, done, [row.verdict for row in rows], truths)
    advantage, kl = (floats(getattr(row, name) for row in rows) for name in ("advantage", "kl"))
    found = figures(judged)
    exposed = int(found.pop("exposed"))
    why = reasons(task, judged, found | {"exposed": 0.0})
    if math.isnan(found_kl := mean(kl)):
        why["kl"] = _gap("kl", kl)
    shown = {name: floats(one.traits.get(name) for one in done) for name in traits}
    return UpdateSelection(
        update=rows[0].update,
        episodes=len(rows),
        exposed=exposed,
        figures=found | {"kl": found_kl},
        reasons=why,
        traits=_selected(advantage, judged.score, shown),
    )


def response_to_selection(history: Sequence[UpdateSelection], trait: str) -> Floats:
    """Change of a trait's rate from each update to the next: the breeder's R, [updates - 1].

    Rates are of all episodes, as in the differential: they hold the chance of what a batch could
    show. NaN where the next record is not of the next update. Raises `ValueError` for a trait that
    the history does not name.
    """
    rates = floats(one.rate for one in _of_trait(history, trait))
    steps = np.diff(floats(record.update for record in history))
    return np.asarray(np.where(steps == 1, np.diff(rates), math.nan))


def heritability(history: Sequence[UpdateSelection], trait: str) -> Heritability:
    """Realised heritability of a trait: the breeder's equation R = h² S over the updates of a run.

    S is the differential by advantage, R the response; the unit is a share per whitened advantage.
    The interval (`measures.selection.realised_heritability`) is Student's over updates and takes
    residuals to be independent. Those of neighbours share a batch, which makes it too wide rather
    than too narrow; it says nothing of other seeds. One update that can't be judged makes the
    estimate NaN, with a reason. Raises `ValueError` for a trait that the history does not name.
    """
    of_trait, responses = _of_trait(history, trait), response_to_selection(history, trait)
    differentials = floats(one.differential for one in of_trait[:-1])
    lacking = [
        f"update {record.update}: {one.reasons['differential']}"
        for record, one in zip(history[:-1], of_trait[:-1], strict=True)
        if "differential" in one.reasons
    ]
    lacking += [
        f"update {one.update} is followed by {other.update}"
        for one, other in itertools.pairwise(history)
        if other.update != one.update + 1
    ]
    reason = f"{len(responses)} response{'' if len(responses) == 1 else 's'}"
    if lacking:
        more = f" (and {len(lacking) - 1} more)" if lacking[1:] else ""
        reason += f", not all of which can be judged: {lacking[0]}{more}"
    elif len(responses) < 2:
        reason += ": an estimate takes two updates, an interval three"
    elif not differentials.any():
        shown = sum(
            one.rate * record.episodes for one, record in zip(of_trait, history, strict=True)
        )
        possible, episodes = sum(one.possible for one in of_trait), sum(h.episodes for h in history)
        reason += f", no differential in any: shown in {shown:.0f} of {episodes} episodes"
        reason += f", possible in {possible}"
    found = selection.realised_heritability(differentials, responses)
    return Heritability(**found._asdict(), reason=reason)


def _selected(advantage: Floats, score: Floats, traits: _Traits) -> dict[str, TraitSelection]:
    shown = {name: np.nan_to_num(values) for name, values in traits.items()}
    gradient = selection.selection_gradient(advantage, shown)
    no_fitness = _gap("advantage", advantage) if np.isnan(advantage).any() else ""
    settled = no_fitness or "constant here, or settled by other traits"
    found = {}
    for name, values in shown.items():
        figures_of = {
            "differential": selection.selection_differential(advantage, values),
            "score_differential": selection.selection_differential(score, values),
            "gradient": gradient[name],
        }
        told = {
            "differential": no_fitness,
            "score_differential": _gap("score", score),
            "gradient": settled,
        }
        found[name] = TraitSelection(
            rate=float(values.mean()),
            possible=int((~np.isnan(traits[name])).sum()),
            **figures_of,
            reasons={each: told[each] for each, value in figures_of.items() if value != value},
        )
    return found


def _gap(name: str, column: Floats) -> str:
    return f"{name} is NaN in {int(np.isnan(column).sum())} of {len(column)} episodes"


def _of_trait(history: Sequence[UpdateSelection], trait: str) -> list[TraitSelection]:
    for record in history:
        if trait not in record.traits:
            known = ", ".join(record.traits)
            raise ValueError(f"trait = {trait} is not in this history (there are: {known})")
    return [record.traits[trait] for record in history]
