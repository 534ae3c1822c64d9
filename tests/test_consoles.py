"""Commands speak on any console: what it can't show is spelled out, and nothing breaks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripted_runs import write_experiment, write_results

pytestmark = pytest.mark.slow

PROGRAM = "import sys; from rlhf_testbed.cli import main; sys.argv[0] = 'rlhf-testbed'; main()"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_experiment(tmp_path_factory.mktemp("consoles") / "x")
    write_results(folder)
    return folder


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--help"], 0),
        (["list"], 0),
        (["evaluate", "--help"], 0),
        (["check", "full_knowledge", "--task", "corridor"], 0),
        (["inspect", "FOLDER", "--limit", "3"], 0),
        (["inspect", "FOLDER", "--format", "table"], 0),
        (["inspect", "FOLDER", "--format", "jsonl"], 0),
        (["publish", "FOLDER", "OUT", "--latex"], 0),
        (["report", "FOLDER"], 0),
        (["compare", "FOLDER", "FOLDER"], 0),
        (["train", "--knowledge", "2"], 2),
        (["train", "--help"], 0),
        (["inspect", "κ"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_on_a_console(
    words: list[str], status: int, encoding: str, folder: Path, tmp_path: Path
) -> None:
    if encoding != "ascii" and words != ["list"]:
        pytest.skip("ASCII has all the trouble that there is")
    places = {"FOLDER": str(folder), "OUT": str(tmp_path / "out")}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *(places.get(word, word) for word in words)],
        env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
    )
    said = (ended.stdout + ended.stderr).decode(encoding, "replace")
    assert ended.returncode == status, said
    assert "Traceback" not in said
    assert said.strip()
    if words == ["list"]:
        assert ("κ" if encoding == "utf-8" else "\\u03ba") in said
