"""Through training: both threats, selection and response of each trait, approval.

    both_threats(runs)       threat 1 and threat 2 against updates, a line an arm, onsets marked
    approval(histories)      by the training overseer and by full knowledge, a panel an arm

A thin line is a training seed, a thick one the mean over the seeds that have the update. Each
function gives None where there is nothing to draw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import altair as alt
import numpy as np

from rlhf_testbed.report.figures import (
    COLOURS,
    DRAWN,
    SMALL,
    THREATS,
    Chart,
    Figure,
    Rows,
    arm_colour,
    plain,
)
from rlhf_testbed.report.run_record import RunRecord
from rlhf_testbed.store.run_records import Heritability, TraitSelection, UpdateSelection

WIDE = {"width": 420, "height": 260}
MANY = 7
"""With more arms than this, lines of single seeds are left out."""
THIN = "Thin lines: training seeds; thick:"
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


def both_threats(runs: Sequence[RunRecord]) -> Figure | None:
    """Threat 1 and threat 2 of every checkpoint, with the seeds' onsets as diamonds."""
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
        if run.checkpoints is not None
        for checkpoint in run.checkpoints.checkpoints
        for threat, of in THREATS.items()
    ]
    if not points:
        return None
    onsets = _onsets(runs)
    rows = plain([*as_drawn(with_means(points)), *onsets])
    return Figure(
        "threats_through_training",
        "Both threats through training",
        f"{_told(rows)} Diamonds: onsets, the update at which a "
        "seed's curve first reaches half of its final value. Update 0 is the base policy.",
        _lines(rows, list(THREATS.values()), WIDE, onsets=bool(onsets)),
        rows,
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


def threat_1_in_training(histories: Sequence[History]) -> Figure | None:
    """Threat 1 of each update's own episodes, from the ledger alone."""
    heading = "threat 1 (share of exposed episodes)"
    rows = as_drawn(_of_updates(histories, {heading: lambda update: update.figure("threat_1")}))
    if not rows:
        return None
    return Figure(
        "threat_1_in_training",
        "Threat 1 in the episodes of training",
        "Of each update's exposed episodes, the share that was approved and unwanted. "
        f"{_told(rows)}",
        _lines(rows, [heading], WIDE, shares=True),
        rows,
    )


def selection_differentials(histories: Sequence[History]) -> Figure | None:
    """What each update's advantages selected, a panel a trait."""
    return _by_trait(
        histories,
        lambda selected: selected.differential,
        "selection_differential",
        "Selection differential of each trait",
        "Covariance of advantage and trait over an update's episodes: above 0, the update made the "
        "trait more likely.",
    )


def trait_rates(histories: Sequence[History]) -> Figure | None:
    """How common each trait is from update to update: the response to selection."""
    return _by_trait(
        histories,
        lambda selected: selected.rate,
        "response_to_selection",
        "Response: how common each trait became",
        "Share of an update's episodes that show the trait.",
        shares=True,
    )


def _by_trait(
    histories: Sequence[History],
    figure: Callable[[TraitSelection], float],
    name: str,
    title: str,
    caption: str,
    *,
    shares: bool = False,
) -> Figure | None:
    """A panel for each trait, of one figure of the selection on it."""
    traits = list(dict.fromkeys(trait for history in histories for trait in history.traits))
    values = {trait: _of_trait(trait, figure) for trait in traits}
    rows = as_drawn(_of_updates(histories, values))
    if not rows:
        return None
    chart = _lines(rows, traits, {**WIDE, "height": 190}, shares=shares)
    return Figure(name, title, f"{caption} {_told(rows)}", chart, rows)


def _of_trait(trait: str, figure: Callable[[TraitSelection], float]) -> Value:
    """A figure of one trait; NaN in an update that does not name the trait."""

    def value(update: UpdateSelection) -> float:
        selected = update.traits.get(trait)
        return math.nan if selected is None else figure(selected)

    return value


def approval(histories: Sequence[History]) -> Figure | None:
    """Approval by the training overseer against full knowledge, a panel an arm."""
    judges: dict[str, Value] = {
        "approved by the training overseer": lambda update: update.figure("approval"),
        "approved under full knowledge": lambda update: update.figure("approval_by_full_knowledge"),
    }
    rows = _of_updates(histories, judges)
    if not rows:
        return None
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    domain, colours = list(judges), [COLOURS[0], COLOURS[1]]
    colour = alt.Color(
        "of:N",
        scale=alt.Scale(domain=domain, range=colours),
        legend=alt.Legend(title=None, labelLimit=300),
    )
    panels = [
        _panel(f"datum.arm=='{arm}'", colour, arm, "share", shares=True).properties(**SMALL)
        for arm in arms
    ]
    return Figure(
        "approval",
        "Approval by the training overseer, and under full knowledge",
        "Share of each update's episodes; where the lines part, selection follows what the "
        "overseer could not see. "
        f"{THIN} their mean.",
        alt.concat(*panels, data=DRAWN, columns=3),
        rows,
    )


def _of_updates(histories: Sequence[History], values: Mapping[str, Value]) -> list[dict[str, Any]]:
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
    return plain(with_means(rows))


def with_means(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Points of seeds, and of each arm and update the mean over the seeds that could be judged."""
    grouped: dict[tuple[Any, ...], list[float]] = {}
    for point in points:
        key = (point["arm"], point["update"], point["of"])
        grouped.setdefault(key, [])
        if not math.isnan(point["value"]):
            grouped[key].append(point["value"])
    seeds = [{"kind": "seed", **point} for point in points]
    means = [
        {"kind": "mean", "arm": arm, "update": update, "of": of, "value": float(np.mean(values))}
        for (arm, update, of), values in grouped.items()
        if values
    ]
    return [*seeds, *means]


def as_drawn(rows: Rows) -> list[Mapping[str, Any]]:
    """The rows without those of single seeds, where arms are too many for these to be drawn."""
    few = len({row["arm"] for row in rows}) <= MANY
    return [row for row in rows if few or row["kind"] != "seed"]


def _told(rows: Rows) -> str:
    """What the lines of `_lines` are."""
    few = len({row["arm"] for row in rows}) <= MANY
    return f"{THIN} their mean." if few else "Lines: means over training seeds."


def _lines(
    rows: Rows,
    panels: Sequence[str],
    size: Mapping[str, int],
    *,
    onsets: bool = False,
    shares: bool = False,
) -> Chart:
    """A panel for each value of `of`, a colour an arm."""
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    few = len(arms) <= MANY
    drawn = [
        _panel(
            f"datum.of=='{of}'",
            arm_colour(arms),
            of,
            None,
            seeds=few,
            onsets=onsets,
            shares=shares,
        ).properties(**size)
        for of in panels
    ]
    return alt.concat(*drawn, data=DRAWN, columns=2)


WHOLE = alt.Axis(format="d", labelExpr="datum.value % 1 ? '' : datum.label")
"""An axis of whole numbers: Vega puts ticks at halves where there are few, and rounds labels."""


def _panel(
    where: str,
    colour: alt.Color,
    title: str,
    heading: str | None,
    *,
    seeds: bool = True,
    onsets: bool = False,
    shares: bool = False,
) -> alt.LayerChart:
    scale = alt.Scale(domain=[0, 1]) if shares else alt.Scale()
    base = (
        alt.Chart(title=title)
        .transform_filter(where)
        .encode(
            x=alt.X("update:Q", title="update", axis=WHOLE),
            y=alt.Y("value:Q", title=heading, scale=scale),
            color=colour,
            tooltip=[
                alt.Tooltip("arm:N"),
                alt.Tooltip("seed:Q"),
                alt.Tooltip("base:Q", title="base policy"),
                alt.Tooltip("update:Q"),
                alt.Tooltip("of:N", title="what"),
                alt.Tooltip("value:Q", format=".3f"),
            ],
        )
    )
    layers = [base.transform_filter("datum.kind=='mean'").mark_line(strokeWidth=2)]
    if seeds:
        thin = base.transform_filter("datum.kind=='seed'").mark_line(strokeWidth=0.7, opacity=0.4)
        layers.insert(0, thin.encode(detail=["base:N", "seed:N"]))
    if onsets:
        marks = base.transform_filter("datum.kind=='onset'")
        layers.append(marks.mark_point(shape="diamond", filled=True, size=70, opacity=0.8))
    return alt.layer(*layers)
