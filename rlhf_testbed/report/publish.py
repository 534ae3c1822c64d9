"""An experiment's results as a folder for a repository: tables as text, figures, pictures.

    rlhf-testbed publish runs/corridor docs/results/corridor --control runs/corridor-drift

    docs/results/corridor/   README.md, results.json, again.yaml, threat_plane.png,
                             dose_and_response.png
                             with --latex: arms.tex, threat_plane.pdf, dose_and_response.pdf

Everything is written from `results.json`; nothing is typed by hand. `again.yaml` is the whole
config, by which the results are made again.
"""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import yaml
from rich.console import Console

from rlhf_testbed.experiment.drift import beside
from rlhf_testbed.report.headline import headline
from rlhf_testbed.report.sentences import commit_told
from rlhf_testbed.report.table import PRINTED
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import read_text, write_text
from rlhf_testbed.store.experiment_records import AGAIN, About, Results
from rlhf_testbed.store.runs_table import read_results, write_results

WIDTH = 100
"""Columns of the tables."""
VERSIONS = ("torch", "trl", "transformers")
"""Libraries whose versions stand at the head."""


def publish(
    source: Path,
    target: Path,
    control: Path | None = None,
    definitions: Path = Path("docs/METRICS.md"),
    *,
    latex: bool = False,
) -> Path:
    """Writes the folder and returns its README.md; raises `UsageError` without results.

    `source`: an experiment's folder, or one that was published, which may be the target itself.
    `control`: an experiment of the same arms with `scores: shuffled`, to stand beside them.
    `latex`: also the table of arms for LaTeX, and the pictures as PDF.
    """
    results = _results(source)
    if control:
        found = beside(results, _results(control), results.bounds)
        results = results.model_copy(update={"drift": found})
    target.mkdir(parents=True, exist_ok=True)
    write_results(target, results, table=False)
    pictures = _pictures(results, source, target)
    again = source / AGAIN
    if again.is_file() and source.resolve() != target.resolve():
        shutil.copyfile(again, target / AGAIN)
    here = target.resolve().is_relative_to(definitions.resolve().parent.parent)
    link = os.path.relpath(definitions, target) if here else str(definitions)
    drawn = "\n".join(f"![]({picture})" for picture in pictures)
    settings = (target / AGAIN).is_file()
    text = f"{_head(results, link, settings)}\n\n```\n{tables(results)}\n```\n\n{drawn}\n"
    write_text(target / "README.md", text)
    if latex:
        _for_a_paper(results, source, target)
    return target / "README.md"


def _pictures(results: Results, source: Path, target: Path) -> list[str]:
    """Draws the pictures that the source has anew, and copies those that are not of the results."""
    there = sorted(source.glob("*.png"))
    if not there:
        return []
    from rlhf_testbed.report.contents import headlines  # brings altair
    from rlhf_testbed.report.figures import save

    drawn = {f"{figure.name}.png": figure for figure in headlines(results, source)}
    for picture in there:
        if picture.name in drawn:
            save(drawn[picture.name], target, ("png",))
        elif source.resolve() != target.resolve():
            shutil.copyfile(picture, target / picture.name)
    return [picture.name for picture in there]


def _for_a_paper(results: Results, source: Path, target: Path) -> None:
    """Writes the table of arms as LaTeX, and draws the pictures anew as PDF."""
    from rlhf_testbed.report.contents import headlines  # brings altair, and pandas with the table
    from rlhf_testbed.report.figures import save
    from rlhf_testbed.report.latex import arms_as_latex

    write_text(target / "arms.tex", arms_as_latex(results))
    for figure in headlines(results, source):
        save(figure, target, ("pdf",))


def _results(source: Path) -> Results:
    file = source / Results.file
    if not file.is_file():
        raise UsageError(f"{source}: no {file.name} (rlhf-testbed experiment CONFIG makes it)")
    results = read_results(source)
    if results.about.scores:
        return results
    about = results.about.model_copy(update={"scores": _scores(results.about)})
    return results.model_copy(update={"about": about})


def _scores(about: About) -> str:
    """Whose scores selected, by the config of results that do not say so, where it is there."""
    config = Path(about.config)
    if not config.is_file():
        return ""
    try:
        given = yaml.safe_load(read_text(config))
    except yaml.YAMLError:
        return ""
    return str(given.get("scores", "overseer")) if isinstance(given, dict) else ""


def _each(about: About) -> str:
    """What each arm has runs of.

    >>> from types import SimpleNamespace
    >>> _each(SimpleNamespace(base_seeds=[0, 1], seeds=[0, 1, 2]))
    '2 base policies × 3 training seeds each'
    """
    bases = f"{len(about.base_seeds)} base policies × " if len(about.base_seeds) > 1 else ""
    return f"{bases}{len(about.seeds)} training seeds each"


def tables(results: Results) -> str:
    """All tables of the results as plain text."""
    page = io.StringIO()
    console = Console(file=page, width=WIDTH, color_system=None)
    for show in PRINTED:
        show(results, console)
        console.print()
    return "\n".join(line.rstrip() for line in page.getvalue().strip().splitlines())


def _head(results: Results, definitions: str, settings: bool) -> str:
    """What was run, when, from which commit and on which machine; where its settings lie."""
    about, took = results.about, results.took
    versions = ", ".join(
        f"{name} {about.libraries[name]}" for name in VERSIONS if name in about.libraries
    )
    time = f", {took.minutes:.0f} minutes for {took.runs} runs" if took else ""
    return (
        f"# {results.task}: {len(results.arms)} arms, {_each(about)}\n\n"
        f"**{headline(results, results.bounds['threat_2'])}.**\n\n"
        f"    rlhf-testbed experiment {about.config}\n\n"
        f"{about.date}{time}, on {about.cores} CPU cores with {about.memory_gib:.0f} GiB; "
        f"{versions}.\n"
        f"Made from commit {commit_told(about) or 'unknown'}.\n"
        f"All figures: [results.json](results.json); definitions: [METRICS.md]({definitions})"
        f"{f'; all settings: [{AGAIN}]({AGAIN})' if settings else ''}.\n"
        "Written by `rlhf-testbed publish` from results.json."
    )
