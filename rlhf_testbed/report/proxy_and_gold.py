"""Over-optimisation: proxy and gold score against √KL, a panel an arm, with the fitted forms.

Gao et al. 2022 (arXiv 2210.10760): as KL grows the proxy goes on rising, and the gold score may
turn. Drawn from `proxy_and_gold.json` of each run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np

from rlhf_testbed.experiment.over_seeds import SCORES
from rlhf_testbed.measures.overoptimization import best_of_n_form, rl_form
from rlhf_testbed.report.figures import DRAWN, SMALL, Figure, having, plain
from rlhf_testbed.report.line_panels import domain_of
from rlhf_testbed.report.over_runs import titled
from rlhf_testbed.report.palette import KNOWING, OVERSEER, TEACHER
from rlhf_testbed.report.run_record import RunRecord
from rlhf_testbed.report.table import method_told
from rlhf_testbed.store.run_records import Curve

SHAPES = {
    "circle": "circles",
    "triangle-up": "triangles",
    "square": "squares",
    "diamond": "diamonds",
    "cross": "crosses",
}
"""The shapes of points, a method each, and what a caption calls them."""


COLOURS = dict(zip(SCORES, (OVERSEER, KNOWING, TEACHER), strict=True))
"""Of each score: that of whoever gives it, here and wherever else its approval is drawn."""


def figure(runs: Sequence[RunRecord]) -> Figure | None:
    """Proxy and gold score against √KL, by selection method, with the fitted forms."""
    curves = {run.name: run.proxy_and_gold.curves for run in runs if run.proxy_and_gold}
    rows = plain(
        [
            row
            for run in runs
            for method, curve in curves.get(run.name, {}).items()
            for row in _scores(run, method, curve)
        ]
    )
    if not rows:
        return None
    judged = [(run.arm, run.base_seed, run.seed) for run in runs if curves.get(run.name)]
    scores = [name for name in SCORES if any(row["of"] == name for row in rows)]
    along = {method: curve.along for found in curves.values() for method, curve in found.items()}
    trained = [method for method in along if along[method] == "update"]
    methods = [*trained, *(method for method in along if method not in trained)]
    axes = _axes(domain_of(rows, "d"), domain_of(rows))  # one pair: the arms are compared
    panels = []
    for arm in dict.fromkeys(row["arm"] for row in rows):
        title = titled(arm, judged)
        panels.append(_score_panel(arm, scores, methods, axes).properties(title=title, **SMALL))
    return Figure(
        "proxy_and_gold",
        "Proxy and gold against √KL",
        "The training overseer's score (proxy) and the full-knowledge one (gold), above the base "
        f"policy's. {_legend(methods, trained)}; lines: the fitted forms of the gold score "
        "(docs/METRICS.md).",
        alt.concat(*panels, data=DRAWN, columns=3),
        rows,
    )


def _legend(methods: Sequence[str], trained: Sequence[str]) -> str:
    """What each shape of a point is.

    >>> _legend(["ppo", "best_of_n"], ["ppo"])
    'Circles: PPO, a twelfth of its updates each; triangles: best of n, without training'
    """
    told = []
    for method, shape in zip(methods, SHAPES, strict=False):
        how = "a twelfth of its updates each" if method in trained else "without training"
        told.append(f"{SHAPES[shape]}: {method_told(method)}, {how}")
    text = "; ".join(told)
    return text[:1].upper() + text[1:]


def _scores(run: RunRecord, method: str, curve: Curve) -> Iterator[dict[str, Any]]:
    """A run's points, and a curve for the gold score where a form was fitted."""
    here = {"arm": run.arm, "seed": run.seed, "base": run.base_seed, "method": method}
    for point in curve.points:
        for of in (name for name in SCORES if name in point.scores):
            at = {"d": point.d, "value": point.scores[of], curve.along: point.at}
            yield {"kind": "point", **here, "of": of, **at}
    trained = curve.along == "update"
    fitted = curve.rl_form if trained else curve.best_of_n_form
    if math.isnan(fitted.alpha) or math.isnan(fitted.beta) or not curve.points:
        return
    form = rl_form if trained else best_of_n_form
    distances = np.linspace(0, max(point.d for point in curve.points), 25)
    values = form(distances, fitted.alpha, fitted.beta)
    for d, value in zip(distances.tolist(), values.tolist(), strict=True):
        yield {"kind": "form", **here, "of": "gold", "d": d, "value": value}


def _axes(across: tuple[float, float], up: tuple[float, float]) -> dict[str, alt.X | alt.Y]:
    """The axes of all panels."""
    scales = [alt.Scale(domain=list(domain), nice=False, zero=False) for domain in (across, up)]
    return {
        "x": alt.X("d:Q", title="√KL from base policy (√nats)", scale=scales[0]),
        "y": alt.Y("value:Q", title="score above base policy", scale=scales[1]),
    }


def _score_panel(
    arm: str, scores: Sequence[str], methods: Sequence[str], axes: Mapping[str, alt.X | alt.Y]
) -> alt.LayerChart:
    colour = alt.Color(
        "of:N",
        scale=alt.Scale(domain=list(scores), range=[COLOURS[score] for score in scores]),
        legend=alt.Legend(title=None),
    )
    shape = alt.Shape(
        "method:N",
        scale=alt.Scale(domain=list(methods), range=list(SHAPES)[: len(methods)]),
        legend=alt.Legend(title=None, labelExpr="replace(datum.label, /_/g, '-')")
        if len(methods) > 1
        else None,
    )
    told = [alt.Tooltip(f"{name}:Q") for name in ("base", "seed", "update", "n")]
    base = (
        alt.Chart()
        .transform_filter(having("arm", arm))
        .encode(
            **axes,
            color=colour,
            tooltip=[*told, alt.Tooltip("value:Q", format=".3f")],
        )
    )
    points = base.transform_filter("datum.kind=='point'")
    forms = base.transform_filter("datum.kind=='form'")
    return alt.layer(
        forms.mark_line(strokeWidth=1, opacity=0.7).encode(
            detail=["base:N", "seed:N", "method:N"],
            strokeDash=alt.StrokeDash("method:N", legend=None),
        ),
        points.mark_point(filled=True, size=40, opacity=0.75).encode(shape=shape),
    ).resolve_scale(strokeDash="independent")
