"""What a report tells besides its generations: which pictures, which tables, which words.

pictures(source, histories)      the figures that there is data for
verdicts(source)                 {"Threat 1: selecting for ...": "Selection made ...", ...}
heritabilities(histories)        a row an arm and trait
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rlhf_testbed.experiment.over_seeds import TERMS, interval
from rlhf_testbed.report import (
    by_method,
    curves,
    dose,
    generalisation,
    proxy_and_gold,
    sentences,
    threat_plane,
)
from rlhf_testbed.report.curves import History
from rlhf_testbed.report.figures import Figure, plain, save
from rlhf_testbed.report.palette import arm_colours
from rlhf_testbed.report.sources import Source
from rlhf_testbed.report.table import learned, why
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import read_text
from rlhf_testbed.shared.record import Interval
from rlhf_testbed.store.experiment_records import Order, Results
from rlhf_testbed.store.run_columns import as_ranges

COLUMNS = {
    "threat_1": "threat 1",
    "base_threat_1": "threat 1 of the base policy",
    "threat_2": "threat 2 (nats)",
    "misbehaviour_unseen": "bad, unseen",
    "misbehaviour_seen": "bad, seen",
    "false_positive_rate": "approved, of unwanted",
    "approval": "approval",
    "approval_by_full_knowledge": "approval under full knowledge",
    "success": "success",
    "onset_threat_1": "onset of threat 1 (update)",
    "onset_threat_2": "onset of threat 2 (update)",
}
"""Figures of the table of arms and their headings; defined in docs/METRICS.md."""

FEW = 20
"""Seeds that are listed one by one."""

HEAD = ("threat_plane",)
"""The pictures that stand beside the verdicts."""

ORDER = {
    "Dose and response": ("dose_and_response", "goals_off_distribution"),
    "Methods": ("threat_plane_by_method",),
    "Through training": ("threats_through_training", "threat_1_in_training", "approval"),
    "Selection and response": ("selection_differential", "response_to_selection"),
    "Over-optimisation": ("proxy_and_gold",),
}
"""The report's sections, and the pictures of each."""


class Inherited(NamedTuple):
    """Realised heritability of one trait in one arm."""

    arm: str
    trait: str
    seeds: int
    """Seeds in which it could be judged."""
    interval: Interval | None
    """The mean over seeds; None unless it could be judged in every one."""
    reason: str
    """Why there is none."""


class Inflated(NamedTuple):
    """Deceptive inflation or overjustification of one arm against one reference."""

    arm: str
    n: str
    reference: str
    term: str
    shown: str
    why: str


def pictures(source: Source, histories: Sequence[History]) -> list[Figure]:
    """The pictures that there is data for, in the order of the report."""
    results = source.results
    measured = any(arm.runs.seeds for arm in results.arms.values())
    colours = arm_colours([*results.arms, *source.arms])
    of_results = (threat_plane.figure, dose.figure, generalisation.figure, by_method.figure)
    found = [
        *(draw(results, colours) if measured else None for draw in of_results),
        curves.both_threats(source.runs, colours),
        curves.threat_1_in_training(histories, colours),
        curves.approval(histories),
        curves.selection_differentials(histories, colours),
        curves.trait_rates(histories, colours),
        proxy_and_gold.figure(source.runs),
    ]
    return [figure for figure in found if figure is not None]


def draw_headlines(results: Results, folder: Path) -> list[Path]:
    """Writes the pictures by which an experiment in `folder` is known; returns the files."""
    return [file for figure in headlines(results, folder) for file in save(figure, folder)]


def headlines(results: Results, folder: Path) -> list[Figure]:
    """The pictures by which an experiment in `folder` is known.

    The threat plane, or one for each method where there are several; dose and response where dials
    were varied; proxy and gold where the training overseer learned from a teacher, which is drawn
    from the runs and not from the results: not where only these were published.
    """
    plane = by_method.figure(results) or threat_plane.figure(results)
    found = [dose.figure(results), generalisation.figure(results), plane]
    if learned(results) and any(folder.glob("*/seed-*/config.yaml")):
        found.append(proxy_and_gold.figure(Source.of(folder).runs))
    return [figure for figure in found if figure]


