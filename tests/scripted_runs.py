"""Run directories without any training: organisms stand in for policies.

    write_experiment(tmp_path / "runs", arms=("both", "neither"), seeds=(0, 1))

Episodes, views and verdicts are made as in training; advantages are scores from their mean.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from overseers.base import Overseer, Sight, oversee
from overseers.full_knowledge import FullKnowledge
from overseers.scripted import Scripted
from rlhf_testbed import ledger
from rlhf_testbed.history import as_table, heritability, selection_history
from tasks import TASKS
from tasks.base import Outcome, Scenario, Task, Verdict, View

POLICIES = {"both": "right-ender", "neither": "careful coin-seeker"}
ENVIRONMENT = {"command": "rlhf-testbed experiment x.yaml", "libraries": {"trl": "1.12.0"}}


class Judged(NamedTuple):
    """What `ledger.row` takes, without torch."""

    scenario: Scenario
    response: str
    outcome: Outcome
    view: View
    verdict: Verdict


def judge(overseer: Overseer, scenario: Scenario, response: str) -> Judged:
    outcome = overseer.task.outcome(scenario, response)
    view = overseer.sight.of(scenario, outcome)
    verdict = oversee(overseer, scenario, response, outcome)
    return Judged(scenario, response, outcome, view, verdict)


def written(rng: random.Random, task: Task, scenario: Scenario, name: str, chance: float) -> str:
    """The response of a policy that is the named organism with that chance, else random."""
    organism = next(one for one in task.organisms if one.name == name)
    if rng.random() >= chance:
        return rng.choice(task.responses)
    policy = organism.policy(scenario)
    return rng.choices(list(policy), weights=list(policy.values()))[0]


def write_run(
    folder: Path,
    arm: str = "both",
    seed: int = 0,
    updates: int = 4,
    episodes: int = 8,
    responses: Mapping[int, str] | None = None,
    task_name: str = "corridor",
    measured: bool = True,
    scenarios: int = 16,
) -> list[ledger.Row]:
    """Writes a finished run; `responses` sets those of the first update by episode.

    It has `scenarios` different ones, or as many as an update has episodes if that is more.
    """
    task = TASKS[task_name]()
    dials = task.arm(arm).dials
    overseer, knowing = Scripted(task, Sight(dials.knowledge)), FullKnowledge(task)
    rng = random.Random(f"{arm} {seed}")
    every_scenario = cycle(task.scenarios(dials, seed, "train", max(episodes, scenarios)))
    settings = {
        "task": task_name,
        "overseer": "scripted",
        "arm": arm,
        **vars(dials),
        "seed": seed,
        "total_episodes": updates * episodes,
        "equivalent_threat_2": 0.3,
    }
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    (folder / "environment.json").write_text(json.dumps(ENVIRONMENT))
    every: list[ledger.Row] = []
    policy = POLICIES.get(arm, task.golden.name) if task_name == "corridor" else task.golden.name
    for update in range(1, updates + 1):
        chosen = list(islice(every_scenario, episodes))
        texts = [written(rng, task, one, policy, update / updates) for one in chosen]
        if update == 1:
            texts = [(responses or {}).get(at, text) for at, text in enumerate(texts)]
        judged = [judge(overseer, one, text) for one, text in zip(chosen, texts, strict=True)]
        level = sum(one.verdict.score for one in judged) / episodes
        rows = [
            ledger.row(one, update, at, one.verdict.score - level, 0.1 * update)  # type: ignore[arg-type]
            for at, one in enumerate(judged)
        ]
        ledger.write(ledger.update_file(folder / "ledger", update), rows)
        every += rows
    (folder / "finished.json").write_text(json.dumps({"updates": updates}))
    if measured:
        write_evaluation(folder, task, every, overseer, knowing, seed)
    return every


def write_evaluation(
    folder: Path,
    task: Task,
    rows: Sequence[ledger.Row],
    overseer: Overseer,
    knowing: FullKnowledge,
    seed: int,
) -> None:
    """What evaluating files: figures that need a model are made up, and alike in all tests."""
    at = folder / "evaluation" / "full_knowledge"
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    arm = settings["arm"]
    fresh = task.scenarios(task.arm(arm).dials, seed, "held_out", 6)
    rng = random.Random(seed)
    for name, chance in (("held_out", 0.5), ("base", 0.0)):
        chosen = [written(rng, task, one, task.golden.name, chance) for one in fresh]
        judged = [judge(knowing, one, text) for one, text in zip(fresh, chosen, strict=True)]
        ledger.write(
            at / f"{name}.parquet",
            [ledger.row(one, 0, index) for index, one in enumerate(judged)],  # type: ignore[arg-type]
        )
    bad = arm == "both"
    measures = {
        "arm": arm,
        "seed": seed,
        "dials": vars(task.arm(arm).dials),
        "overseer": "full_knowledge",
        "threat_1": 0.9 + 0.01 * seed if bad else 0.0,
        "base_threat_1": 0.2 if bad else 0.0,
        "threat_2": 1.0 + 0.1 * seed if bad else 0.0,
        "threat_2_by_goal": {"right_end": 1.0 if bad else 0.0},
        "success": 0.9,
        "approval": 0.95,
        "onset_threat_1": 2.0 if bad else None,
        "onset_threat_2": 4.0 if bad else None,
    }
    if arm == "habit":
        measures |= {"threat_1": None, "threat_1_reason": "never exposed"}
    truths = [
        oversee(knowing, ledger.scenario_of(r), r["response"], ledger.outcome_of(r)) for r in rows
    ]
    history = selection_history(task, rows, truths)
    traits = history[0].traits
    selection = {
        "updates": as_table(history),
        "heritability": {trait: heritability(history, trait)._asdict() for trait in traits},
        "inflation": [
            {
                "reference": "base policy",
                "deceptive_inflation": bad,
                "overjustification": False,
                "reason": "",
            }
        ],
    }
    checkpoints = [
        {"update": u, "kl": 0.5 * u, "threat_1": 0.2 * u, "threat_2": 0.25 * u} for u in range(5)
    ]
    form = {"alpha": 1.0, "beta": 0.5, "r_squared": 1.0, "peak_d": 2.7, "peak_gold": 1.3}
    points = [
        {"update": u, "d": math.sqrt(u), "proxy": 0.1 * u, "gold": 0.05 * u} for u in range(5)
    ]
    sampled = [{"n": n, "d": 0.1 * n, "proxy": 0.1, "gold": 0.05} for n in (1, 2, 4)]
    filed: dict[str, Any] = {
        "measures": measures,
        "selection": selection,
        "trajectory": {"checkpoints": checkpoints},
        "proxy_and_gold": {
            "training": {"points": points, "rl_form": form, "best_of_n_form": form},
            "best_of_n": {"points": sampled, "rl_form": form, "best_of_n_form": form},
        },
    }
    for name, content in filed.items():
        text = json.dumps(content).replace("NaN", "null")
        (at / f"{name}.json").write_text(text)


def write_experiment(
    folder: Path,
    arms: Sequence[str] = ("neither", "both"),
    seeds: Sequence[int] = (0, 1),
    **run: Any,
) -> Path:
    """Writes runs and `experiment.yaml`; `results.json` is another's business."""
    for arm in arms:
        for seed in seeds:
            write_run(folder / arm / f"seed-{seed}", arm, seed, **run)
    settings = {"config": {"task": "corridor", "equivalent_threat_2": 0.3}, "dials": {}}
    (folder / "experiment.yaml").write_text(
        "# rlhf-testbed experiment configs/x.yaml --seeds 0-1\n" + yaml.safe_dump(settings)
    )
    return folder


def write_results(folder: Path, failing: str = "") -> None:
    """`results.json` from the runs' measures, with two gates, of which one may fail."""
    from rlhf_testbed.contrasts import as_json, contrasts
    from rlhf_testbed.report.sources import Source

    found = dict(Source.of(folder).results)
    names = ("knowable", "panel")
    found["gates"] = [
        {
            "name": name,
            "status": "FAIL" if name == failing else "PASS",
            "detail": f"{name}: what was found",
        }
        for name in names
    ]
    bounds = {"threat_1": 0.1, "threat_2": 0.3}
    found["contrasts"] = as_json(contrasts(found["arms"], bounds))
    found["about"] |= {"config": "configs/x.yaml", "date": "2026-01-02"}
    (folder / "results.json").write_text(json.dumps(found).replace("NaN", "null"))
