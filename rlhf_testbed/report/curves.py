"""Through training: both threats, selection and response of each trait, approval.

    both_threats(runs)       threat 1 and threat 2 against updates, a line an arm, onsets marked
    approval(histories)      by the training overseer and by full knowledge, a panel an arm

A thin line is a training seed, a thick one the mean over the seeds that have the update. Each
function gives None where there is nothing to draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

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
from rlhf_testbed.report.sources import RunRecord

WIDE = {"width": 420, "height": 260}
MANY = 7
"""With more arms than this, lines of single seeds are left out."""
THIN = "Thin lines: training seeds; thick:"


class History(NamedTuple):
    """One run, update by update, as `history.as_table` has it."""

    arm: str
    seed: int
    updates: Rows
    heritability: Mapping[str, Mapping[str, Any]]

    @property
    def traits(self) -> list[str]:
        """The traits that it names."""
        first = self.updates[0] if self.updates else {}
        return [name.removeprefix("rate of ") for name in first if name.startswith("rate of ")]


def both_threats(runs: Sequence[RunRecord]) -> Figure | None:
    """Threat 1 and threat 2 at every kept policy, with the seeds' onsets as diamonds."""
    points = [
        {"arm": run.arm, "seed": run.seed, "update": point["update"], "of": of, "value": point[key]}
        for run in runs
        for point in run.records.get("trajectory", {}).get("checkpoints", [])
        for key, of in THREATS.items()
    ]
    if not points:
        return None
    onsets = [
        {"kind": "onset", "arm": run.arm, "seed": run.seed, "update": update, "of": of, "value": at}
        for run in runs
        for key, of in THREATS.items()
        for update in [(run.measures or {}).get(f"onset_{key}")]
        if update is not None
        for at in [_value_at(run, key, update)]
    ]
    rows = plain([*with_means(points), *onsets])
    return Figure(
        "threats_through_training",
        "Both threats through training",
        f"{_told(rows)} Diamonds: onsets, the update at which a "
        "seed's curve first reaches half of its final value. Update 0 is the base population.",
        _lines(rows, list(THREATS.values()), WIDE, onsets=bool(onsets)),
        rows,
    )


def _value_at(run: RunRecord, key: str, update: float) -> float | None:
    checkpoints = run.records.get("trajectory", {}).get("checkpoints", [])
    return next((point[key] for point in checkpoints if point["update"] == update), None)


def threat_1_in_training(histories: Sequence[History]) -> Figure | None:
    """Threat 1 of each update's own episodes, from the ledger alone."""
    rows = _of_updates(histories, {"threat_1": "threat 1 (share of exposed episodes)"})
    if not rows:
        return None
    return Figure(
        "threat_1_in_training",
        "Threat 1 in the episodes of training",
        "Of each update's exposed episodes, the share that was approved and unwanted. "
        f"{_told(rows)}",
        _lines(rows, ["threat 1 (share of exposed episodes)"], WIDE, shares=True),
        rows,
    )


def selection_differentials(histories: Sequence[History]) -> Figure | None:
    """What each update's advantages selected, a panel a trait."""
    return _by_trait(
        histories,
        "differential",
        "selection_differential",
        "Selection differential of each trait",
        "Covariance of advantage and trait over an update's episodes: above 0, the update made the "
        "trait more likely.",
    )


def trait_rates(histories: Sequence[History]) -> Figure | None:
    """How common each trait is from update to update: the response to selection."""
    return _by_trait(
        histories,
        "rate",
        "response_to_selection",
        "Response: how common each trait became",
        "Share of an update's episodes that show the trait.",
    )


def _by_trait(
    histories: Sequence[History], figure: str, name: str, title: str, caption: str
) -> Figure | None:
    traits = dict.fromkeys(trait for history in histories for trait in history.traits)
    rows = _of_updates(histories, {f"{figure} of {trait}": trait for trait in traits})
    if not rows:
        return None
    chart = _lines(rows, list(traits), {**WIDE, "height": 190}, shares=figure == "rate")
    return Figure(name, title, f"{caption} {_told(rows)}", chart, rows)


def approval(histories: Sequence[History]) -> Figure | None:
    """Approval by the training overseer against full knowledge, a panel an arm."""
    judges = {
        "approval": "approved by the training overseer",
        "approval_by_full_knowledge": "approved under full knowledge",
    }
    rows = _of_updates(histories, judges)
    if not rows:
        return None
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    domain, colours = list(judges.values()), [COLOURS[0], COLOURS[1]]
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


def _of_updates(histories: Sequence[History], columns: Mapping[str, str]) -> list[dict[str, Any]]:
    """Columns of the histories in long form (`of` names the column), and their means."""
    rows = [
        {
            "arm": history.arm,
            "seed": history.seed,
            "update": row["update"],
            "of": of,
            "value": row.get(column),
        }
        for history in histories
        for row in history.updates
        for column, of in columns.items()
    ]
    return plain(with_means(plain(rows)))


def with_means(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Points of seeds, and of each arm and update the mean over the seeds that could be judged."""
    grouped: dict[tuple[Any, ...], list[float]] = {}
    for point in points:
        key = (point["arm"], point["update"], point["of"])
        grouped.setdefault(key, [])
        if point["value"] is not None and point["value"] == point["value"]:
            grouped[key].append(point["value"])
    seeds = [{"kind": "seed", **point} for point in points]
    means = [
        {"kind": "mean", "arm": arm, "update": update, "of": of, "value": float(np.mean(values))}
        for (arm, update, of), values in grouped.items()
        if values
    ]
    return [*seeds, *means]


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
            x=alt.X("update:Q", title="update", axis=alt.Axis(tickMinStep=1, format="d")),
            y=alt.Y("value:Q", title=heading, scale=scale),
            color=colour,
            tooltip=[
                alt.Tooltip("arm:N"),
                alt.Tooltip("seed:Q"),
                alt.Tooltip("update:Q"),
                alt.Tooltip("of:N", title="what"),
                alt.Tooltip("value:Q", format=".3f"),
            ],
        )
    )
    layers = [base.transform_filter("datum.kind=='mean'").mark_line(strokeWidth=2)]
    if seeds:
        thin = base.transform_filter("datum.kind=='seed'").mark_line(strokeWidth=0.7, opacity=0.4)
        layers.insert(0, thin.encode(detail="seed:N"))
    if onsets:
        marks = base.transform_filter("datum.kind=='onset'")
        layers.append(marks.mark_point(shape="diamond", filled=True, size=70, opacity=0.8))
    return alt.layer(*layers)
