"""Over-optimisation: proxy and gold score against √KL, a panel an arm, with the fitted forms.

Gao et al. 2022 (arXiv 2210.10760): as KL grows the proxy goes on rising, and the gold score may
turn. Drawn from `proxy_and_gold.json` of each run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np

from rlhf_testbed.arrays import Floats
from rlhf_testbed.measures.overoptimization import best_of_n_form, rl_form
from rlhf_testbed.over_seeds import SCORES
from rlhf_testbed.report.figures import COLOURS, DRAWN, SMALL, Figure, plain
from rlhf_testbed.report.sources import RunRecord

FORMS: Mapping[str, tuple[str, Callable[..., Floats]]] = {
    "training": ("rl_form", rl_form),
    "best_of_n": ("best_of_n_form", best_of_n_form),
}
"""Which form is drawn through which points: its name in the file, and the form."""


def figure(runs: Sequence[RunRecord]) -> Figure | None:
    """Proxy and gold score against √KL, of PPO and of best-of-n, with the fitted forms."""
    rows = plain(
        [
            row
            for run in runs
            for means, found in run.records.get("proxy_and_gold", {}).items()
            for row in _scores(run, means, found)
        ]
    )
    if not rows:
        return None
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    scores = [name for name in SCORES if any(row["of"] == name for row in rows)]
    panels = [_score_panel(arm, scores) for arm in arms]
    return Figure(
        "proxy_and_gold",
        "Proxy and gold against √KL",
        "The training overseer's score (proxy) and the full-knowledge one (gold), above the base "
        "population's. Circles: PPO, a twelfth of its updates each; triangles: best-of-n, without "
        "training; lines: the fitted forms of the gold score (docs/METRICS.md).",
        alt.concat(*panels, data=DRAWN, columns=3),
        rows,
    )


def _scores(run: RunRecord, means: str, found: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """A run's points, and a curve for the gold score where a form was fitted."""
    here = {"arm": run.arm, "seed": run.seed, "means": means}
    points = found["points"]
    for point in points:
        for of in (name for name in SCORES if name in point):
            at = {name: point[name] for name in ("update", "n") if name in point}
            yield {"kind": "point", **here, "of": of, "d": point["d"], "value": point[of], **at}
    name, form = FORMS[means]
    alpha, beta = (found[name][letter] for letter in ("alpha", "beta"))
    if alpha is None or beta is None:
        return
    distances = np.linspace(0, max(point["d"] for point in points), 25)
    drawn = zip(distances.tolist(), form(distances, alpha, beta).tolist(), strict=True)
    for d, value in drawn:
        yield {"kind": "form", **here, "of": "gold", "d": d, "value": value}


def _score_panel(arm: str, scores: Sequence[str]) -> alt.LayerChart:
    colour = alt.Color(
        "of:N",
        scale=alt.Scale(domain=list(scores), range=list(COLOURS[: len(scores)])),
        legend=alt.Legend(title=None),
    )
    shape = alt.Shape(
        "means:N",
        scale=alt.Scale(domain=["training", "best_of_n"], range=["circle", "triangle-up"]),
        legend=alt.Legend(title=None, labelExpr="replace(datum.label, /_/g, '-')"),
    )
    told = [alt.Tooltip(f"{name}:Q") for name in ("seed", "update", "n")]
    base = (
        alt.Chart()
        .transform_filter(f"datum.arm=='{arm}'")
        .encode(
            x=alt.X("d:Q", title="√KL from base (√nats)"),
            y=alt.Y("value:Q", title="score above base"),
            color=colour,
            tooltip=[*told, alt.Tooltip("value:Q", format=".3f")],
        )
    )
    points = base.transform_filter("datum.kind=='point'")
    forms = base.transform_filter("datum.kind=='form'")
    return (
        alt.layer(
            forms.mark_line(strokeWidth=1, opacity=0.7).encode(
                detail=["seed:N", "means:N"], strokeDash=alt.StrokeDash("means:N", legend=None)
            ),
            points.mark_point(filled=True, size=40, opacity=0.75).encode(shape=shape),
        )
        .properties(title=arm, **SMALL)
        .resolve_scale(strokeDash="independent")
    )
