"""Dose and response: a threat against a dial; a heat map where two dials were varied.

Drawn for experiments with `vary`, also of settings that are numbers: means with 95 % intervals, a
dot a run. Arms that differ in more than that (both and habit; two overseers) have a curve each, or
a map each.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from rlhf_testbed.report.figures import DRAWN, THREATS, Chart, Figure, dot, plain
from rlhf_testbed.report.sentences import bars_told, ends, seeds_told, symbol_of
from rlhf_testbed.store.experiment_records import Results
from rlhf_testbed.tasks.base import SYMBOLS

ACCENT = "#0072b2"


def varied_dials(results: Results) -> list[str]:
    """The dials, options of the task and settings that take more than one value within an arm, and
    are a number in every arm."""
    arms = results.arms.values()
    names = dict.fromkeys(name for arm in arms for name in arm.varied)
    return [
        name
        for name in names
        if all(name in arm.varied for arm in arms)
        and len({arm.varied[name] for arm in arms}) > 1
        and any(f" {name}=" in arm for arm in results.arms)
    ]


def titled(dial: str) -> str:
    """A dial with its symbol, an option in words.

    >>> titled("diversity"), titled("liars_in_sight")
    ('δ (diversity)', 'liars in sight')
    """
    return f"{symbol_of(dial)} ({dial})" if dial in SYMBOLS else symbol_of(dial)


def figure(results: Results) -> Figure | None:
    """The picture with its rows; None where neither one nor two dials were varied."""
    dials = varied_dials(results)
    if len(dials) not in (1, 2):
        return None
    curves = len(dials) == 1
    runs = sum(len(arm.runs) for arm in results.arms.values())
    over = f"means over {seeds_told(results)}"
    told = (
        f"with {bars_told(results, THREATS)}; a dot a run"
        if curves
        else "intervals are in the table of arms"
    )
    names = " and ".join(map(titled, dials))
    rows = plain(_rows(results, dials))
    return Figure(
        name="dose_and_response",
        title=f"{results.task}: both threats by {names}",
        caption=f"{over}; {told}",
        chart=_curves(dials[0], runs, _of(rows)) if curves else _maps(dials, rows),
        rows=rows,
    )


def without(arm: str, dials: Sequence[str]) -> str:
    """An arm's name without what was dosed.

    >>> without("both kl_coef=0.01 overseer=noisy", ["kl_coef"])
    'both overseer=noisy'
    """
    kept = [word for word in arm.split() if word.partition("=")[0] not in dials]
    return " ".join(kept)


def _of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What has a curve or a map of its own."""
    return list(dict.fromkeys(str(row["of"]) for row in rows))


def _rows(results: Results, dials: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each arm's mean and, where one dial was varied, for each seed."""
    rows: list[dict[str, Any]] = []
    for name, arm in results.arms.items():
        doses = {dial: arm.varied[dial] for dial in dials}
        here = {"arm": name, "of": without(name, dials), **doses}
        for threat in THREATS:
            found = arm.figure(threat)
            if found is not None:
                low, high = ends(found)
                row = {"kind": "mean", "threat": threat, **here, "mean": found.mean}
                rows.append({**row, "low": low, "high": high})
            if len(dials) == 1:
                runs = arm.runs
                rows += [
                    {"kind": "seed", "threat": threat, **here, "seed": seed, "mean": value}
                    for seed, value in zip(runs.seeds, runs.figure(threat), strict=True)
                    if not math.isnan(value)
                ]
    return rows


def _curves(dial: str, runs: int, of_arms: Sequence[str]) -> Chart:
    panels, dots = [], dot(runs, size=45, opacity=0.4)
    colours: Any = alt.Color("of:N", title="arm", sort=list(of_arms))
    colour = alt.value(ACCENT) if len(of_arms) == 1 else colours
    for threat, heading in THREATS.items():
        across = alt.X(f"{dial}:O", title=titled(dial), axis=alt.Axis(labelAngle=0))
        told = [alt.Tooltip(f"{dial}:Q"), alt.Tooltip("mean:Q", format=".3f")]
        of = {
            kind: alt.Chart()
            .transform_filter(f"datum.kind=='{kind}' && datum.threat=='{threat}'")
            .encode(x=across, tooltip=told, color=colour)
            for kind in ("mean", "seed")
        }
        # Threat 1 is a share: its axis shows all of it, also where nothing of it is there.
        scale = alt.Scale(domain=[0, 1]) if threat == "threat_1" else alt.Scale()
        up = alt.Y("mean:Q", title=heading, scale=scale)
        panels.append(
            alt.layer(
                of["seed"].mark_circle(**dots).encode(y=up),
                of["mean"]
                .mark_rule(strokeWidth=2)
                .encode(y=alt.Y("low:Q", title=heading, scale=scale), y2="high:Q"),
                of["mean"].mark_line(point=True).encode(y=up),
            ).properties(width=340, height=280)
        )
    return alt.concat(*panels, data=DRAWN, columns=2)


def _maps(dials: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Chart:
    """A map for each arm and threat; the maps of a threat share their colours."""
    panels, of_arms = [], _of(rows)
    for arm, (threat, heading) in itertools.product(of_arms, THREATS.items()):
        told = heading if len(of_arms) == 1 else f"{heading}, {arm}"
        base = (
            alt.Chart(title=told)
            .transform_filter(f"datum.threat=='{threat}' && datum.of=='{arm}'")
            .encode(
                x=alt.X(f"{dials[0]}:O", title=titled(dials[0]), axis=alt.Axis(labelAngle=0)),
                y=alt.Y(f"{dials[1]}:O", title=titled(dials[1]), sort="descending"),
            )
        )
        means = [row["mean"] for row in rows if row["threat"] == threat]
        low, high = (min(means), max(means)) if means else (0, 1)
        scale = alt.Scale(scheme="viridis", domain=[low, high])
        shade = alt.Color("mean:Q", scale=scale, legend=None)
        # Viridis is light above the middle of its range, and white can't be read on it.
        light = f"datum.mean > {(low + high) / 2}"
        ink = alt.condition(light, alt.value("black"), alt.value("white"))
        panels.append(
            alt.layer(
                base.mark_rect().encode(color=shade),
                base.mark_text().encode(text=alt.Text("mean:Q", format=".2f"), fill=ink),
            ).properties(width=300, height=300)
        )
    return alt.concat(*panels, data=DRAWN, columns=2).resolve_scale(color="independent")
