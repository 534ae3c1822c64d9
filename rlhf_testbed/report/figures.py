"""A picture, and the very rows that it draws: SVG, PNG and CSV beside a page, and a spec in it.

    Figure("threat_plane", "The threat plane", "A dot a training seed ...", chart, rows)

    report/threat_plane.svg, threat_plane.png, threat_plane.csv; asked for, threat_plane.pdf

A chart holds no colours of paper or ink: those are added when it is written, and the page has its
own, for light and for dark. Every row that is drawn is in `rows`, and so in the CSV.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import altair as alt
import vl_convert

from rlhf_testbed.report.palette import on_white
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import write_text, written_whole

Chart: TypeAlias = (
    alt.Chart | alt.LayerChart | alt.HConcatChart | alt.VConcatChart | alt.ConcatChart
)
Rows: TypeAlias = Sequence[Mapping[str, Any]]

SMALL = {"width": 230, "height": 190}
"""A panel, where there are many."""
THREATS = {"threat_1": "threat 1 (share)", "threat_2": "threat 2 (nats)"}
"""Both threats as an axis has them, with their units."""
SHARES = (-0.03, 1.03)
"""The axis of a share: all of it, with what lies at its ends whole."""
LISTED = 60
"""Arms that a legend names."""
THIN_FROM = 400
"""Dots of a picture from which on they get smaller and thinner."""
DRAWERS: Mapping[str, Callable[[dict[str, Any]], bytes]] = {
    "png": lambda spec: bytes(vl_convert.vegalite_to_png(spec, scale=2)),
    "svg": lambda spec: str(vl_convert.vegalite_to_svg(spec)).encode(),
    "pdf": lambda spec: bytes(vl_convert.vegalite_to_pdf(spec)),
}
"""How a picture is drawn, by the ending of its file. A PDF is for papers: letters stay letters."""
PICTURES = ("png", "svg")
"""What is drawn where nothing else is asked for: a PDF takes as long as either."""
ADDRESSES = 2**37
"""Bytes of addresses with which pictures can be drawn; with a third of them they could not."""

PAPER: dict[str, Any] = {
    "background": "white",
    "view": {"stroke": "#dddddd"},
    "axis": {
        "gridColor": "#eeeeee",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "header": {"labelFontSize": 13, "titleFontSize": 12},
    "legend": {
        "orient": "top",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "symbolOpacity": 1,
    },
    "title": {"fontSize": 13, "subtitleFontSize": 12, "offset": 12, "anchor": "start"},
}
"""How a picture on disk looks; the page's own counterpart is in `assets/charts.js`."""


DRAWN = alt.NamedData(name="drawn")
"""What every chart draws: the rows of its figure, which come into the spec at the end. (Altair
would check each of them against a schema, for minutes.)"""
NAMES = alt.NamedData(name="names")
"""Names that were laid out beside what they name, a row each: no data, so that no CSV has them."""
AXIS, UNTITLED = 62, 48
"""Pixels that a panel's vertical axis takes, and one without a title."""


@dataclass(frozen=True)
class Figure:
    """One picture of a report."""

    name: str
    """The name of its files, without an ending."""
    title: str
    caption: str
    chart: Chart
    """Draws the data `DRAWN`, and the names `NAMES`."""
    rows: Rows
    names: Rows = ()
    around: float = AXIS
    """Pixels that a panel takes beside its width: its axis, and names at its right."""
    least: float = 230
    """Pixels below which no panel should be narrow where another row of panels would do."""

    def spec(self) -> dict[str, Any]:
        """The Vega-Lite spec with its rows, without colours of paper and ink."""
        spec: dict[str, Any] = self.chart.to_dict()
        spec.pop("config", None)
        datasets = {DRAWN.name: plain(self.rows)}
        if self.names:
            datasets[NAMES.name] = plain(self.names)
        room = {"around": math.ceil(self.around), "least": self.least}
        return spec | {"datasets": datasets, "usermeta": room}

    def printed(self) -> dict[str, Any]:
        """The same as it is on paper: with its colours, the title and the caption."""
        legend = {**PAPER["legend"], "columns": _columns(self.rows)}
        lines = wrapped(self.caption)
        title = {"text": self.title, "subtitle": lines, "anchor": "start", "fontSize": 16}
        spec = self.spec() | {"config": {**PAPER, "legend": legend}, "title": title}
        datasets = spec.pop("datasets")
        printed: dict[str, Any] = json.loads(on_white(json.dumps(spec)))
        return printed | {"datasets": datasets}

    def altair(self) -> Chart:
        """The same as a chart of Altair, for notebooks."""
        printed = self.printed()
        datasets = printed.pop("datasets")
        chart: Chart = alt.Chart.from_dict(printed)
        chart.datasets = datasets
        return chart


