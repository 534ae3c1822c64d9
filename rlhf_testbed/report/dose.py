"""Dose and response: a threat against a dial; a heat map where two dials were varied.

Drawn for experiments with `vary`, also of settings that are numbers: means with 95 % intervals, a
dot a run. Arms that differ in more than that (both and habit; two overseers) have a curve each, or
a map each.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import altair as alt

from rlhf_testbed.report.dose_curves import Curves, Panel, named, titled
from rlhf_testbed.report.figures import DRAWN, SHARES, THREATS, Chart, Figure, Rows, having, plain
from rlhf_testbed.report.line_panels import NATS, domain_of
from rlhf_testbed.report.palette import arm_colours
from rlhf_testbed.report.sentences import bars_told, ends, seeds_told
from rlhf_testbed.store.experiment_records import Results


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


def figure(results: Results, colours: Mapping[str, str] | None = None) -> Figure | None:
    """The picture with its rows; None where neither one nor two dials were varied, or no threat
    could be judged. `colours` are those of the page's arms.
    """
    dials = varied_dials(results)
    rows = plain(_rows(results, dials)) if len(dials) in (1, 2) else []
    if not rows:
        return None
    names = " and ".join(map(titled, dials))
    found: dict[str, Any] = {
        "name": "dose_and_response",
        "title": f"{results.task}: both threats by {names}",
        "rows": rows,
    }
    over = f"means over {seeds_told(results)}"
    if len(dials) == 2:
        told = "intervals are in the table of arms"
        return Figure(**found, caption=f"{over}; {told}", chart=_maps(dials, rows))
    curves = Curves.of(rows, dials[0], colours or arm_colours(list(results.arms)))
    panels = list(_panels(curves, rows))
    bars = bars_told(results, THREATS)
    return Figure(
        **found,
        caption=f"{over}, with {bars}; a dot a run{_left_out(results, rows)}",
        chart=alt.concat(*(one.chart for one in panels), data=DRAWN, columns=2),
        **named(panels),
    )


def _panels(curves: Curves, rows: Rows) -> Iterator[Panel]:
    """A panel for each threat that could be judged."""
    for threat, heading in THREATS.items():
        here = [row for row in rows if row["threat"] == threat]
        if here:
            domain = SHARES if threat == "threat_1" else domain_of(here, "mean", NATS)
            yield curves.panel(having("threat", threat), here, domain, heading)


def _left_out(results: Results, rows: Rows) -> str:
    """Which threats have no panel, and why."""
    told = ""
    for threat in THREATS.keys() - {row["threat"] for row in rows}:
        why = dict.fromkeys(arm.reasons.get(threat, "") for arm in results.arms.values())
        told += f"; no {threat.replace('_', ' ')}: {', '.join(filter(None, why)) or 'not judged'}"
    return told


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


def _maps(dials: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Chart:
    """A map for each arm and threat; the maps of a threat share their colours."""
    panels, of_arms = [], _of(rows)
    for arm, (threat, heading) in itertools.product(of_arms, THREATS.items()):
        told = heading if len(of_arms) == 1 else f"{heading}, {arm}"
        base = (
            alt.Chart(title=told)
            .transform_filter(f"{having('threat', threat)} && {having('of', arm)}")
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
