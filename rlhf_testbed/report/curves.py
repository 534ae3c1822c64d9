"""Through training: both threats, selection and response of each trait, approval.

    both_threats(runs, colours)      threat 1 and threat 2 against updates, a line an arm, onsets
    approval(histories)              by the training overseer and by full knowledge, a panel an arm

A thin line is a training seed, a thick one the mean over the seeds that have the update, and a band
its interval. Each function gives None where there is nothing to draw; `colours` are those of arms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import altair as alt

from rlhf_testbed.report import names
from rlhf_testbed.report.figures import (
    DRAWN,
    SHARES,
    SMALL,
    THREATS,
    UNTITLED,
    Figure,
    Rows,
    having,
    plain,
)
from rlhf_testbed.report.line_panels import (
    NATS,
    Panel,
    arm_panels,
    cut,
    domain_of,
    line_panel,
    means,
    span_of,
    taking_turns,
)
from rlhf_testbed.report.over_runs import Run, as_drawn, lines_told, titled, with_means
from rlhf_testbed.report.palette import KNOWING, OVERSEER
from rlhf_testbed.report.run_record import RunRecord
from rlhf_testbed.store.run_records import Heritability, TraitSelection, UpdateSelection

WIDE = {"width": 420, "height": 260}
LOW = {"width": 420, "height": 200}
LEAST = 180
"""Pixels below which panels are put below each other."""
THREAT_1 = "threat 1 (share of exposed episodes)"
Value: TypeAlias = Callable[[UpdateSelection], float]
"""A figure of an update; NaN where it could not be judged."""


class History(NamedTuple):
    """What selection did in one run, update by update."""

    arm: str
    seed: int
    updates: Sequence[UpdateSelection]
    heritability: Mapping[str, Heritability]
    """By trait."""
    base_seed: int = 0

    @property
    def traits(self) -> list[str]:
        """The traits that it names."""
        return list(self.updates[0].traits) if self.updates else []


def both_threats(runs: Sequence[RunRecord], colours: Mapping[str, str]) -> Figure | None:
    """Threat 1 and threat 2 of every checkpoint, with the seeds' onsets as diamonds."""
    runs = [run for run in runs if run.checkpoints is not None]
    points = [
        {
            "arm": run.arm,
            "seed": run.seed,
            "base": run.base_seed,
            "update": checkpoint.update,
            "of": of,
            "value": checkpoint.figure(threat),
        }
        for run in runs
        for checkpoint in (run.checkpoints.checkpoints if run.checkpoints else ())
        for threat, of in THREATS.items()
    ]
    if not points:
        return None
    one, two = THREATS.values()
    rows = plain([*as_drawn(with_means(points, shares=[one])), *_onsets(runs)])
    domains = {one: SHARES, two: domain_of([row for row in rows if row["of"] == two], least=NATS)}
    return _figure(
        "threats_through_training",
        "Both threats through training",
        "Diamonds: onsets, the update at which a seed's curve first reaches half of its final "
        "value. Update 0 is the base policy.",
        rows,
        domains,
        _Drawn(_runs(runs), colours, WIDE),
    )