def write(figure: Figure, folder: Path) -> list[Path]:
    """Writes a figure's PNG, SVG and CSV to a folder; returns the files in that order."""
    file = folder / f"{figure.name}.csv"
    write_text(file, as_csv(figure.rows))
    return [*save(figure, folder), file]


def refuse_little_memory() -> None:
    """Raises `UsageError` under a limit of address space: what draws would end the program.

    V8, which it runs in, reserves tens of gigabytes of addresses, most of which it never uses.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < ADDRESSES:
        raise UsageError(
            f"pictures can't be drawn under a limit of {limit / 2**30:.0f} GiB of addresses "
            "(right: ulimit -v unlimited; a limit of memory itself does no harm)"
        )


def save(figure: Figure, folder: Path, endings: Sequence[str] = PICTURES) -> list[Path]:
    """Writes a figure in formats of `DRAWERS`; returns the files, in that order.

    Raises `UsageError` under a limit of memory, which would end the program.
    """
    refuse_little_memory()
    spec, files = figure.printed(), []
    for ending in endings:
        file = folder / f"{figure.name}.{ending}"
        with written_whole(file) as aside:
            aside.write_bytes(DRAWERS[ending](spec))
        files.append(file)
    return files


def _columns(rows: Rows) -> int:
    """Columns of a legend of arms that is about as wide as two panels."""
    longest = max((len(str(row.get("arm", ""))) for row in rows), default=0)
    return max(1, int(780 // (50 + 6.5 * longest)))


def as_csv(rows: Rows) -> str:
    """Rows as CSV with a header; what is missing is left empty.

    >>> as_csv([{"arm": "both", "rate": 0.5}, {"arm": "habit", "rate": None, "of": 3}])
    'arm,rate,of\\nboth,0.5,\\nhabit,,3\\n'
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def plain(rows: Rows) -> list[dict[str, Any]]:
    """Rows as JSON has them: what is not a finite number is None."""
    found: list[dict[str, Any]] = json.loads(
        json.dumps([dict(row) for row in rows], default=float), parse_constant=lambda _: None
    )
    return found


def arm_colour(colours: Mapping[str, str], arms: Sequence[str], *, told: bool) -> alt.Color:
    """Each arm's colour; with a legend unless the arms are `told` by names in the picture."""
    scale = alt.Scale(domain=list(arms), range=[colours[arm] for arm in arms])
    legend = None if told else alt.Legend(title=None, labelLimit=300, symbolLimit=LISTED)
    return alt.Color("arm:N", scale=scale, legend=legend)


def having(field: str, value: str) -> str:
    """An expression of Vega that holds for the rows of which a field has that value.

    >>> having("arm", "both")
    'datum.arm=="both"'
    """
    return f"datum.{field}=={json.dumps(value)}"


def dot(runs: int, size: float = 60, opacity: float = 0.45) -> dict[str, float]:
    """How a dot a run is drawn: the smaller and thinner the more there are, from some hundreds on.

    >>> dot(100), dot(40_000)
    ({'size': 60, 'opacity': 0.45}, {'size': 6.0, 'opacity': 0.1})
    """
    if runs <= THIN_FROM:
        return {"size": size, "opacity": opacity}
    share = math.sqrt(THIN_FROM / runs)
    return {"size": max(6.0, size * share), "opacity": max(0.1, opacity * share)}


def wrapped(text: str, width: int = 84) -> list[str]:
    """Text in lines of at most `width` characters, broken between words."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
