"""What the runs of an experiment's folder say together: `results.json`.

    summarise(experiment, gates, took).arms["both"].figures["threat_1"]    0.99 [0.98, 1.00]

What an earlier command measured in the same folder counts, too: asking for fewer arms or seeds
never shrinks the results. `elsewhere` names what was not asked for this time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from rlhf_testbed.experiment.contrasts import contrasts
from rlhf_testbed.experiment.gates import honest_optimum, in_order
from rlhf_testbed.experiment.over_seeds import arm_results
from rlhf_testbed.experiment.plan import Experiment
from rlhf_testbed.shared.record import read
from rlhf_testbed.store.experiment_records import About, Gate, Results, Took
from rlhf_testbed.store.provenance import environment
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import Measures, ProxyAndGold


def summarise(experiment: Experiment, static: Sequence[Gate], took: Took | None = None) -> Results:
    """Gates, and for every arm its seeds and intervals over them."""
    honest = [
        experiment.directory(experiment.honest.name, seed).evaluated(Measures)
        for seed in experiment.honest_seeds
    ]
    settings = experiment.run
    bound = max(1, getattr(settings.method, "checkpoint_every", 0))
    arms = {}
    for name, seeds in runs_measured(experiment).items():
        runs = [experiment.directory(name, seed) for seed in seeds]
        summary = experiment.task.arm(name.partition(" ")[0]).summary
        arms[name] = arm_results(
            summary,
            [run.evaluated(Measures) for run in runs],
            [run.evaluated(ProxyAndGold) for run in runs],
            bound,
        )
    bounds = {
        "threat_1": settings.experiment.equivalent_threat_1,
        "threat_2": settings.experiment.equivalent_threat_2,
    }
    return Results(
        task=experiment.task.name,
        gates=in_order(static, honest_optimum(honest)),
        arms=arms,
        contrasts=contrasts(arms, bounds),
        about=About(
            config=experiment.given[1],
            date=date.today().isoformat(),
            seeds=sorted({one.seed for arm in arms.values() for one in arm.seeds}),
            **environment(settings).model_dump(),
        ),
        took=took,
    )


def runs_measured(experiment: Experiment) -> dict[str, list[int]]:
    """The seeds of every arm with results: what was asked for, then what was there before."""
    found = {setting.name: set(experiment.seeds) for setting in experiment.settings}
    file = experiment.folder / Results.file
    before = read(file, Results).arms if file.exists() else {}
    for name, arm in before.items():
        kept = {one.seed for one in arm.seeds if measured(experiment.directory(name, one.seed))}
        if kept:
            found[name] = found.get(name, set()) | kept
    return {name: sorted(seeds) for name, seeds in found.items()}


def elsewhere(experiment: Experiment) -> list[str]:
    """What the results hold besides what was asked for, in words: an arm and its seeds each."""
    asked = {setting.name: set(experiment.seeds) for setting in experiment.settings}
    more = {
        name: [seed for seed in seeds if seed not in asked.get(name, set())]
        for name, seeds in runs_measured(experiment).items()
    }
    return [f"{name}, seed {', '.join(map(str, seeds))}" for name, seeds in more.items() if seeds]


def measured(directory: RunDirectory) -> bool:
    """Whether a run has been evaluated under full knowledge."""
    return (directory.evaluation() / Measures.file).exists()
