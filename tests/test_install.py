"""What gets installed: what the demo needs, then the developers' tools, at tested versions."""

from __future__ import annotations

import re
import subprocess
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from test_words import ROOT

LOCK = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
PINNED = dict(line.split("==") for line in LOCK if not line.startswith("#"))
FAKE = """#!/bin/sh
echo "$@" >> "{log}"
case "$*" in *version_info*) echo "Python {version}";; esac
"""
"""Stands for Python: notes what it is asked for, and says which one it is."""


def test_every_line_is_one_version_of_one_package_without_a_local_label() -> None:
    lines = [line for line in LOCK if not line.startswith("#")]
    assert len(lines) > 100
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.!]+", line)] == []
    assert sum(bool(re.fullmatch(r"# Python \d\.\d+", line)) for line in LOCK) == 1
    assert "rlhf-testbed" not in {canonicalize_name(name) for name in PINNED}


def test_the_tested_versions_are_those_that_are_asked_for() -> None:
    """What does not go with them has pins of its own (`make elsewhere`)."""
    more = (ROOT / "constraints-verifiers.txt").read_text(encoding="utf-8").splitlines()
    beside = dict(line.split("==") for line in more if not line.startswith("#"))
    assert not set(map(canonicalize_name, PINNED)) & {"verifiers", "uv"}
    both = {**beside, **PINNED}
    pinned = {canonicalize_name(name): version for name, version in both.items()}
    found = [Requirement(line) for line in requires("rlhf-testbed") or []]
    assert len(found) > 30
    for wanted in found:
        assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)]), wanted


def _asked(folder: Path, version: str, *words: str) -> tuple[str, list[str]]:
    """What `make` prints with a Python of that version, and what that is asked for."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (folder / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    (folder / ".venv").mkdir()
    log, fake = folder / "log", folder / "python"
    fake.write_text(FAKE.format(log=log, version=version))
    fake.chmod(0o755)
    command = ["make", *words, f"PYTHON={fake}", f"BIN={folder}"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, [line for line in log.read_text().splitlines() if "pip install" in line]


def test_setup_takes_the_tested_versions_and_no_developers_tools(tmp_path: Path) -> None:
    (here,) = [line[2:] for line in LOCK if line.startswith("# Python")]
    said, asked = _asked(tmp_path, here.split()[1], "setup")
    (line,) = asked
    assert "-c constraints.txt" in line
    assert line.endswith("-e .")
    assert "instead" not in said


def test_another_python_takes_the_newest_versions_and_says_so(tmp_path: Path) -> None:
    said, (line,) = _asked(tmp_path, "3.99", "setup")
    assert "-c " not in line
    assert re.search(r"constraints.txt is not of Python 3\.99: the newest .* instead", said)


def test_no_tested_versions_can_be_asked_for(tmp_path: Path) -> None:
    said, (line,) = _asked(tmp_path, "3.11", "setup", "CONSTRAINTS=")
    assert "-c " not in line
    assert "instead" not in said


@pytest.mark.parametrize("target", ["test", "slow", "check", "mutants", "pictures", "bench-report"])
def test_what_developers_run_needs_their_tools_and_the_demo_does_not(
    target: str,
) -> None:
    wanted = subprocess.run(["make", "-n", "-B", target], cwd=ROOT, capture_output=True, text=True)
    assert "'.[dev]'" in wanted.stdout
    demo = subprocess.run(["make", "-n", "-B", "demo"], cwd=ROOT, capture_output=True, text=True)
    assert "-e ." in demo.stdout
    assert "'.[dev]'" not in demo.stdout
