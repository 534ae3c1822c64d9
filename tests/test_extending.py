"""docs/EXTENDING.md, followed to the letter in an empty folder: files, commands, output."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from rlhf_testbed.cli import main
from test_words import ROOT

PAGE = ROOT / "docs/EXTENDING.md"
PROGRAMS = {
    "rlhf-testbed": ["-c", "from rlhf_testbed.cli import main; main()"],
    "accelerate": ["-m", "accelerate.commands.accelerate_cli"],
}
"""The page's programs, run by this Python wherever their scripts may be."""
HERE = ("check", "evaluate", "inspect", "new", "train")
"""Commands that need no process of their own: importing torch takes longer than they do."""


class Block(NamedTuple):
    """A fenced block of the page."""

    language: str
    text: str


def blocks() -> list[Block]:
    found = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    return [Block(*each) for each in found]


def run(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What one line of the page prints; it must end well."""
    program, *words = shlex.split(command)
    if words[0] in HERE:
        assert not left_with(command), command
        return capsys.readouterr().out
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    ended = subprocess.run(
        [sys.executable, *PROGRAMS[program], *words],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"
    return ended.stdout


def left_with(command: str) -> object:
    """The exit status of a command that runs in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", shlex.split(command))
        with pytest.raises(SystemExit) as left:
            main()
    return left.value.code


class Reader:
    """Does what the page says, block by block, in the current folder."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.printed = ""

    def sh(self, text: str) -> None:
        self.printed = "".join(run(line, self.capsys) for line in text.splitlines())

    def text(self, text: str) -> None:
        """Lines that the commands before have printed."""
        for line in text.splitlines():
            assert line.rstrip() in map(str.rstrip, self.printed.splitlines())

    def python(self, text: str) -> None:
        """A file to write, or an excerpt of one that there is."""
        head, _, content = text.partition("\n")
        what, _, name = head.removeprefix("# ").partition(": ")
        if what == "file":
            Path(name).write_text(content, encoding="utf-8")
        else:
            assert what == "in"
            assert content in Path(name).read_text(encoding="utf-8")

    yaml = python


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_page_works_as_it_is_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reader = Reader(capsys)
    for language, text in blocks():
        step: Callable[[str], None] = getattr(reader, language)
        step(text)
    config = yaml.safe_load((here / "runs/first/config.yaml").read_text())
    assert config["task"] == "my_pkg.tempting:Tempting"
    assert config["overseer"] == "my_pkg.marker:Marker"
    for overseer in ("full_knowledge", "my_pkg.marker-Marker-knowledge=1-step=0.1"):
        assert (here / f"runs/first/evaluation/{overseer}/measures.json").is_file()
    environment = json.loads((here / "runs/first/environment.json").read_text())
    assert {"my_pkg.tempting:Tempting", "my_pkg.marker:Marker"} < environment["sources"].keys()
    results = json.loads((here / "runs/quick/results.json").read_text())
    assert results["task"] == "tempting"
    assert list(results["arms"]) == ["both"]
    assert results["arms"]["both"]["figures"]["threat_2"]["mean"] >= 0
    assert json.loads((here / "runs/drift/finished.json").read_text())["updates"] == 2
    with (here / "my_pkg/marker.py").open("a", encoding="utf-8") as source:
        source.write("# now otherwise\n")
    assert left_with("rlhf-testbed experiment quick.yaml --anyway") == 2
    assert "the source of my_pkg.marker:Marker has changed" in capsys.readouterr().err


def test_the_page_uses_every_kind_of_block() -> None:
    assert {block.language for block in blocks()} == {"python", "sh", "text", "yaml"}
    commands = "".join(block.text for block in blocks() if block.language == "sh")
    for part in ("new overseer", "new task", "check", "evaluate", "inspect", "experiment"):
        assert f"rlhf-testbed {part} " in commands
    assert "accelerate launch -m rlhf_testbed.train " in commands
    assert " --method my_pkg." in commands