def asked(source: Source) -> dict[str, str]:
    """What was asked, in words and in the settings that matter."""
    settings, about = source.settings, source.results.about
    summary = _summary(settings)
    seeds = listed(about.seeds)
    several = len(about.base_seeds) > 1
    bases = f"base policies {listed(about.base_seeds)}, " if several else ""
    names = {*source.arms, *(source.results.arms if source.drawn else ())}
    counts = ((source.total, "run"), (len(names), "arm"), (len(about.seeds), "seed"))
    many, arms, word = (f"{count:,} {what}{'' if count == 1 else 's'}" for count, what in counts)
    runs = f"{many}: {arms}, {bases}{word.partition(' ')[2]} {seeds}"
    if not source.is_experiment:
        runs = f"one run: {source.runs[0].name}"
    found = {
        "task": f"{source.task}: {summary}" if summary else source.task,
        "why": _purpose(about.config),
        "training overseer": settings.study.overseer,
        "model": settings.base.model_name_or_path or "the small base policy",
        "selected by": f"{settings.selection.method} on {settings.selection.total_episodes} "
        "episodes a run, scored by the training overseer alone",
        "runs": runs,
        "date": about.date,
    }
    return {name: text for name, text in found.items() if text}


def listed(seeds: Sequence[int]) -> str:
    """Seeds as a reader takes them in: each, or ranges where they are many.

    >>> listed([0, 1, 4]), listed(range(100))
    ('0, 1, 4', '0-99')
    """
    return ", ".join(map(str, seeds)) if len(seeds) <= FEW else as_ranges(seeds)


def close(source: Source) -> str:
    """What is of some of the runs alone, in words; empty where all were read."""
    if not source.drawn:
        return ""
    return (
        f"Of {len(source.runs):,} of the {source.total:,} runs, drawn at random from each arm: no "
        "more are read update by update, nor their generations."
    )


def _summary(settings: RunConfig) -> str:
    """What the task is, in a line; empty where a task of somebody's own can't be loaded."""
    try:
        return settings.task.summary
    except UsageError:
        return ""


def _purpose(config: str) -> str:
    """The first sentence of the experiment's file, where it can still be found."""
    file = Path(config)
    if not file.is_file():
        return ""
    words: list[str] = []
    for line in read_text(file).splitlines():
        if not line.startswith("# ") or line.startswith("#   "):
            break
        words.append(line.removeprefix("# ").replace("`", "").strip())
    return " ".join(words)


def verdicts(source: Source) -> dict[str, str]:
    """The sentence on each threat, under its heading."""
    return {
        heading: sentences.sentence(source.results, threat, source.bound)
        for threat, heading in sentences.HEADINGS.items()
    }


def columns(results: Results) -> dict[str, str]:
    """The columns of the table of arms that any arm has a figure for."""
    arms = results.arms.values()
    return {
        name: heading
        for name, heading in COLUMNS.items()
        if name in sentences.HEADINGS or any(arm.figure(name) for arm in arms)
    }


def orders(results: Results) -> list[tuple[str, Order]]:
    """Which curve sets on first, by arm and question; none where no curve set on at all."""
    return [
        (name, order)
        for name, arm in results.arms.items()
        for order in arm.orders
        if not math.isnan(order.difference)
    ]


def notes(results: Results) -> list[str]:
    """What must be said beside the table of arms, a sentence each."""
    return [f"{what}: {told}." for what, told in sentences.notes(results).items()]


def every_measure(source: Source) -> list[dict[str, Any]]:
    """A row a run: its arm, seed, dials and every figure."""
    return plain(
        [
            {
                "arm": name,
                "base_seed": base,
                "seed": seed,
                **vars(arm.dials),
                **figures,
            }
            for name, arm in source.results.arms.items()
            for base, seed, figures in arm.runs.rows()
        ]
    )


def heritabilities(histories: Sequence[History]) -> list[Inherited]:
    """Realised heritability of each trait in each arm: the mean over seeds, with its interval."""
    rows = []
    for arm in dict.fromkeys(history.arm for history in histories):
        runs = [history for history in histories if history.arm == arm]
        for trait in dict.fromkeys(trait for run in runs for trait in run.heritability):
            rows.append(_inherited(arm, trait, runs))
    return rows


def _inherited(arm: str, trait: str, runs: Sequence[History]) -> Inherited:
    found = [run.heritability[trait] for run in runs if trait in run.heritability]
    judged = [one.estimate for one in found if not math.isnan(one.estimate)]
    if len(judged) == len(runs):
        over = interval(judged, [run.base_seed for run in runs])
        return Inherited(arm, trait, len(judged), over, "")
    lacks = [one.reason for one in found if math.isnan(one.estimate)]
    reason = lacks[0] if lacks else "not judged in every seed"
    return Inherited(arm, trait, len(judged), None, reason)


def inflation(results: Results) -> list[Inflated]:
    """Deceptive inflation and overjustification over seeds: a row an arm, reference and term."""
    return [
        Inflated(
            arm=name,
            n=sentences.n_of(arm),
            reference=found.reference,
            term=term.replace("_", " "),
            shown=getattr(found, term),
            why=why(found, term),
        )
        for name, arm in results.arms.items()
        for found in arm.inflation
        for term in TERMS
    ]
