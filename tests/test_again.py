"""The config that an experiment's folder keeps plans the same experiment again."""

from __future__ import annotations

from pathlib import Path

import yaml

from rlhf_testbed.experiment.again import asked, commands
from rlhf_testbed.experiment.plan import Experiment, plan

CONFIG = """
task: inspection
task_args: [wording=english]
overseer: noisy
overseer_args: [false_positives=0.2]
arms:
  - both
  - {name: half-seen, like: both, knowledge: 0.5, kl_coef: 0.1}
vary: ["liars_in_sight=0,0.4", "total_episodes=64,128"]
seeds: 0-2
equivalent_threat_1: 0.05
"""
SETS = ("learning_rate=1e-4", "unintended_share=0.6")


def planned(folder: Path, name: str, content: str, sets: tuple[str, ...] = ()) -> Experiment:
    (folder / name).write_text(content, encoding="utf-8")
    return plan(str(folder / name), sets=sets, output_dir=str(folder / "runs"))


def test_it_plans_every_run_as_the_first_one_did(tmp_path: Path) -> None:
    first = planned(tmp_path, "first.yaml", CONFIG, SETS)
    arms = {one.name: [(0, 0), (0, 1), (0, 2)] for one in first.settings}
    again = planned(tmp_path, "again.yaml", yaml.safe_dump(asked(first, arms)))
    assert [one.name for one in again.settings] == [one.name for one in first.settings]
    assert (again.seeds, again.base_seeds) == ((0, 1, 2), (0,))
    assert again.run.experiment.equivalent_threat_1 == 0.05
    for setting, other in zip(first.settings, again.settings, strict=True):
        for run in first.runs:
            assert first.run_of(setting, run).flat() == again.run_of(other, run).flat()


def test_an_arm_with_more_runs_has_a_command_of_its_own(tmp_path: Path) -> None:
    first = planned(tmp_path, "first.yaml", "task: corridor\narms: [neither, both]\n")
    few = [(base, seed) for base in (0, 1) for seed in range(3)]
    more = [(base, seed) for base in (0, 1) for seed in (0, 1, 2, 5, 6)]
    assert list(commands(first, {"neither": few, "both": few})) == [
        "rlhf-testbed experiment again.yaml"
    ]
    assert list(commands(first, {"neither": few, "both": more})) == [
        "rlhf-testbed experiment again.yaml",
        "rlhf-testbed experiment again.yaml --arm 'both' --seeds 0-2,5-6 --base-seeds 0-1",
    ]
    config = asked(first, {"neither": few, "both": more})
    assert (config["seeds"], config["base_seeds"]) == ("0-2", "0-1")


def test_arms_keep_their_own_dials_but_for_the_share_that_the_experiment_gives(
    tmp_path: Path,
) -> None:
    first = planned(tmp_path, "first.yaml", "task: corridor\n")
    assert not {"arm", "seed", "knowledge", "randomised", "diversity", "unintended_share"} & set(
        asked(first, {})
    )
    other = planned(tmp_path, "other.yaml", "task: corridor\nunintended_share: 0.6\n")
    assert asked(other, {})["unintended_share"] == 0.6
