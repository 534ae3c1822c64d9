"""What the runs of an experiment's folder say together: `results.json` and `runs.parquet`.

    summarise(experiment, took).arms["both"].figures["threat_1"]    0.99 [0.98, 1.00]

What an earlier command measured in the same folder counts, too: asking for fewer arms, base
policies or seeds never shrinks the results. `elsewhere` names what was not asked for this time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from rlhf_testbed.experiment.base_gates import gates_together, not_passed
from rlhf_testbed.experiment.contrasts import contrasts
from rlhf_testbed.experiment.gates import honest_optimum, in_order
from rlhf_testbed.experiment.methods import MATCHED_BY, matched
from rlhf_testbed.experiment.over_seeds import arm_results
from rlhf_testbed.experiment.plan import Experiment, Run
from rlhf_testbed.experiment.told import Told, told_of
from rlhf_testbed.shared.record import read
from rlhf_testbed.store.experiment_records import (
    About,
    ArmResults,
    Gate,
    GatesFile,
    Passing,
    Results,
    Took,
)
from rlhf_testbed.store.provenance import environment
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import Checkpoint, Checkpoints, Measures, ProxyAndGold
from rlhf_testbed.store.runs_table import WHOLE, tabled


def summarise(experiment: Experiment, took: Took | None = None) -> Results:
    """Gates, and for every arm its runs and the intervals over them."""
    runs = runs_measured(experiment)
    bases = sorted({run.base for of_arm in runs.values() for run in of_arm})
    gates = {base: _gates(experiment, runs, base) for base in bases}
    told = told_of(experiment, runs, _before(experiment))
    arms = _arms(experiment, runs, told)
    paths = {
        name: {run: _path(experiment.directory(name, run.seed, run.base)) for run in of_arm}
        for name, of_arm in (runs.items() if len({arm.method for arm in arms.values()}) > 1 else ())
    }
    return Results(
        task=experiment.task.name,
        gates=gates_together(gates),
        gates_by_base=gates if len(gates) > 1 else {},
        arms=arms,
        contrasts=contrasts(arms, _bounds(experiment)),
        matched=matched(paths, arms, _episodes(experiment, runs)) if paths else [],
        bounds=_bounds(experiment),
        passing=_passing(experiment, runs, gates, told),
        about=About(
            config=experiment.given[1],
            date=date.today().isoformat(),
            seeds=sorted({run.seed for of_arm in runs.values() for run in of_arm}),
            base_seeds=bases,
            scores=experiment.run.selection.scores,
            **environment(experiment.run).model_dump(),
        ),
        took=took,
    )


def _episodes(experiment: Experiment, runs: Mapping[str, Sequence[Run]]) -> dict[str, int]:
    """Episodes that a run of each arm was judged on."""
    return {
        name: experiment.directory(name, of_arm[0].seed, of_arm[0].base).summary().episodes
        for name, of_arm in runs.items()
    }


def _bounds(experiment: Experiment) -> dict[str, float]:
    """The bound of equivalence of each threat."""
    asked = experiment.run.experiment
    return {"threat_1": asked.equivalent_threat_1, "threat_2": asked.equivalent_threat_2}


def _arms(
    experiment: Experiment, runs: Mapping[str, Sequence[Run]], told: Mapping[str, Told]
) -> dict[str, ArmResults]:
    """Every arm over these runs; where they are many, the records of one arm in memory at a time,
    and only the figures of the others."""
    bound = max(1, getattr(experiment.run.method, "checkpoint_every", 0))
    many = sum(map(len, runs.values())) > WHOLE
    arms = {}
    for name, of_arm in runs.items():
        directories = [experiment.directory(name, run.seed, run.base) for run in of_arm]
        found = arm_results(
            told[name].summary,
            [_measures(at, run) for at, run in zip(directories, of_arm, strict=True)],
            [at.evaluated(ProxyAndGold) for at in directories],
            bound,
        )
        found = found.model_copy(update={"settings": told[name].settings, "like": told[name].like})
        arms[name] = tabled(found) if many else found
    return arms


def _path(directory: RunDirectory) -> list[Checkpoint]:
    """The checkpoints of a run, with no more of them than methods are matched by."""
    return [
        Checkpoint(
            update=one.update, figures={name: one.figure(name) for name in MATCHED_BY}, goals={}
        )
        for one in directory.evaluated(Checkpoints).checkpoints
    ]


def _measures(directory: RunDirectory, run: Run) -> Measures:
    """A run's figures. Files that are older than `base_seed` name none."""
    return directory.evaluated(Measures).model_copy(update={"base_seed": run.base})


