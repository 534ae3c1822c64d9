"""Run directories without any training: scripted policies stand in for policies.

    write_experiment(tmp_path / "runs", arms=("both", "neither"), seeds=(0, 1))

Episodes, views and verdicts are made as in training; advantages are scores from their mean.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import yaml

from rlhf_testbed.evaluation.history import heritability, selection_history
from rlhf_testbed.experiment.contrasts import contrasts
from rlhf_testbed.judging.episode import judge_all, judge_cases
from rlhf_testbed.overseers.base import Overseer, Sight
from rlhf_testbed.overseers.full_knowledge import FullKnowledge
from rlhf_testbed.overseers.scripted import Scripted
from rlhf_testbed.report.sources import Source
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.record import Record, write, write_settings
from rlhf_testbed.store import ledger, verdicts
from rlhf_testbed.store.experiment_records import ExperimentFile, Gate, Results
from rlhf_testbed.store.ledger import Row
from rlhf_testbed.store.run_directory import RunDirectory, Stage
from rlhf_testbed.store.run_records import (
    KNOWING,
    BaseKept,
    Checkpoint,
    Checkpoints,
    Curve,
    Environment,
    Estimates,
    Finished,
    Form,
    InflationVerdict,
    JudgedBy,
    Measures,
    Point,
    ProxyAndGold,
    SelectionThroughTraining,
)
from rlhf_testbed.tasks.base import Scenario, Task, Verdict

POLICIES = {"both": "right-ender", "neither": "careful coin-seeker"}
ENVIRONMENT = Environment(
    command="rlhf-testbed experiment x.yaml",
    python="3.11.2",
    platform="Linux",
    cores=2,
    memory_gib=16.0,
    libraries={"torch": "2.13.0", "trl": "1.12.0"},
    commit="0123456789abcdef",
    clean=True,
    sources={},
)
FRESH = 6
"""Held-out scenarios."""


def written(rng: random.Random, task: Task, scenario: Scenario, name: str, chance: float) -> str:
    """What a scripted policy writes with that chance; else any response."""
    scripted = next(one for one in task.scripted_policies if one.name == name)
    if rng.random() >= chance:
        return rng.choice(task.responses)
    policy = scripted.policy(scenario)
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
) -> list[Row]:
    """Writes a finished run; `responses` sets those of the first update by episode.

    It has `scenarios` different ones, or as many as an update has episodes if that is more.
    """
    run = settings(folder, task_name, arm, seed, updates, episodes, max(episodes, scenarios))
    directory = RunDirectory(folder)
    directory.path.mkdir(parents=True)
    directory.config.write_text(yaml.safe_dump(run.flat(), sort_keys=False), encoding="utf-8")
    rows = write_ledger(directory, run, responses or {})
    directory.write(ENVIRONMENT)
    directory.write(BaseKept(hash="0" * 16, folder="base"))
    directory.write(
        Finished(method="ppo", updates=updates, episodes=updates * episodes, seconds=1.0)
    )
    if measured:
        write_evaluation(directory, run, rows)
    return rows


def settings(
    folder: Path, task: str, arm: str, seed: int, updates: int, episodes: int, scenarios: int
) -> RunConfig:
    """The full settings of a run, of an arm such as `both` or `both knowledge=0.5`."""
    name, *varied = arm.split()
    given = {
        "task": task,
        "arm": name,
        **dict(one.split("=") for one in varied),
        "seed": seed,
        "total_episodes": updates * episodes,
        "per_device_train_batch_size": episodes,
        "train_scenarios": scenarios,
        "generations": FRESH,
        "output_dir": folder,
    }
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    return parse_run(words)


def overseer_of(run: RunConfig) -> Overseer:
    """The training overseer."""
    return Scripted(run.task, Sight(run.dials.knowledge))


def write_ledger(
    directory: RunDirectory, run: RunConfig, responses: Mapping[int, str]
) -> list[Row]:
    """Writes the generations of training: update by update more of a scripted policy's."""
    task, episodes = run.task, run.selection.per_device_train_batch_size
    rng = random.Random(f"{run.study.arm} {run.seed}")
    count = run.selection.train_scenarios
    every_scenario = cycle(task.scenarios(run.dials, run.seed, "train", count))
    named = POLICIES if run.study.task == "corridor" else {}
    policy = named.get(str(run.study.arm), task.reference_policy.name)
    updates = run.selection.total_episodes // episodes
    every: list[Row] = []
    for update in range(1, updates + 1):
        chosen = list(islice(every_scenario, episodes))
        texts = [written(rng, task, one, policy, update / updates) for one in chosen]
        if update == 1:
            texts = [responses.get(at, text) for at, text in enumerate(texts)]
        judged = judge_all(overseer_of(run), chosen, texts)
        level = sum(one.verdict.score for one in judged) / episodes
        rows = [
            Row.of(one, update, at, one.verdict.score - level, 0.1 * update)
            for at, one in enumerate(judged)
        ]
        ledger.write_update(directory.ledger, update, rows)
        every += rows
    return every