def _onsets(runs: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """A row for each curve that set on: where it did, and how high it was there."""
    rows = []
    for run in runs:
        checkpoints = run.checkpoints.checkpoints if run.checkpoints else []
        at = {checkpoint.update: checkpoint for checkpoint in checkpoints}
        for threat, of in THREATS.items():
            update = run.measures.figure(f"onset_{threat}") if run.measures else math.nan
            if update in at:
                rows.append(
                    {
                        "kind": "onset",
                        "arm": run.arm,
                        "seed": run.seed,
                        "base": run.base_seed,
                        "update": update,
                        "of": of,
                        "value": at[int(update)].figure(threat),
                    }
                )
    return rows


def threat_1_in_training(histories: Sequence[History], colours: Mapping[str, str]) -> Figure | None:
    """Threat 1 of each update's own episodes, from the ledger alone."""
    values: dict[str, Value] = {THREAT_1: lambda update: update.figure("threat_1")}
    rows = as_drawn(_of_updates(histories, values, shares=values))
    return _figure(
        "threat_1_in_training",
        "Threat 1 in the episodes of training",
        "Of each update's exposed episodes, the share that was approved and unwanted.",
        rows,
        {THREAT_1: SHARES},
        _Drawn(_runs(histories), colours, WIDE),
    )


def selection_differentials(
    histories: Sequence[History], colours: Mapping[str, str]
) -> Figure | None:
    """What each update's advantages selected, a panel a trait; all in one unit, on one scale."""
    values = _by_trait(histories, lambda selected: selected.differential)
    rows = as_drawn(_of_updates(histories, values))
    return _figure(
        "selection_differential",
        "Selection differential of each trait",
        "Covariance of advantage and trait over an update's episodes: above 0, the update made the "
        "trait more likely.",
        rows,
        dict.fromkeys(values, domain_of(rows)),
        _Drawn(_runs(histories), colours, LOW),
    )


def trait_rates(histories: Sequence[History], colours: Mapping[str, str]) -> Figure | None:
    """How common each trait is from update to update: the response to selection."""
    values = _by_trait(histories, lambda selected: selected.rate)
    rows = as_drawn(_of_updates(histories, values, shares=values))
    return _figure(
        "response_to_selection",
        "Response: how common each trait became",
        "Share of an update's episodes that show the trait.",
        rows,
        dict.fromkeys(values, SHARES),
        _Drawn(_runs(histories), colours, LOW),
    )


def _by_trait(
    histories: Sequence[History], figure: Callable[[TraitSelection], float]
) -> dict[str, Value]:
    """A figure of the selection on each trait."""
    traits = dict.fromkeys(trait for history in histories for trait in history.traits)
    return {trait: _of_trait(trait, figure) for trait in traits}


def _of_trait(trait: str, figure: Callable[[TraitSelection], float]) -> Value:
    """A figure of one trait; NaN in an update that does not name the trait."""

    def value(update: UpdateSelection) -> float:
        selected = update.traits.get(trait)
        return math.nan if selected is None else figure(selected)

    return value


def _figure(
    name: str,
    title: str,
    caption: str,
    rows: Rows,
    domains: Mapping[str, tuple[float, float]],
    drawn: _Drawn,
) -> Figure | None:
    """A picture with a panel for each domain and a line an arm; None without rows."""
    if not rows:
        return None
    found = arm_panels(rows, domains, drawn.colours, drawn.size)
    beyond = any(cut([row for row in rows if row["of"] == of], domains[of]) for of in domains)
    turns = any(panel.dashes for panel in found.panels)
    return Figure(
        name,
        title,
        f"{caption} {lines_told(rows, drawn.runs, cut=beyond, turns=turns)}",
        alt.concat(*found.charts, data=DRAWN, columns=2).resolve_scale(strokeDash="independent"),
        rows,
        found.names,
        around=names.around(found.names, UNTITLED),
        least=LEAST,
    )


def approval(histories: Sequence[History]) -> Figure | None:
    """Approval by the training overseer against full knowledge, a panel an arm."""
    judges: dict[str, Value] = {
        "approved by the training overseer": lambda update: update.figure("approval"),
        "approved under full knowledge": lambda update: update.figure("approval_by_full_knowledge"),
    }
    rows = _of_updates(histories, judges, shares=judges)
    if not rows:
        return None
    span = span_of(rows)
    scale = alt.Scale(domain=list(judges), range=[OVERSEER, KNOWING])
    colour = alt.Color("of:N", scale=scale, legend=alt.Legend(title=None, labelLimit=300))
    runs, panels, turns = _runs(histories), [], False
    for arm in dict.fromkeys(arm for arm, *_ in runs):
        title = titled(arm, runs)
        dashes = taking_turns(means([row for row in rows if row["arm"] == arm], "of"), SHARES)
        panel = Panel(title, having("arm", arm), SHARES, span, "share", dashes, by="of")
        panels.append(line_panel(panel, colour, SMALL))
        turns = turns or bool(dashes)
    return Figure(
        "approval",
        "Approval by the training overseer, and under full knowledge",
        "Share of each update's episodes; where the lines part, selection follows what the "
        f"overseer could not see. {lines_told(rows, runs, turns=turns)}",
        alt.concat(*panels, data=DRAWN, columns=3).resolve_scale(strokeDash="independent"),
        rows,
    )


def _of_updates(
    histories: Sequence[History], values: Mapping[str, Value], shares: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Figures of the histories in long form (`of` says which), and their means over seeds."""
    rows = [
        {
            "arm": history.arm,
            "seed": history.seed,
            "base": history.base_seed,
            "update": update.update,
            "of": of,
            "value": value(update),
        }
        for history in histories
        for update in history.updates
        for of, value in values.items()
    ]
    return plain(with_means(rows, shares))


class _Drawn(NamedTuple):
    """What pictures of arms have in common."""

    runs: Sequence[Run]
    colours: Mapping[str, str]
    size: Mapping[str, int]


def _runs(of: Sequence[RunRecord] | Sequence[History]) -> list[Run]:
    """Arm, base policy and training seed of each."""
    return [(one.arm, one.base_seed, one.seed) for one in of]
