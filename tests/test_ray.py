"""Jobs on a real Ray cluster: nodes that die, don't see the folder, differ, or are full."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import SMALL
from kills import content
from ray_cluster import Cluster, Node
from rlhf_testbed.engine.board import Jobs
from rlhf_testbed.engine.job import Job, JobsFailed, Orders, engine_named
from rlhf_testbed.experiment.plan import plan
from rlhf_testbed.experiment.run import run_experiment
from rlhf_testbed.shared import versions
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.progress import Step, Watcher
from rlhf_testbed.shared.record import read
from rlhf_testbed.store.base_kept import base_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def note(watcher: Watcher, file: Path, base: Path | None = None) -> tuple[Path, ...]:
    """Files a folder with what it read, and where it was made."""
    watcher(Step(1, 1, ""))
    file.mkdir(parents=True)
    (file / "read").write_text(base.read_text() if base else "nothing")
    (file / "working folder").write_text(os.getcwd())
    return (file,)


def wait(watcher: Watcher, file: Path, until: Path) -> None:
    """Tells of each time it begins, then waits for a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as told:
        told.write("x")
    while not until.exists():
        watcher(Step(0, 1, ""))
        time.sleep(0.05)


def refuse(watcher: Watcher, what: str) -> None:
    raise UsageError(f"{what} is too small")


def fill(watcher: Watcher, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"0" * 4_000_000)


@pytest.fixture(scope="module")
def head() -> Iterator[Cluster]:
    """A cluster of one node."""
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """One of its own for each test: Ray notices late that a node is gone."""
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def away(cluster: Cluster, request: pytest.FixtureRequest, tmp_path: Path) -> Node:
    told = getattr(request, "param", {})
    hidden = [tmp_path / "shared"] if told.get("hidden") else []
    for folder in hidden:
        folder.mkdir()
    other = {}
    if "other" in told:
        other[Path(versions.__file__)] = tmp_path / "versions.py"
        (tmp_path / "versions.py").write_text(told["other"])
    node = cluster.node("away", hidden, told.get("room", 2**30), other)
    return node


def run(cluster: Cluster, jobs: list[Job], folder: Path, **options: str | float) -> None:
    engine = engine_named("ray", options={"address": cluster.address, **options})
    engine.run(jobs, Orders(retries=1, folder=folder, caches={"A_CACHE": folder.parent / "cache"}))


def test_jobs_run_on_all_nodes_and_one_that_fails_stops_no_other(
    cluster: Cluster, away: Node, tmp_path: Path
) -> None:
    both = [tmp_path / "x" / name for name in ("a", "b")]
    jobs = [Job(one.name, meet, (one, both)) for one in both]
    with pytest.raises(JobsFailed) as raised:
        run(cluster, [*jobs, Job("c", refuse, ("c",))], tmp_path / "x")
    (failure,) = raised.value.failures
    assert failure.usage
    assert failure.said.endswith("): c is too small")
    assert failure.said.startswith("on node ")
    told = read(tmp_path / "x" / Jobs.file, Jobs)
    assert {job.title: job.state for job in told.jobs} == {
        "a": "ended",
        "b": "ended",
        "c": "failed",
    }
    assert len({job.where for job in told.jobs[:2]}) == 2
    assert told.ended


def meet(watcher: Watcher, mine: Path, both: list[Path]) -> None:
    """Waits for the other, which is only there when both run at the same time."""
    mine.touch()
    while not all(one.exists() for one in both):
        time.sleep(0.05)


def test_what_ran_on_a_node_that_is_lost_is_done_again_elsewhere(
    cluster: Cluster, away: Node, tmp_path: Path
) -> None:
    begun = [tmp_path / "x" / name for name in ("a", "b")]
    until = tmp_path / "until"

    def lose() -> None:
        while not all(one.exists() for one in begun):
            time.sleep(0.05)
        away.kill()
        until.touch()

    threading.Thread(target=lose, daemon=True).start()
    run(cluster, [Job(one.name, wait, (one, until)) for one in begun], tmp_path / "x")
    assert sorted(one.read_text() for one in begun) == ["x", "xx"]
    told = read(tmp_path / "x" / Jobs.file, Jobs)
    assert sorted(job.tries for job in told.jobs) == [1, 2]


def test_a_cluster_that_is_lost_is_looked_for_again(tmp_path: Path) -> None:
    begun, until = tmp_path / "x" / "a", tmp_path / "until"
    with Cluster() as cluster:

        def lose() -> None:
            while not begun.exists():
                time.sleep(0.05)
            cluster.nodes[0].kill()
            cluster.head()
            until.touch()

        threading.Thread(target=lose, daemon=True).start()
        run(cluster, [Job("a", wait, (begun, until))], tmp_path / "x", patience=120)
        assert begun.read_text() == "xx"


