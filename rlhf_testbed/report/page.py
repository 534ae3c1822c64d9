"""The page: one HTML file that asks for nothing from anywhere, and its pictures beside it.

    write_report(Path("runs/corridor"))      runs/corridor/report/index.html, threat_plane.svg, ...
    write_browser(Path("runs/corridor"))     runs/corridor/report/generations.html

Its scripts are in it, and a browser is told to run those and no others (a content security policy
with their hashes): a response can't become one, whatever it holds.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rlhf_testbed.report import contents, figures
from rlhf_testbed.report.contrast_tables import left_out_told, variance, why_decided
from rlhf_testbed.report.drawing import Shown, examples
from rlhf_testbed.report.figures import Figure, refuse_little_memory
from rlhf_testbed.report.folds import parted
from rlhf_testbed.report.gathered import Gathered, gather
from rlhf_testbed.report.headline import headline
from rlhf_testbed.report.run_record import Missing
from rlhf_testbed.report.sentences import (
    alike,
    bounded,
    commit_told,
    inference_told,
    n_of,
    ranged,
    seeds_told,
    short,
    symbol_of,
    told_figure,
)
from rlhf_testbed.report.sources import Source
from rlhf_testbed.report.table import optimised
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import pasted, write_text
from rlhf_testbed.store.experiment_records import About
from rlhf_testbed.tasks.base import SYMBOLS

FOLDER = "report"
SCRIPTS = (
    *("store", "nodes", "browser", "drawings", "facts", "generation", "glance"),
    *("charts", "dots", "whole", "main"),
)


class Script(NamedTuple):
    """A script of the page, and the hash by which the page names it."""

    text: Markup
    digest: str


def write_report(path: Path, *, pdf: bool = False) -> Path:
    """Writes the report of a run or an experiment; returns the page. Raises `UsageError`."""
    return report_of(Source.of(path), pdf=pdf)


def report_of(source: Source, *, pdf: bool = False) -> Path:
    """Writes the report of what was read; returns the page. Raises `UsageError`.

    `pdf`: every picture also as PDF, for a paper.
    """
    gathered = gather(source)
    drawn = contents.pictures(source, gathered.histories)
    shown, lacks = _shown(source)
    folder = source.path / FOLDER
    for figure in drawn:
        figures.write(figure, folder)
        if pdf:
            figures.save(figure, folder, ("pdf",))
    write_text(folder / "measures.csv", figures.as_csv(contents.every_measure(source)))
    sections = [(name, [f for f in drawn if f.name in of]) for name, of in contents.ORDER.items()]
    content = {
        "source": source,
        "results": source.results,
        "headline": headline(source.results, source.bound),
        "asked": contents.asked(source),
        "verdicts": contents.verdicts(source),
        "columns": contents.columns(source.results),
        "head": [figure for figure in drawn if figure.name in contents.HEAD],
        "sections": {name: found for name, found in sections if found},
        "orders": contents.orders(source.results),
        "notes": contents.notes(source.results),
        "heritability": contents.heritabilities(gathered.histories),
        "inflation": contents.inflation(source.results),
        "over_optimisation": optimised(source.results),
        "made": _made(source.results.about),
        "settings": yaml.safe_dump(source.shown_settings, sort_keys=False, allow_unicode=True),
        "symbols": SYMBOLS,
        "shown": shown,
        **_shared(source, gathered, lacks),
    }
    return _write(folder / "index.html", "report.html.j2", content, with_charts=True)


def write_browser(path: Path) -> Path:
    """Writes the page of generations alone; returns it. Raises `UsageError`."""
    source = Source.of(path)
    content = _shared(source, gather(source))
    return _write(path / FOLDER / "generations.html", "generations.html.j2", content)


def _shown(source: Source) -> tuple[Shown | None, list[Missing]]:
    """An example of each kind of scenario; none, and why, where the task can't tell."""
    try:
        return examples(source), []
    except UsageError as error:
        return None, [Missing("an example of each kind of scenario", str(error), "")]


def _shared(source: Source, gathered: Gathered, lacks: Sequence[Missing] = ()) -> dict[str, Any]:
    """What both pages hold."""
    return {
        "path": str(source.path),
        "task": source.task,
        "title": f"{source.task}: {source.path.resolve().name}",
        "missing": summed([*source.missing, *gathered.missing, *lacks]),
        "store": gathered.store,
        "every": gathered.every,
        "close": contents.close(source),
        "anew": [run for run in gathered.store.runs if run["anew"]],
        "packed": Markup(gathered.store.packed()) if len(gathered.store) else None,
    }