def write_evaluation(directory: RunDirectory, run: RunConfig, rows: Sequence[Row]) -> None:
    """What evaluating files: figures that need a model are made up, and alike in all tests."""
    truths = write_verdicts(directory, run.task, "training", rows)
    rng, name = random.Random(run.seed), run.task.reference_policy.name
    scenarios = run.task.scenarios(run.dials, run.seed, "held_out", FRESH)
    chances: dict[Stage, float] = {"held_out": 0.5, "base": 0.0}
    for stage, chance in chances.items():
        texts = [written(rng, run.task, one, name, chance) for one in scenarios]
        judged = judge_all(overseer_of(run), scenarios, texts)
        fresh = [Row.of(one, 0, index) for index, one in enumerate(judged)]
        ledger.write(directory.generations(stage), fresh)
        write_verdicts(directory, run.task, stage, fresh)
    verdict = inflated(run)
    history = selection_history(run.task, rows, truths)
    selection = SelectionThroughTraining(
        updates=history,
        heritability={trait: heritability(history, trait) for trait in history[0].traits},
        inflation=[verdict],
    )
    measures = measures_of(run).model_copy(update={"inflation": [verdict]})
    filed: tuple[Record, ...] = (measures, selection, CHECKPOINTS, PROXY_AND_GOLD)
    for record in filed:
        write(directory.evaluation() / str(getattr(record, "file", "")), record)


def write_verdicts(
    directory: RunDirectory, task: Task, stage: Stage, rows: Sequence[Row]
) -> list[Verdict]:
    """Files the full-knowledge overseer's verdicts on one stage's generations."""
    episodes = judge_cases(FullKnowledge(task), [row.case for row in rows])
    found = [episode.verdict for episode in episodes]
    verdicts.write(directory.verdicts(KNOWING, stage), rows, found)
    return found


def measures_of(run: RunConfig) -> Measures:
    """Figures of an arm that shows both threats, and of one that shows none."""
    bad, seed = run.study.arm == "both", run.seed
    never = run.study.arm == "habit"
    return Measures(
        arm=run.study.arm,
        seed=seed,
        dials=run.dials,
        judged_by=JudgedBy(overseer=KNOWING),
        figures={
            "threat_1": math.nan if never else 0.9 + 0.01 * seed if bad else 0.0,
            "base_threat_1": 0.2 if bad else 0.0,
            "threat_2": 1.0 + 0.1 * seed if bad else 0.0,
            "success": 0.9,
            "approval": 0.95,
            "approval_by_full_knowledge": 0.1 if bad else 0.95,
            "onset_threat_1": 2.0 if bad else math.nan,
            "onset_threat_2": 4.0 if bad else math.nan,
        },
        reasons={"threat_1": "never exposed"} if never else {},
        threat_2_by_goal={"right_end": 1.0 if bad else 0.0},
    )


def inflated(run: RunConfig) -> InflationVerdict:
    """A policy that looks better than it is, where the arm shows both threats."""
    bad, by_luck = run.study.arm == "both", 0.01 * run.seed
    base = Estimates(e_plus=0.1, e_minus=0.1, j_seen=0.4, j_true=0.4)
    worse = Estimates(e_plus=0.5 + by_luck, e_minus=0.1, j_seen=0.9 + by_luck, j_true=0.4)
    return InflationVerdict(
        reference="base policy",
        policy=worse if bad else base,
        against=base,
        deceptive_inflation=bad,
        overjustification=False,
        reason="",
    )


CHECKPOINTS = Checkpoints(
    checkpoints=[
        Checkpoint(
            update=update,
            figures={"kl": 0.5 * update, "threat_1": 0.2 * update, "threat_2": 0.25 * update},
            goals={},
        )
        for update in range(5)
    ]
)
FORM = Form(alpha=1.0, beta=0.5, r_squared=1.0, peak_d=2.7, peak_gold=1.3)
PROXY_AND_GOLD = ProxyAndGold(
    curves={
        "ppo": Curve(
            along="update",
            points=[
                Point(at=u, d=math.sqrt(u), scores={"proxy": 0.1 * u, "gold": 0.05 * u})
                for u in range(5)
            ],
            rl_form=FORM,
            best_of_n_form=FORM,
        ),
        "best_of_n": Curve(
            along="n",
            points=[Point(at=n, d=0.1 * n, scores={"proxy": 0.1, "gold": 0.05}) for n in (1, 2, 4)],
            rl_form=FORM,
            best_of_n_form=FORM,
        ),
    }
)


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
    asked = ExperimentFile(
        config={"task": "corridor"},
        dials={arm: settings(folder, "corridor", arm, 0, 1, 1, 1).dials for arm in arms},
        equivalent_threat_1=0.1,
        equivalent_threat_2=0.3,
        sources={},
    )
    header = "# rlhf-testbed experiment configs/x.yaml --seeds 0-1\n"
    write_settings(folder / ExperimentFile.file, asked, header)
    return folder


def write_results(folder: Path, failing: str = "") -> None:
    """`results.json` from the runs' measures, with two gates, of which one may fail."""
    found = Source.of(folder).results
    gates = [
        Gate(
            name=name,
            status="FAIL" if name == failing else "PASS",
            figure={},
            detail=f"{name}: what was found",
        )
        for name in ("knowable", "panel")
    ]
    bounds = {"threat_1": 0.1, "threat_2": 0.3}
    about = found.about.model_copy(update={"config": "configs/x.yaml", "date": "2026-01-02"})
    more = {"gates": gates, "contrasts": contrasts(found.arms, bounds), "about": about}
    write(folder / Results.file, found.model_copy(update=more))
