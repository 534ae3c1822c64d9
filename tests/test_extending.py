"""docs/EXTENDING.md, followed to the letter in an empty folder: files, commands, output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from pages import Reader, left_with, sections
from rlhf_testbed.report.remedies import REMEDIES
from test_words import ROOT

PAGE = ROOT / "docs/EXTENDING.md"
RESULT = ("An overseer", "A task", "A result")
"""The sections that lead from nothing to a result."""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_page_works_as_it_is_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reader = Reader(capsys)
    for heading, parts in sections(PAGE).items():
        if heading != RESULT[-1]:
            reader.read(parts)
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


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_page_leads_to_a_result(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A task and an overseer of one's own pass every gate, and stand in a report."""
    reader = Reader(capsys)
    for heading in RESULT:
        reader.read(sections(PAGE)[heading])
    results = json.loads((here / "runs/mine/results.json").read_text())
    assert {gate["name"]: gate["status"] for gate in results["gates"]} == dict.fromkeys(
        REMEDIES, "PASS"
    )
    assert len(results["arms"]) == 5
    assert {len(arm["seeds"]) for arm in results["arms"].values()} == {2}
    shown = (here / "runs/mine/report/index.html").read_text(encoding="utf-8")
    assert "my_pkg.marker:Marker" in shown


def test_the_page_counts_what_a_person_writes() -> None:
    """The files of what leads to a result, without those that `new` writes, and the commands."""
    parts = [part for heading in RESULT for part in sections(PAGE)[heading]]
    files = [text.partition("\n")[2] for _, text in parts if text.startswith("# file: ")]
    lines = sum(bool(line.strip()) for text in files for line in text.splitlines())
    commands = sum(text.count("\n") for language, text in parts if language == "sh")
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert f"{lines} lines of {len(files)} files, and {commands} commands" in page


def test_the_page_uses_every_kind_of_block() -> None:
    every = [block for parts in sections(PAGE).values() for block in parts]
    assert {block.language for block in every} == {"python", "sh", "text", "yaml"}
    commands = "".join(block.text for block in every if block.language == "sh")
    for part in ("new overseer", "new task", "check", "evaluate", "inspect", "experiment"):
        assert f"rlhf-testbed {part} " in commands
    assert "accelerate launch -m rlhf_testbed.train " in commands
    assert " --method my_pkg." in commands
