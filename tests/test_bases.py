"""Base policies that ship with the package, and how a run finds the one that it starts from."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from policies import Known
from rlhf_testbed.evaluation.ability import ability
from rlhf_testbed.experiment.bases import SHIPPED_SET, bring_up_to_date, build_able, shipped_jobs
from rlhf_testbed.policy import base_key, base_policy, base_shelves
from rlhf_testbed.policy.base_about import About, BaseSettings, content_hash
from rlhf_testbed.policy.base_key import FIRST, demonstrations, full_digest, quick_key
from rlhf_testbed.policy.base_policy import ensure_base_policy, load_base_policy
from rlhf_testbed.policy.base_shelves import SHIPPED, Shelved, cache_folder, shipped, taken
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.settings.plugins import task_named
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.record import read, write
from rlhf_testbed.tasks.base import Demonstration, Dials, Task
from rlhf_testbed.tasks.corridor import Corridor
from test_train import saved_model
from test_words import ROOT

TINY = ["--base_steps", "4", "--demonstrations", "600"]
SHELF = shipped()
IDS = [one.folder.name for one in SHELF]


def uniform(task: Task) -> Known:
    """Gives each response of the space the same chance."""
    return Known(lambda scenario: dict.fromkeys(task.responses, 1 / len(task.responses)))


def unwatched(step: object) -> None:
    """Nobody looks."""


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that nothing is in yet."""
    monkeypatch.setenv("RLHF_TESTBED_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many demonstrations of a corridor are made, each time."""
    counts: list[int] = []
    made = Corridor.demonstrations

    def counting(
        self: Corridor, unintended_share: float, seed: int, count: int
    ) -> tuple[Demonstration, ...]:
        counts.append(count)
        return made(self, unintended_share, seed, count)

    monkeypatch.setattr(Corridor, "demonstrations", counting)
    return counts


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders in the cache that are looked for, or built where they are not there."""
    folders: list[Path] = []

    def instead(run: object, folder: Path, watcher: object) -> Path:
        folders.append(folder)
        return folder

    monkeypatch.setattr(base_policy, "_cached", instead)
    return folders


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny base policy, to be copied."""
    folder = tmp_path_factory.mktemp("bases") / "made"
    build_able(parse_run(TINY), folder, unwatched)
    return folder


@pytest.fixture
def shelf(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelved:
    """A tiny base policy that ships, and no other."""
    folder = tmp_path / "shipped" / "tiny"
    shutil.copytree(made, folder)
    monkeypatch.setattr(base_shelves, "SHIPPED", folder.parent)
    return Shelved(folder, read(folder / About.file, About))


def test_the_whole_set_is_there_and_nothing_else() -> None:
    named = {job.arguments[1].name for job in shipped_jobs()}
    assert set(IDS) == named
    assert len(named) == sum(len(s) for shares in SHIPPED_SET.values() for s in shares.values())
    arms = {
        task: {arm.dials.unintended_share for arm in task_named(task).arms} for task in SHIPPED_SET
    }
    assert {task: set(shares) for task, shares in SHIPPED_SET.items()} == arms


@pytest.mark.parametrize("one", SHELF, ids=IDS)
def test_a_shipped_one_is_what_its_about_says_and_current(one: Shelved) -> None:
    settings = one.about.settings
    assert content_hash(one.folder) == one.about.hash
    assert quick_key(settings, task_named(settings.task)) == one.about.quick, "run `make bases`"
    assert set(one.about.libraries) == {"torch", "transformers"}
    assert load_base_policy(one.folder).model.num_parameters() > 100_000
    name = (
        f"{task_named(settings.task).name}-{settings.unintended_share:g}-seed-{settings.base_seed}"
    )
    assert one.folder.name == name


@pytest.mark.parametrize("one", SHELF, ids=IDS)
def test_a_shipped_one_says_how_able_it_is(one: Shelved) -> None:
    """Some goal is reached at least half as often as by its demonstrators."""
    able = one.about.ability
    assert able is not None
    task = task_named(one.about.settings.task)
    assert set(able.reached) == {goal.name for goal in task.goals}
    assert sum(found.base_policy for found in able.reached.values()) >= 0.5 * sum(
        found.demonstrators for found in able.reached.values()
    )
    assert 0 < one.about.loss < 2


@pytest.mark.parametrize("task", SHIPPED_SET)
def test_default_settings_of_every_arm_start_from_a_shipped_one(
    task: str, built: list[Path], own_cache: Path
) -> None:
    for arm in task_named(task).arms:
        folder = ensure_base_policy(parse_run(["--task", task, "--arm", arm.name]), unwatched)
        assert folder.parent == SHIPPED
    assert not built
    assert not own_cache.exists(), "nothing is written to find a shipped one"


def test_a_start_makes_few_demonstrations(asked: list[int], built: list[Path]) -> None:
    ensure_base_policy(parse_run(["--task", "corridor"]), unwatched)
    assert asked == [FIRST]
    assert not built


@pytest.mark.slow
@pytest.mark.parametrize("one", SHELF, ids=IDS)
def test_a_shipped_ones_demonstrations_are_still_those_it_has_learned(one: Shelved) -> None:
    settings, task = one.about.settings, task_named(one.about.settings.task)
    shown = demonstrations(settings, task, settings.demonstrations)
    assert base_key.digest(shown) == one.about.demonstrations
    assert full_digest(settings, task, shown) == one.about.full


OTHER = [
    ["--base_policy", "build"],
    ["--base_seed", "1"],
    ["--base_steps", "5"],
    ["--base_batch_size", "31"],
    ["--base_learning_rate", "0.001"],
    ["--demonstrations", "599"],
    ["--unintended_share", "0.31"],
    ["--task", "inspection"],
    ["--model", "MODEL"],
]


@pytest.mark.parametrize("given", OTHER, ids=" ".join)
def test_other_settings_do_not_take_the_shipped_one(
    given: list[str], shelf: Shelved, built: list[Path], own_cache: Path, tmp_path: Path
) -> None:
    if "MODEL" in given:
        saved_model(tmp_path / "model", "llama")
    words = [word.replace("MODEL", str(tmp_path / "model")) for word in given]
    assert ensure_base_policy(parse_run(TINY), unwatched) == shelf.folder
    assert not built
    found = ensure_base_policy(parse_run([*TINY, *words]), unwatched)
    assert [found] == built
    assert found.parent == own_cache / "base"


def test_settings_that_teach_nothing_else_take_the_shipped_one(shelf: Shelved) -> None:
    words = ["--seed", "7", "--arm", "both", "--learning_rate", "0.1", "--dtype", "bfloat16"]
    assert ensure_base_policy(parse_run([*TINY, *words]), unwatched) == shelf.folder


def test_an_edited_comment_takes_the_shipped_one_and_is_looked_into_once(
    shelf: Shelved, asked: list[int], own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_key, "source_hash", lambda kind: "edited")
    assert ensure_base_policy(parse_run(TINY), unwatched) == shelf.folder
    assert asked == [FIRST, 600]
    assert ensure_base_policy(parse_run(TINY), unwatched) == shelf.folder
    assert asked == [FIRST, 600, FIRST]


def test_other_demonstrations_from_the_same_source_are_noticed(
    shelf: Shelved, built: list[Path], own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from a file of data that has changed."""
    made = Corridor.demonstrations

    def other(
        self: Corridor, unintended_share: float, seed: int, count: int
    ) -> tuple[Demonstration, ...]:
        first, *rest = made(self, unintended_share, seed, count)
        return first._replace(response="left walk walk walk walk"), *rest

    monkeypatch.setattr(Corridor, "demonstrations", other)
    assert [ensure_base_policy(parse_run(TINY), unwatched)] == built


def test_a_damaged_shipped_one_is_one_line(shelf: Shelved) -> None:
    config = shelf.folder / "config.json"
    config.write_text(config.read_text() + "\n")
    with pytest.raises(UsageError, match=r"tiny: damaged: not the base policy [0-9a-f]{16}"):
        ensure_base_policy(parse_run(TINY), unwatched)


def test_versions_decide_for_what_was_built_here_and_not_for_what_is_shipped(
    shelf: Shelved, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*TINY, "--base_policy", "build"]
    first = ensure_base_policy(parse_run(words), unwatched)
    assert ensure_base_policy(parse_run(words), unwatched) == first
    newer = {"torch": "9.9", "transformers": "9.9"}
    monkeypatch.setattr(base_shelves, "libraries", lambda: newer)
    assert ensure_base_policy(parse_run(TINY), unwatched) == shelf.folder
    assert ensure_base_policy(parse_run(words), unwatched) != first


def test_one_that_is_there_is_found_in_a_cache_that_cannot_be_written(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ensure_base_policy(parse_run(TINY), unwatched)
    for lock in own_cache.rglob("*.lock"):
        lock.unlink()
    shutil.rmtree(own_cache / "base" / "keys")

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(own_cache))

    monkeypatch.setattr(base_policy, "FileLock", refused)
    monkeypatch.setattr(base_shelves, "write_text", refused)
    monkeypatch.setattr(Path, "mkdir", refused)
    assert ensure_base_policy(parse_run(TINY), unwatched) == first
    assert {file.name for file in (own_cache / "base").iterdir()} == {first.name}


def test_a_base_policy_can_be_built_again_to_the_last_byte(shelf: Shelved, own_cache: Path) -> None:
    again = ensure_base_policy(parse_run([*TINY, "--base_policy", "build"]), unwatched)
    assert content_hash(again) == shelf.about.hash
    assert read(again / About.file, About).loss == shelf.about.loss
    other = ensure_base_policy(parse_run([*TINY, "--base_seed", "1"]), unwatched)
    assert content_hash(other) != shelf.about.hash


def test_the_small_models_weights_are_rounded_and_no_other_models(
    shelf: Shelved, own_cache: Path, tmp_path: Path
) -> None:
    model = saved_model(tmp_path / "model", "llama")
    taught = ensure_base_policy(parse_run([*TINY, "--model", str(model)]), unwatched)
    for folder, on_grid in ((shelf.folder, True), (taught, False)):
        weights = load_file(folder / "model.safetensors")
        assert weights
        assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
        assert on_grid == all(
            torch.equal(tensor, tensor.bfloat16().float()) for tensor in weights.values()
        )


def test_a_local_model_is_known_by_its_files(tmp_path: Path) -> None:
    model = saved_model(tmp_path / "model", "llama")
    settings = BaseSettings.of(parse_run([*TINY, "--model", str(model)]))
    task = Corridor()
    shown = demonstrations(settings, task, 600)
    before = quick_key(settings, task), full_digest(settings, task, shown)
    config = model / "config.json"
    config.touch()
    touched = quick_key(settings, task), full_digest(settings, task, shown)
    assert touched[0] != before[0]
    assert touched[1] == before[1]
    config.write_text(config.read_text() + "\n")
    assert full_digest(settings, task, shown) != before[1]


def test_a_hub_model_is_known_by_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    commits = {"main": "c1", "old": "c2"}
    monkeypatch.setattr(
        "huggingface_hub.hf_hub_download",
        lambda name, file, revision: f"cache/snapshots/{commits[revision]}/{file}",
    )

    def key(*words: str) -> str:
        settings = BaseSettings.of(parse_run([*TINY, "--model", "some/model", *words]))
        return quick_key(settings, Corridor())

    first = key()
    assert key() == first
    assert key("--model_revision", "old") != first
    assert key("--dtype", "bfloat16") != first
    commits["main"] = "c3"
    assert key() != first


def test_a_model_that_is_nowhere_is_one_line() -> None:
    with pytest.raises(UsageError, match=r"^model nowhere/x: can't be loaded \(") as told:
        ensure_base_policy(parse_run([*TINY, "--model", "nowhere/x"]), unwatched)
    assert "\n" not in str(told.value)


def test_the_shipped_set_is_brought_up_to_date_without_teaching_what_is_the_same(
    shelf: Shelved, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = shelf.folder / "model.safetensors"
    before = weights.stat().st_mtime_ns
    write(shelf.folder / About.file, shelf.about.model_copy(update={"quick": "stale"}))
    bring_up_to_date(unwatched, TINY, shelf.folder)
    assert read(shelf.folder / About.file, About) == shelf.about
    assert weights.stat().st_mtime_ns == before
    bring_up_to_date(unwatched, [*TINY, "--base_seed", "3"], shelf.folder)
    found = read(shelf.folder / About.file, About)
    assert found.settings.base_seed == 3
    assert found.hash == content_hash(shelf.folder) != shelf.about.hash
    assert [folder.name for folder in shelf.folder.parent.iterdir()] == ["tiny"]


@pytest.mark.parametrize("task", SHIPPED_SET)
def test_ability_tells_demonstrators_from_a_policy_that_knows_nothing(task: str) -> None:
    """All demonstrators pursue the unintended goal here; those of corridor not always ably."""
    kind = task_named(task)
    found = ability(kind, uniform(kind), 1.0).reached
    (unintended,) = [found[goal.name] for goal in kind.unintended_goals]
    intended = found[kind.intended_goal.name]
    assert unintended.demonstrators > (0.4 if task == "corridor" else 0.99)
    assert intended.demonstrators == 0
    scenarios = kind.scenarios(Dials(), 0, "off_distribution", 64)
    goal = kind.intended_goal.utility
    by_hand = sum(goal(one, text) for one in scenarios for text in kind.responses)
    share = by_hand / 64 / len(kind.responses)
    assert intended.base_policy == pytest.approx(share)


def test_the_ability_of_demonstrators_is_not_known_where_the_task_has_none_to_ask() -> None:
    class Silent(Corridor):
        demonstrated = Task.demonstrated

    found = ability(Silent(), uniform(Corridor()), 0.3).reached["coin"]
    assert math.isnan(found.demonstrators)
    assert 0 < found.base_policy < 1


def _ended(*words: str) -> subprocess.CompletedProcess[str]:
    program = "if __name__ == '__main__':\n    from rlhf_testbed.cli import main\n    main()"
    return subprocess.run(
        [sys.executable, "-c", program, "base", *words], cwd=ROOT, capture_output=True, text=True
    )


def test_the_list_names_every_base_policy(own_cache: Path) -> None:
    ensure_base_policy(parse_run(TINY), unwatched)
    ended = _ended("list")
    assert ended.returncode == 0
    lines = ended.stdout.splitlines()
    assert f"shipped: {len(SHELF)}" in lines
    assert "built here: 1" in lines
    assert sum("current" in line for line in lines) == len(SHELF) + 1
    for one in SHELF:
        (line,) = [line for line in lines if one.about.hash in line]
        assert line.endswith("   current")


def test_one_is_built_by_its_settings(tmp_path: Path) -> None:
    words = ["build", "corridor", "--unintended_share", "0.2", *TINY]
    ended = _ended(*words, "--output_dir", str(tmp_path / "one"))
    assert ended.returncode == 0, ended.stderr
    about = read(tmp_path / "one" / About.file, About)
    assert (about.settings.unintended_share, about.settings.steps) == (0.2, 4)
    assert about.ability is not None
    again = _ended(*words, "--output_dir", str(tmp_path / "one"))
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "exists (name another --output_dir)" in again.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["build"], "base build takes a TASK and --output_dir DIR, or --shipped"),
        (["build", "corridor"], "base build takes a TASK and --output_dir DIR, or --shipped"),
        (["build", "corridor", "--shipped"], "--shipped builds a set of its own"),
        (["build", "corrido", "--output_dir", "x"], "did you mean 'corridor'?"),
        (["build", "corridor", "--output_dir", "x", "--base_sed", "1"], "did you mean '--base_s"),
        ([], "Missing command"),
    ],
    ids=str,
)
def test_bad_input_is_one_line(words: list[str], says: str) -> None:
    ended = _ended(*words)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert says in ended.stderr


def test_a_wheel_holds_them() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = told["tool"]["setuptools"]["package-data"]["rlhf_testbed"]
    files = [file.relative_to(SHIPPED.parents[1]) for file in SHIPPED.rglob("*") if file.is_file()]
    assert len(files) >= 6 * len(SHELF)
    assert all(any(fnmatch(str(file), pattern) for pattern in patterns) for file in files)


def test_taken_asks_for_all_that_is_wanted(shelf: Shelved) -> None:
    about = shelf.about
    assert taken([shelf], quick=about.quick, full=about.full) == shelf.folder
    assert taken([shelf], quick=about.quick, full="other") is None
    assert cache_folder() not in shelf.folder.parents
