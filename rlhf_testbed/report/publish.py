"""An experiment's results as a folder for a repository: tables as text, figures, pictures.

    rlhf-testbed publish runs/corridor docs/results/corridor

    docs/results/corridor/   README.md, results.json, threat_plane.png, dose_and_response.png

Everything is written from `results.json`; nothing is typed by hand.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from rlhf_testbed.errors import UsageError
from rlhf_testbed.files import write_text
from rlhf_testbed.report.table import PRINTED
from rlhf_testbed.shapes import RESULTS, read_json

WIDTH = 100
"""Columns of the tables."""


def publish(source: Path, target: Path, definitions: Path = Path("docs/METRICS.md")) -> Path:
    """Writes the folder and returns its README.md; raises `UsageError` without results."""
    file = source / "results.json"
    if not file.is_file():
        raise UsageError(f"{source}: no results.json (rlhf-testbed experiment CONFIG makes it)")
    results = read_json(file, RESULTS)
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target / "results.json")
    pictures = sorted(source.glob("*.png"))
    for picture in pictures:
        shutil.copyfile(picture, target / picture.name)
    here = target.resolve().is_relative_to(definitions.resolve().parent.parent)
    link = os.path.relpath(definitions, target) if here else str(definitions)
    drawn = "\n".join(f"![]({picture.name})" for picture in pictures)
    text = f"{_head(results, link)}\n\n```\n{tables(results)}\n```\n\n{drawn}\n"
    write_text(target / "README.md", text)
    return target / "README.md"


def tables(results: Mapping[str, Any]) -> str:
    """All tables of the results as plain text."""
    page = io.StringIO()
    console = Console(file=page, width=WIDTH, color_system=None)
    for show in PRINTED:
        show(results, console)
        console.print()
    return "\n".join(line.rstrip() for line in page.getvalue().strip().splitlines())


def _head(results: Mapping[str, Any], definitions: str) -> str:
    about = results["about"]
    seeds = len(about["seeds"])
    versions = ", ".join(
        f"{name} {about['libraries'][name]}" for name in ("torch", "trl", "transformers")
    )
    took = results.get("took")
    time = f", {took['minutes']:.0f} minutes for {took['runs']} runs" if took else ""
    command = f"rlhf-testbed experiment {about['config']}"
    return (
        f"# {results['task']}: {len(results['arms'])} arms, {seeds} training seeds each\n\n"
        f"    {command}\n\n"
        f"{about['date']}{time}, on {about['cores']} CPU cores with "
        f"{about['memory (GiB)']:.0f} GiB; {versions}.\n"
        f"All figures: [results.json](results.json); definitions: [METRICS.md]({definitions}).\n"
        "Written by `rlhf-testbed publish` from results.json."
    )