@pytest.mark.parametrize("away", [{"hidden": True}], indirect=True)
@pytest.mark.parametrize("relative", [False, True], ids=["absolute", "relative"])
def test_what_a_node_made_that_sees_no_shared_folder_is_fetched_back(
    relative: bool, cluster: Cluster, away: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One node has the folder and the other does not; both read a file of the cache, too."""
    monkeypatch.chdir(tmp_path)
    base = tmp_path / "shared" / "cache" / "base"
    base.parent.mkdir(parents=True, exist_ok=True)
    base.write_text("the base policy")
    folder = Path("shared/x") if relative else tmp_path / "shared" / "x"
    made = [folder / f"run-{at}" for at in range(6)]
    jobs = [Job(one.name, note_of_base, (one,), makes=one, reads=(base,)) for one in made]
    engine = engine_named("ray", options={"address": cluster.address})
    engine.run(jobs, Orders(folder=folder, caches={"A_CACHE": base.parent}))
    for one in made:
        assert (one / "read").read_text() == "the base policy"
    assert len({(one / "node").read_text() for one in made}) == 2
    assert not list(folder.glob(".*"))


def note_of_base(watcher: Watcher, file: Path) -> None:
    """As a run does: finds its base policy by the variable, and makes its own folder."""
    file.mkdir(parents=True)
    (file / "read").write_text((Path(os.environ["A_CACHE"]) / "base").read_text())
    (file / "node").write_text(os.environ["TEST_RAY_NODE"])
    time.sleep(1)


@pytest.mark.parametrize("away", [{"hidden": True}], indirect=True)
def test_a_shared_folder_that_is_not_shared_is_told_with_its_node(
    cluster: Cluster, away: Node, tmp_path: Path
) -> None:
    folder = tmp_path / "shared" / "x"
    with pytest.raises(UsageError, match=r"^node away \(\w{8}\): does not see .*/shared/x "):
        run(cluster, [Job("a", note, (folder / "a",))], folder, shared="yes")
    assert not (folder / "a").exists()


@pytest.mark.parametrize("away", [{"hidden": True, "room": 1_000_000}], indirect=True)
def test_a_full_disk_is_told_with_its_node_and_stops_no_other(
    cluster: Cluster, away: Node, tmp_path: Path
) -> None:
    folder = tmp_path / "shared" / "x"
    jobs = [Job(f"{at}", fill, (folder / f"{at}",), makes=folder / f"{at}") for at in range(2)]
    with pytest.raises(JobsFailed) as raised:
        run(cluster, jobs, folder)
    (failure,) = raised.value.failures
    assert failure.said.startswith("on node away (")
    assert failure.said.endswith("No space left on device")
    there = [folder / name for name in ("0", "1") if (folder / name).is_file()]
    assert sum(file.stat().st_size == 4_000_000 for file in there) == 1


OTHER = "def alike():\n    return {'python': '2.7'}\n"
BROKEN = "raise ImportError('no such library')\n"


@pytest.mark.parametrize(
    ("away", "said"),
    [
        ({"other": OTHER}, r"python is 2\.7 there, 3"),
        ({"other": BROKEN}, "rlhf-testbed can't be imported there: ImportError: no such library"),
    ],
    indirect=["away"],
    ids=["another version", "none"],
)
def test_a_node_that_differs_is_told_before_any_job(
    said: str, cluster: Cluster, away: Node, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=rf"^node away \(\w{{8}}\): {said}"):
        run(cluster, [Job("a", note, (tmp_path / "x" / "a",))], tmp_path / "x")
    assert not (tmp_path / "x" / "a").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"cpus": 64.0},
            r"64 CPUs are needed for a run, and no node .* has more than 1 \(node head",
        ),
        ({"gpus": 1.0}, "1 GPUs are needed for a run, and no node .* has more than 0"),
        ({"shared": "no"}, "shared = no is none of auto, yes"),
        ({"cpus": -1.0}, "cpus = -1 is not 0 or more"),
    ],
)
def test_needs_that_no_node_meets_are_one_line(
    options: dict[str, str | float], said: str, head: Cluster, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=said) as told:
        run(head, [Job("a", note, (tmp_path / "x" / "a",))], tmp_path / "x", **options)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "", "nowhere", "nowhere.invalid:6379"])
def test_no_cluster_is_one_line(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    engine = engine_named("ray", options={"address": address})
    with pytest.raises(UsageError, match="there is no Ray cluster at ") as told:
        engine.run([Job("a", note, (tmp_path / "x" / "a",))], Orders(folder=tmp_path / "x"))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("away", [{"hidden": True}], indirect=True)
def test_an_experiment_is_the_same_where_a_node_shares_nothing(
    cluster: Cluster, away: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Base policy and runs, of which some are made on a node that sees neither folder nor cache."""
    monkeypatch.setenv("RLHF_TESTBED_CACHE", str(tmp_path / "shared" / "cache"))
    small = dict(zip((word[2:] for word in SMALL[::2]), SMALL[1::2], strict=True))
    settings = {**small, "task": "corridor", "arms": "[both]", "seeds": "0-2"}
    config = tmp_path / "x.yaml"
    config.write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))
    here = plan(str(config), output_dir=str(tmp_path / "local"))
    run_experiment(here, orders=Orders(workers=2))
    there = plan(str(config), output_dir=str(tmp_path / "shared" / "x"))
    run_experiment(there, engine_named("ray", options={"address": cluster.address}))
    told = read(there.folder / Jobs.file, Jobs)
    assert len({job.where for job in told.jobs}) == 2
    alone, on_ray = content(here.folder), content(there.folder)
    assert len(alone) > 30
    assert alone == on_ray
    assert base_folder(there.directory("both", 0)).parent == there.bases.resolve()