def _made(about: About) -> dict[str, str]:
    """When, where and by what the results were made, as far as that is known."""
    found = {
        "base policies": contents.listed(about.base_seeds),
        "seeds": contents.listed(about.seeds),
        "config": about.config,
        "date": about.date,
        "commit": commit_told(about),
        "python": about.python,
        "platform": about.platform,
        "cores": str(about.cores or ""),
        "memory (GiB)": "" if math.isnan(about.memory_gib) else f"{about.memory_gib:g}",
        **about.libraries,
    }
    return {name: text for name, text in found.items() if text}


def summed(missing: Sequence[Missing]) -> list[tuple[Missing, int]]:
    """What is missing, each kind once with its first reason, and how many more there are."""
    kinds: dict[str, list[Missing]] = {}
    for one in missing:
        kinds.setdefault(one.what, []).append(one)
    return [(found[0], len(found) - 1) for found in kinds.values()]


def _write(
    file: Path, template: str, content: Mapping[str, Any], *, with_charts: bool = False
) -> Path:
    libraries = [_vega(), _datatables()] if with_charts else [_datatables()]
    own = "\n".join(_asset(f"{name}.js") for name in SCRIPTS)
    scripts = [_script(text) for text in (*libraries, own)]
    hashes = " ".join(f"'{script.digest}'" for script in scripts)
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src 'unsafe-eval' {hashes}",
            "style-src 'unsafe-inline'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    style = Markup(_asset("page.css"))
    page = _environment().get_template(template)
    text = page.render(**content, scripts=scripts, policy=policy, style=style)
    try:
        write_text(file, text)
    except OSError as error:
        raise UsageError(f"{file}: can't be written: {error.strerror}") from None
    return file


def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("rlhf_testbed.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"told": told_figure, "short": short, "in_script": in_script, "spec": _spec}
    found.filters |= {"quote": pasted, "seeds_told": seeds_told}
    found.filters |= {"inference": inference_told, "why": why_decided, "n": n_of}
    found.filters |= {"symbol": symbol_of, "parted": parted, "signed": _signed}
    found.filters |= {"left_out": left_out_told, "variance": variance}
    found.tests["bounded"] = bounded
    found.tests["ranged"] = ranged
    found.tests["alike"] = alike
    return found


def _signed(score: float) -> str:
    """A score as the page's scripts tell it.

    >>> _signed(-0.2), _signed(1.0)
    ('−0.20', '+1.00')
    """
    return f"{score:+.2f}".replace("-", "−")


def in_script(value: object) -> Markup:
    """JSON that can stand in a script element: nothing in it can end the element.

    >>> in_script("</script>")
    Markup('"\\\\u003c/script\\\\u003e"')
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _spec(figure: Figure) -> Markup:
    return in_script(figure.spec())


def _script(text: str) -> Script:
    """A script of our own or of a library, safe to stand in a page."""
    safe = re.sub(r"</(script)", r"<\\/\1", text, flags=re.IGNORECASE)
    digest = base64.b64encode(hashlib.sha256(safe.encode()).digest()).decode()
    return Script(Markup(safe), f"sha256-{digest}")


def _asset(name: str) -> str:
    return (files("rlhf_testbed.report") / "assets" / name).read_text(encoding="utf-8")


@cache
def _vega() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script, as vl-convert brings them."""
    import vl_convert

    refuse_little_memory()

    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return f"(() => {{{bundle}}})();"


@cache
def _datatables() -> str:
    """DataTables as itables brings it for use offline, in one script: `window.itables.default`.

    itables has it as a module, from which an inline script can't import. So what the module exports
    becomes an object instead.
    """
    from itables.options import dt_bundle

    module = Path(dt_bundle).read_text(encoding="utf-8")
    export = re.compile(r"\bexport *\{([^{}]*)\};")
    (names,) = export.findall(module)
    pairs = re.findall(r"([\w$]+) as ([\w$]+)", names)
    exported = ", ".join(f"{name}: {local}" for local, name in pairs)
    body = export.sub(lambda match: f"window.itables = {{{exported}}};", module)
    return f'(() => {{"use strict"; {body}}})();'
