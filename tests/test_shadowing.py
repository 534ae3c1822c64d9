"""From a folder with a `tasks` or `overseers` of its own, as many research repositories have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import SMALL
from test_words import ROOT

pytestmark = pytest.mark.slow

LAUNCH = ["-m", "accelerate.commands.accelerate_cli", "launch", "-m", "rlhf_testbed.train"]
PLAIN = ["-m", "rlhf_testbed.train"]
FEW = [*SMALL, "--total_episodes", "16", "--base_steps", "5", "--arm", "both"]
OWN = """
from rlhf_testbed.tasks.corridor import Corridor

from tasks.names import NAME


class Mine(Corridor):
    name = NAME
"""
OLD = """
from overseers.base import TrainingOverseer
from tasks.base import Verdict


class Marker(TrainingOverseer):
    summary = "written when our rooms had these names"

    def judge(self, response, view):
        return Verdict(float(view.valid), view.valid, "so it is")
"""


def _ran(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


@pytest.fixture(params=["packages", "modules"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A research repository with names that everybody uses."""
    for name in ("tasks", "overseers"):
        if request.param == "packages":
            (tmp_path / name).mkdir()
            (tmp_path / name / "__init__.py").write_text("")
        else:
            (tmp_path / f"{name}.py").write_text("MINE = 1\n")
    return tmp_path


@pytest.mark.parametrize("start", [PLAIN, LAUNCH], ids=["python -m", "accelerate launch"])
def test_training_starts_beside_them(start: list[str], folder: Path) -> None:
    ended = _ran([*start, *FEW, "--output_dir", "run"], folder)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert (folder / "run" / "finished.json").is_file()


def test_a_plug_in_in_the_users_own_tasks_works(tmp_path: Path) -> None:
    own = tmp_path / "tasks"
    own.mkdir()
    (own / "__init__.py").write_text("")
    (own / "names.py").write_text("NAME = 'mine'\n")
    (own / "mine.py").write_text(OWN)
    words = [*PLAIN, *FEW, "--task", "tasks.mine:Mine", "--output_dir", "run"]
    ended = _ran(words, tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "task: tasks.mine:Mine" in (tmp_path / "run" / "config.yaml").read_text()


def test_a_plug_in_written_with_the_old_names_works(tmp_path: Path) -> None:
    (tmp_path / "auditor.py").write_text(OLD)
    words = [*PLAIN, *FEW, "--overseer", "auditor:Marker", "--output_dir", "run"]
    ended = _ran(words, tmp_path)
    assert ended.returncode == 0, ended.stderr


def test_the_old_names_are_the_same_modules(tmp_path: Path) -> None:
    """Not copies, of whose classes ours would be no instances."""
    program = (
        "import rlhf_testbed, tasks, tasks.base, overseers.base, rlhf_testbed.tasks.base as ours\n"
        "from tasks.corridor import Corridor\n"
        "from rlhf_testbed.tasks import TASKS\n"
        "assert tasks.base is ours and TASKS['corridor'] is Corridor\n"
        "assert ours.__spec__.name == ours.__name__ == 'rlhf_testbed.tasks.base'\n"
        "try:\n    import tasks.nothing\n"
        "except ModuleNotFoundError as error:\n    print(error)\n"
    )
    for place in (tmp_path, ROOT):
        ended = _ran(["-c", program], place)
        assert ended.stdout == "No module named 'tasks.nothing'\n", ended.stderr


def test_what_is_installed_has_no_name_that_everybody_uses(tmp_path: Path) -> None:
    """A wheel holds our tasks and overseers within `rlhf_testbed`, and beside it nothing but the
    module by which verifiers, which takes no dots in a name, finds them."""
    import zipfile

    build = "import setuptools.build_meta as b, sys; print(b.build_wheel(sys.argv[1]))"
    ended = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "rlhf_testbed",
        "rlhf_testbed_verifiers.py",
    }
    for name in ("tasks/corridor.py", "overseers/scripted.py", "py.typed", "report/assets/main.js"):
        assert f"rlhf_testbed/{name}" in names, ended.stderr
