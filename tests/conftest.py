"""What the tests share: tasks, overseers, and a small trained base policy of their own."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from rlhf_testbed.contract import judges
from rlhf_testbed.overseers import HELD_OUT, OVERSEERS
from rlhf_testbed.overseers.base import Overseer, Sight
from rlhf_testbed.overseers.scripted import Scripted
from rlhf_testbed.tasks import TASKS
from rlhf_testbed.tasks.base import Dials, Scenario, Task
from rlhf_testbed.tasks.corridor import Corridor
from slurm_node import SlurmError, outer_job, slurm_node

if TYPE_CHECKING:
    from rlhf_testbed.export.record import Record

# No test asks a model hub, which where there is none would try again for a minute.
os.environ["HF_HUB_OFFLINE"] = "1"

# A busy machine is no fault of the code: how long an example takes is not tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Small enough to learn in seconds; most tests need a model, not a good one.
SMALL = [
    *("--base_steps", "30", "--demonstrations", "2000", "--base_batch_size", "64"),
    *("--base_learning_rate", "0.003"),
    *("--total_episodes", "48", "--per_device_train_batch_size", "16", "--train_scenarios", "64"),
    *("--held_out_scenarios", "8", "--off_distribution_scenarios", "8"),
    *("--generations", "32", "--checkpoint_every", "2"),
]


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Base policies of the tests are kept apart from the user's, and built once a session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RLHF_TESTBED_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


@pytest.fixture(params=sorted(TASKS))
def task(request: pytest.FixtureRequest) -> Task:
    """Every task in turn."""
    return TASKS[request.param]()


def overseers_of(task: Task) -> list[Overseer]:
    """Every overseer of a task, at several knowledges; those that read have a stand-in model."""
    kinds: list[type[Overseer]] = [*OVERSEERS.values(), *HELD_OUT.values()]
    return [overseer for kind in kinds for overseer in judges.overseers_of(kind, task)]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One small finished run; a test that adds a file to it makes the session's last one fail."""
    from rlhf_testbed.selection.job import train
    from rlhf_testbed.settings.parsing import parse_run

    folder = tmp_path_factory.mktemp("runs") / "both-1"
    run = parse_run(["--arm", "both", "--seed", "1", "--output_dir", str(folder), *SMALL])
    train(run, lambda step: None)
    made = sorted(folder.rglob("*"))
    yield folder
    assert sorted(folder.rglob("*")) == made, "a test changed what tests share"


ACTORS = ("careful coin-seeker", "coin-seeker", "random")


def _acted(scenarios: Iterable[Scenario]) -> list[str]:
    """Likeliest responses of scripted policies in turn: the small model's own get nowhere near a
    bed."""
    known = {scripted.name: scripted for scripted in Corridor().scripted_policies}
    policies = (known[ACTORS[at % len(ACTORS)]].policy(one) for at, one in enumerate(scenarios))
    return [max(policy, key=lambda response: policy[response]) for policy in policies]


@pytest.fixture(scope="session")
def evaluated(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small run with scripted policies for its own, judged by full knowledge, and by a
    scripted overseer that sees everything. Tests must not change it."""
    from rlhf_testbed.evaluation.evaluate import evaluate
    from rlhf_testbed.judging.episode import judge_all
    from rlhf_testbed.policy.language_policy import LanguagePolicy
    from rlhf_testbed.store import ledger
    from rlhf_testbed.store.ledger import Row
    from rlhf_testbed.store.run_directory import RunDirectory

    folder = tmp_path_factory.mktemp("evaluated") / "run"
    shutil.copytree(trained, folder)
    overseer = Scripted(Corridor(), Sight(0.0))
    for file in (folder / "ledger").iterdir():
        rows = ledger.read(file)
        scenarios = [row.scenario for row in rows]
        episodes = judge_all(overseer, scenarios, _acted(scenarios))
        told = zip(rows, episodes, strict=True)
        ledger.write(
            file,
            [Row.of(one, row.update, row.episode, row.advantage, row.kl) for row, one in told],
        )

    fresh = Corridor().scenarios(Dials(), 1, "held_out", 32)

    sample = LanguagePolicy.sample

    def sampled(self: LanguagePolicy, scenarios: Sequence[Scenario], seed: int) -> list[str]:
        own = [one.id for one in scenarios] == [one.id for one in fresh]
        return _acted(scenarios) if own else sample(self, scenarios, seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LanguagePolicy, "sample", sampled)
        evaluate(RunDirectory(folder))
        evaluate(RunDirectory(folder), "scripted", knowledge=1.0)
    return folder


@pytest.fixture(scope="session")
def experiment(evaluated: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four runs: two evaluated, of which one has a dial of its own; one not; one unfinished."""
    folder = tmp_path_factory.mktemp("experiment") / "x"
    shutil.copytree(evaluated, folder / "both" / "seed-1")
    varied = folder / "both randomised=0.5" / "seed-1"
    shutil.copytree(evaluated, varied, ignore=shutil.ignore_patterns("scripted*"))
    for seed in (2, 3):
        shutil.copytree(trained, folder / "both" / f"seed-{seed}")
        _set(folder / "both" / f"seed-{seed}" / "config.yaml", "seed: 1", f"seed: {seed}")
    _set(varied / "config.yaml", "randomised: 0", "randomised: 0.5")
    (folder / "both" / "seed-3" / "finished.json").unlink()
    return folder


def _set(file: Path, was: str, now: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert f"\n{was}\n" in text
    file.write_text(text.replace(f"\n{was}\n", f"\n{now}\n"), encoding="utf-8")


@pytest.fixture(scope="session")
def record(evaluated: Path) -> Record:
    """What is exported of it."""
    from rlhf_testbed.export.record import read_record
    from rlhf_testbed.store.run_directory import RunDirectory

    return read_record(RunDirectory(evaluated))


@pytest.fixture(scope="session")
def _slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with ExitStack() as stack:
        try:
            environment = stack.enter_context(slurm_node(tmp_path_factory.mktemp("slurm")))
        except SlurmError as error:
            pytest.skip(f"no Slurm: {error}")
        yield environment


@pytest.fixture
def slurm(_slurm: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A Slurm of one node, which this process and those that it starts use; skips without one.

    All tests of a session share it, so a test knows its jobs by their numbers, and ends them.
    """
    for name in outer_job():
        monkeypatch.delenv(name)
    for name, value in _slurm.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder of its own, from which nothing has been imported yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        spec = getattr(sys.modules[name], "__spec__", None)
        if isinstance(spec, ModuleSpec):
            places = [spec.origin, *(spec.submodule_search_locations or ())]
            if any(str(place).startswith(str(tmp_path)) for place in places):
                del sys.modules[name]
