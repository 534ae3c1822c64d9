"""docs/ARCHITECTURE.md: short, and its examples work, added to a copy as the page says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from test_words import ROOT

PAGE = ROOT / "docs/ARCHITECTURE.md"
PACKAGES = ("tasks", "overseers", "rlhf_testbed")
TABLES = ("TASKS", "OVERSEERS", "METHODS", "EPISODE_MEASURES", "ENGINES", "FILES")
TRIED = """
from pathlib import Path
import numpy as np
import rlhf_testbed, tasks
assert Path(rlhf_testbed.__file__).is_relative_to(Path.cwd()), rlhf_testbed.__file__

from rlhf_testbed.contract import check_overseer, check_task
from rlhf_testbed.settings.plugins import overseer_class, task_named
task = task_named("strict")
results = [*check_task(task), *check_overseer(overseer_class("grudging"), [task])]
assert len(results) == 36
assert [result for result in results if result.status != "PASS"] == []

from rlhf_testbed.overseers.base import Sight
from rlhf_testbed.settings.overseers import make_overseer
from rlhf_testbed.tasks.base import Verdict, View
told = make_overseer("grudging", task, Sight(0.0)).judge("x", View({}, {}, (), valid=False))
assert not told.approved

from rlhf_testbed.settings.parsing import parse_run
run = parse_run(["--task", "strict", "--overseer", "grudging", "--method", "approval_ppo"])
assert run.method.kl_coef == 0.02
from rlhf_testbed.settings.methods import method_class
from rlhf_testbed.selection.ppo import PPO
asked = []
class Stub(method_class("approval_ppo")):
    def __init__(self):
        self.trainer = self
    def estimate(self, completions, scores):
        return scores
verdicts = [Verdict(0.2, True, ""), Verdict(0.9, False, "")]
assert Stub().fitness(None, verdicts) == [1.0, 0.0]

from rlhf_testbed.evaluation.episode_measures import figures
from rlhf_testbed.evaluation.judged import Judged
two = np.array([1.0, 1.0])
judged = Judged(two, two, np.array([1.0, 0.0]), two, two, two, two)
assert figures(judged)["approval_gap"] == 0.5
from rlhf_testbed.report.metrics import written
page = written(Path("METRICS.md").read_text(encoding="utf-8"))
assert "\\n| `approval_gap` | difference of shares |" in page

from rlhf_testbed.engine.job import Job, engine_named
Path("work.py").write_text("def note(watcher, file): file.write_text('done')\\n")
import work
engine_named("serial").run([Job(name, work.note, (Path(name),)) for name in ("one", "two")])
assert Path("one").read_text() == Path("two").read_text() == "done"

from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import FILES, Memory
directory = RunDirectory(Path("run"))
directory.path.mkdir()
directory.write(Memory(peak_mib=796.5))
assert Memory in FILES
assert directory.read(Memory).peak_mib == 796.5
"""
"""What the added parts must do, in a process that finds the copy first."""


def examples() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def add(example: str, folder: Path) -> None:
    """Does what one example says: a new file, a part of one, a line of a table."""
    parts = re.split(r"^# (file|in|line): (.*)\n", example, flags=re.M)
    assert not parts[0]
    made: dict[str, str] = {}
    for what, where, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        if what == "file":
            assert not (folder / where).exists()
            (folder / where).write_text(text, encoding="utf-8")
            module = where.removesuffix(".py").replace("/", ".")
            made |= {name: module for name in re.findall(r"^class (\w+)", text, re.M)}
            continue
        table, _, name = where.rpartition(" in ")
        file = folder / name
        found = file.read_text(encoding="utf-8")
        if what == "in":
            head, table_line, tail = re.split(r"^(FILES\b)", found, maxsplit=1, flags=re.M)
            found = f"{head}{text}\n\n{table_line}{tail}"
        else:
            found, count = re.subn(
                rf"^({table}\b[^=\n]*= [({{])", rf"\1\n{text}", found, flags=re.M
            )
            assert count == 1, f"{table} is not in {name}"
            used = [each for each in made if re.search(rf"(?<![\w:.]){each}\b", text)]
            imports = "".join(f"from {made[each]} import {each}\n" for each in used)
            found = re.sub(r"^from ", f"{imports}from ", found, count=1, flags=re.M)
        file.write_text(found, encoding="utf-8")


def test_the_page_is_one_page() -> None:
    assert len(PAGE.read_text(encoding="utf-8").splitlines()) <= 140


def test_there_is_an_example_of_each_kind() -> None:
    lines = [line for example in examples() for line in example.splitlines()]
    named = [line.split()[2] for line in lines if line.startswith("# line: ")]
    assert named == list(TABLES)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_examples_work_as_they_stand(tmp_path: Path) -> None:
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored, symlinks=True)
    shutil.copy(ROOT / "docs/METRICS.md", tmp_path)
    for example in examples():
        add(example, tmp_path)
    command = [sys.executable, "-c", TRIED]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
