"""What a report tells besides its generations: which pictures, which tables, which words.

pictures(source, histories)      the figures that there is data for
verdicts(source)                 {"Threat 1: selecting for ...": "Selection made ...", ...}
heritabilities(histories)        a row an arm and trait
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlhf_testbed.files import read_text
from rlhf_testbed.over_seeds import TERMS, interval
from rlhf_testbed.report import curves, dose, proxy_and_gold, sentences, threat_plane
from rlhf_testbed.report.curves import History
from rlhf_testbed.report.figures import Figure, save
from rlhf_testbed.report.sources import Source
from rlhf_testbed.report.table import learned, why
from tasks import TASKS

COLUMNS = {
    "threat_1": "threat 1",
    "base_threat_1": "threat 1 of the base population",
    "threat_2": "threat 2 (nats)",
    "misbehaviour_unseen": "bad, unseen",
    "misbehaviour_seen": "bad, seen",
    "false_positive_rate": "approved, of unwanted",
    "approval": "approval",
    "approval_by_evaluator": "approval, knowing",
    "success": "success",
    "onset_threat_1": "onset of threat 1 (update)",
    "onset_threat_2": "onset of threat 2 (update)",
}
"""Figures of the table of arms and their headings; defined in docs/METRICS.md."""

HEAD = ("threat_plane",)
"""The pictures that stand beside the verdicts."""

ORDER = {
    "Dose and response": ("dose_and_response",),
    "Through training": ("threats_through_training", "threat_1_in_training", "approval"),
    "Selection and response": ("selection_differential", "response_to_selection"),
    "Over-optimisation": ("proxy_and_gold",),
}
"""The report's sections, and the pictures of each."""


def pictures(source: Source, histories: Sequence[History]) -> list[Figure]:
    """The pictures that there is data for, in the order of the report."""
    results = source.results
    measured = any(arm["seeds"] for arm in results["arms"].values())
    found = [
        threat_plane.figure(results) if measured else None,
        dose.figure(results) if measured else None,
        curves.both_threats(source.runs),
        curves.threat_1_in_training(histories),
        curves.approval(histories),
        curves.selection_differentials(histories),
        curves.trait_rates(histories),
        proxy_and_gold.figure(source.runs),
    ]
    return [figure for figure in found if figure is not None]


def draw_headlines(results: Mapping[str, Any], folder: Path) -> list[Path]:
    """Writes the pictures by which an experiment in `folder` is known; returns the files.

    The threat plane; dose and response where dials were varied; proxy and gold where the training
    overseer learned from a teacher.
    """
    found = [dose.figure(results), threat_plane.figure(results)]
    if learned(results):
        found.append(proxy_and_gold.figure(Source.of(folder).runs))
    return [file for figure in found if figure for file in save(figure, folder)]


def asked(source: Source) -> dict[str, str]:
    """What was asked, in words and in the settings that matter."""
    task = TASKS[source.task].summary if source.task in TASKS else ""
    settings = source.settings.get("config", source.settings)
    seeds = source.results["about"]["seeds"]
    runs = f"{len(source.runs)} runs: {len(source.arms)} arms, seeds {', '.join(map(str, seeds))}"
    if not source.is_experiment:
        runs = f"one run: {source.runs[0].name}"
    episodes = settings.get("total_episodes")
    means = f"PPO on {episodes} episodes a run" if episodes else "PPO"
    found = {
        "task": f"{source.task}: {task}" if task else source.task,
        "why": _purpose(source),
        "training overseer": str(settings.get("overseer", "")),
        "model": str(settings.get("model_name_or_path") or "the small base population"),
        "selection": f"{means}, scored by the training overseer alone",
        "runs": runs,
        "date": str(source.results["about"].get("date", "")),
    }
    return {name: text for name, text in found.items() if text}


def _purpose(source: Source) -> str:
    """The first sentence of the experiment's file, where it can still be found."""
    file = Path(str(source.results["about"].get("config", "")))
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
    settings = source.settings.get("config", source.settings)
    bound = float(settings.get("equivalent_threat_2", sentences.BOUND))
    return {
        heading: sentences.sentence(source.results, threat, bound)
        for threat, heading in sentences.HEADINGS.items()
    }


def columns(results: Mapping[str, Any]) -> dict[str, str]:
    """The columns of the table of arms that any arm has a figure for."""
    arms = results["arms"].values()
    return {
        name: heading
        for name, heading in COLUMNS.items()
        if name in ("threat_1", "threat_2") or any(_has(arm, name) for arm in arms)
    }


def _has(arm: Mapping[str, Any], name: str) -> bool:
    figure = arm.get(name)
    return isinstance(figure, Mapping) and figure.get("mean") is not None


def orders(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Which curve sets on first, a row an arm and question; none where no curve set on at all."""
    return [
        {"arm": name, **found}
        for name, arm in results["arms"].items()
        for found in arm.get("orders", [])
        if found["difference"] is not None
    ]


def notes(results: Mapping[str, Any]) -> list[str]:
    """What must be said beside the table of arms, a sentence each."""
    return [f"{what}: {told}." for what, told in sentences.notes(results).items()]


def every_measure(source: Source) -> list[dict[str, Any]]:
    """A row a run: its arm, seed, dials and every figure that is a number."""
    rows = []
    for name, arm in source.results["arms"].items():
        for seed in arm["seeds"]:
            numbers = {k: v for k, v in seed.items() if isinstance(v, int | float) and k != "seed"}
            rows.append({"arm": name, "seed": seed["seed"], **arm["dials"], **numbers})
    return rows


def heritabilities(histories: Sequence[History]) -> list[dict[str, Any]]:
    """Realised heritability of each trait in each arm: the mean over seeds, with its interval."""
    rows = []
    for arm in dict.fromkeys(history.arm for history in histories):
        runs = [history for history in histories if history.arm == arm]
        for trait in dict.fromkeys(trait for run in runs for trait in run.heritability):
            found = [run.heritability[trait] for run in runs if trait in run.heritability]
            estimates = [one["estimate"] for one in found]
            judged = [value for value in estimates if value is not None and value == value]
            row: dict[str, Any] = {"arm": arm, "trait": trait, "seeds": len(judged)}
            if len(judged) == len(runs):
                row["interval"] = interval(judged)
                row["reason"] = ""
            else:
                lacks = [one["reason"] for one in found if one["estimate"] not in judged]
                row |= {"interval": None, "reason": (lacks or ["not judged in every seed"])[0]}
            rows.append(row)
    return rows


def inflation(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Deceptive inflation and overjustification over seeds: a row an arm, reference and term."""
    return [
        {
            "arm": name,
            "reference": found["reference"],
            "term": term.replace("_", " "),
            "shown": found[term],
            "why": why(found, term),
        }
        for name, arm in results["arms"].items()
        for found in arm.get("inflation", [])
        for term in TERMS
    ]
