"""A page of docs followed to the letter, block by block: files, commands, what they print.

reader = Reader(capsys)
reader.follow(ROOT / "docs/EXTENDING.md")

```sh                   commands, a line each, which must end well
```text                 lines that these have printed
```python, ```yaml      `# file: NAME` is written, `# in: NAME` must be in a file
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

from rlhf_testbed.cli import main
from test_words import ROOT

PROGRAMS = {
    "rlhf-testbed": ["-c", "from rlhf_testbed.cli import main; main()"],
    "accelerate": ["-m", "accelerate.commands.accelerate_cli"],
    "python": [],
}
"""Programs of the pages, run by this Python wherever their scripts may be."""
HERE = ("check", "compare", "evaluate", "inspect", "new", "publish", "report", "train")
"""Commands that need no process of their own: importing torch takes longer than they do."""


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str


def sections(page: Path) -> dict[str, list[Block]]:
    """The fenced blocks of each section of a page that name a language, by its heading; what comes
    before the first heading has none."""
    text = "## \n" + page.read_text(encoding="utf-8")
    _, *parts = re.split(r"^## (.*)\n", text, flags=re.M)
    fence = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
    return {
        heading: [Block(*each) for each in fence.findall(text)]
        for heading, text in zip(parts[::2], parts[1::2], strict=True)
    }


class Reader:
    """Does what a page says in the current folder."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.printed = ""

    def read(self, parts: Iterable[Block]) -> None:
        """Does what each block says."""
        for language, text in parts:
            step: Callable[[str], None] = getattr(self, language)
            step(text)

    def sh(self, text: str) -> None:
        """Commands; what they print may go to a file."""
        self.printed = ""
        for line in text.splitlines():
            command, _, file = line.partition(" > ")
            printed = self._run(command)
            if file:
                Path(file.strip()).write_text(printed, encoding="utf-8")
            else:
                self.printed += printed

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

    def _run(self, command: str) -> str:
        """What one line of the page prints; it must end well."""
        program, *words = shlex.split(command)
        if program == "rlhf-testbed" and words[0] in HERE:
            status = left_with(command)
            printed = self.capsys.readouterr()
            assert not status, f"{command}\n{printed.err}"
            return printed.out
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