def _gates(experiment: Experiment, runs: Mapping[str, Sequence[Run]], base: int) -> list[Gate]:
    """All gates of one base policy: as filed, and the second from its honest runs."""
    name = experiment.honest.name
    found = {*runs.get(name, ()), *experiment.honest_runs}
    honest = [
        directory.evaluated(Measures)
        for run in sorted(found)
        if run.base == base
        and measured(directory := experiment.directory(name, run.seed, run.base))
    ]
    static = read(experiment.gates_file(base), GatesFile).gates
    return in_order(static, honest_optimum(honest))


def _passing(
    experiment: Experiment,
    runs: Mapping[str, Sequence[Run]],
    gates: Mapping[int, Sequence[Gate]],
    told: Mapping[str, Told],
) -> Passing | None:
    """The analysis without the base policies that did not pass, where others did."""
    left_out = not_passed(gates)
    if not left_out or len(left_out) == len(gates):
        return None
    kept = {
        name: [run for run in of_arm if run.base not in left_out] for name, of_arm in runs.items()
    }
    arms = _arms(experiment, {name: of_arm for name, of_arm in kept.items() if of_arm}, told)
    return Passing(
        left_out=left_out,
        arms={name: arm.figures for name, arm in arms.items()},
        contrasts=contrasts(arms, _bounds(experiment)),
    )


def runs_measured(experiment: Experiment) -> dict[str, list[Run]]:
    """The runs of every arm with results: what was asked for, then what was there before."""
    found = {
        setting.name: {
            run for run in experiment.runs if _is_measured(experiment, setting.name, run)
        }
        for setting in experiment.every
    }
    before = _before(experiment)
    for name, arm in before.arms.items() if before else ():
        there = {Run(*named) for named in arm.runs.named}
        if before and not before.about.base_seeds:  # older than `base_seed`: all of the settings'
            there = {Run(experiment.run.base.base_seed, run.seed) for run in there}
        kept = {run for run in there if _is_measured(experiment, name, run)}
        found[name] = found.get(name, set()) | kept
    return {name: sorted(runs) for name, runs in found.items() if runs}


def _before(experiment: Experiment) -> Results | None:
    """The results of earlier commands in the folder."""
    file = experiment.folder / Results.file
    return read(file, Results) if file.exists() else None


def _is_measured(experiment: Experiment, name: str, run: Run) -> bool:
    return measured(experiment.directory(name, run.seed, run.base))


def any_measured(experiment: Experiment) -> bool:
    """Whether there is anything that results could be made of: a run, and its gates."""
    of_runs = {run.base for runs in runs_measured(experiment).values() for run in runs}
    return bool(of_runs) and all(experiment.gates_file(base).is_file() for base in of_runs)


def elsewhere(experiment: Experiment) -> list[str]:
    """What the results hold besides what was asked for, in words: an arm and its seeds each."""
    asked = {setting.name: set(experiment.runs) for setting in experiment.settings}
    told = []
    for name, runs in runs_measured(experiment).items():
        more = [run for run in runs if run not in asked.get(name, set())]
        for base in dict.fromkeys(run.base for run in more):
            seeds = ", ".join(str(run.seed) for run in more if run.base == base)
            of = "" if experiment.is_own(base) else f", base policy {base}"
            told.append(f"{name}, seed {seeds}{of}")
    return told


def measured(directory: RunDirectory) -> bool:
    """Whether a run has been evaluated under full knowledge."""
    return (directory.evaluation() / Measures.file).exists()
