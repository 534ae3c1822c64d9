"""What a run stands on: its base policy, its source, its commit; and who judged it, by name."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import yaml

from conftest import SMALL
from rlhf_testbed.evaluation.evaluate import evaluate
from rlhf_testbed.policy.base_policy import load_base_policy
from rlhf_testbed.selection.job import train
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.settings.plugins import task_class
from rlhf_testbed.settings.sources import source_hash
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store import verdicts
from rlhf_testbed.store.base_kept import base_folder, keep_base
from rlhf_testbed.store.ledger import read as read_ledger
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import BaseKept, Environment


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> RunDirectory:
    """A copy of the small run, to be damaged."""
    shutil.copytree(trained, tmp_path / "run")
    return RunDirectory(tmp_path / "run")


def test_a_base_policy_that_is_gone_is_one_line_and_no_figure(run: RunDirectory) -> None:
    shutil.rmtree(run.base)
    with pytest.raises(UsageError, match=r"base policy [0-9a-f]{16} is not at .* any more") as told:
        evaluate(run)
    assert "\n" not in str(told.value)
    assert "nothing is measured against another one" in str(told.value)
    assert not (run.path / "evaluation").exists()


def test_a_base_policy_that_has_changed_is_one_line_and_no_figure(run: RunDirectory) -> None:
    config = run.base / "config.json"
    config.write_text(config.read_text() + "\n")
    with pytest.raises(UsageError, match=r"has changed: .* now has the hash"):
        evaluate(run)
    assert not (run.path / "evaluation").exists()


def test_a_run_stands_alone_without_any_cache(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is looked up, let alone made, where base policies are cached."""
    monkeypatch.setenv("RLHF_TESTBED_CACHE", str(tmp_path / "empty"))
    measures = evaluate(run)
    assert measures.figure("threat_2") >= 0
    assert not (tmp_path / "empty").exists()


def test_a_large_base_policy_is_named_where_it_is(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rlhf_testbed.store.base_kept.SMALL", 1000)
    directory = RunDirectory(tmp_path / "run")
    directory.path.mkdir()
    made = RunDirectory(trained).base
    assert keep_base(made, directory) == made.resolve()
    assert not directory.base.exists()
    assert directory.read(BaseKept).folder == str(made.resolve())
    assert load_base_policy(base_folder(directory)).model.num_parameters() > 0


def test_an_old_layout_is_refused_in_one_line(run: RunDirectory) -> None:
    (run.path / BaseKept.file).unlink()
    with pytest.raises(UsageError, match="a run of the old layout") as told:
        RunDirectory.open(run.path)
    assert "rlhf-testbed 0.1" in str(told.value)
    assert "\n" not in str(told.value)


def test_verdicts_of_the_same_overseer_with_other_options_are_kept_apart(
    run: RunDirectory,
) -> None:
    """What once replaced each other without a word."""
    for knowledge in (0.0, 1.0):
        evaluate(run, "scripted", knowledge)
    evaluate(run, "scripted", 1.0, ["prior=0.5"])
    names = [judged_by.name for judged_by in run.evaluations]
    assert sorted(names) == [
        "scripted-knowledge=0",
        "scripted-knowledge=1",
        "scripted-knowledge=1-prior=0.5",
    ]
    rows = read_ledger(run.ledger)
    filed = [verdicts.read(run.verdicts(name, "training"), rows, "") for name in names]
    assert [len(each) for each in filed] == [48] * 3


def test_full_knowledge_has_no_knowledge_to_set(run: RunDirectory) -> None:
    with pytest.raises(UsageError, match="--knowledge: full_knowledge sees everything"):
        evaluate(run, "full_knowledge", 0.5)


def test_fresh_generations_are_made_once_and_judged_by_everybody(run: RunDirectory) -> None:
    evaluate(run, "scripted", 1.0)
    made = {stage: run.generations(stage).read_bytes() for stage in ("held_out", "base")}  # type: ignore[arg-type]
    evaluate(run)
    assert made == {stage: run.generations(stage).read_bytes() for stage in made}  # type: ignore[arg-type]


def test_every_setting_is_in_the_config(trained: Path) -> None:
    """Those that are equal to a default, too: a changed default changes no run."""
    filed = yaml.safe_load((trained / "config.yaml").read_text())
    for name, value in {"learning_rate": 8e-4, "kl_coef": 0.02, "num_ppo_epochs": 2}.items():
        assert filed[name] == value
    assert filed == parse_run(["--config", str(trained / "config.yaml")]).flat()


def test_the_commit_and_the_sources_are_filed(trained: Path) -> None:
    filed = RunDirectory(trained).read(Environment)
    assert set(filed.sources) == {
        "rlhf_testbed.tasks.corridor:Corridor",
        "rlhf_testbed.overseers.scripted:Scripted",
        "rlhf_testbed.selection.ppo:PPO",
    }
    if (Path(__file__).parents[1] / ".git").exists():
        assert filed.commit is not None
        assert len(filed.commit) == 40
        assert filed.clean in (True, False)


PLUGIN = """
from my_odds.helper import COST
from rlhf_testbed.tasks.corridor import Corridor


class Mine(Corridor):
    cost = COST
"""


def test_the_source_of_a_plug_in_is_its_modules_and_those_that_it_uses(here: Path) -> None:
    package = here / "my_odds"
    package.mkdir()
    (package / "helper.py").write_text("COST = 1\n\n\ndef helped() -> int:\n    return COST\n")
    told = PLUGIN.replace("import COST", "import COST, helped")
    (package / "mine.py").write_text(told)

    def hashed() -> str:
        for name in [name for name in sys.modules if name.startswith("my_odds")]:
            del sys.modules[name]
        return source_hash(task_class("my_odds.mine:Mine"))

    first = hashed()
    assert hashed() == first
    (package / "helper.py").write_text("COST = 1\n\n\ndef helped() -> int:\n    return COST + 1\n")
    second = hashed()
    (package / "mine.py").write_text(told + "    more = 1\n")
    assert len({first, second, hashed()}) == 3
    assert source_hash(task_class("corridor")) not in (first, second)


def test_a_run_of_another_method_names_its_source(tmp_path: Path) -> None:
    small = SMALL[: SMALL.index("--checkpoint_every")]
    arguments = [*small, "--method", "best_of_n", "--completions", "4"]
    run = train(parse_run([*arguments, "--output_dir", str(tmp_path / "run")]), lambda step: None)
    assert "rlhf_testbed.selection.best_of_n:BestOfN" in run.read(Environment).sources
    assert run.summary().method == "best_of_n"
