"""docs/EXTENDING.md, followed to the letter in an empty folder: files, commands, output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from pages import Reader, blocks, left_with
from test_words import ROOT

PAGE = ROOT / "docs/EXTENDING.md"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_page_works_as_it_is_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Reader(capsys).follow(PAGE)
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
    assert {block.language for block in blocks(PAGE)} == {"python", "sh", "text", "yaml"}
    commands = "".join(block.text for block in blocks(PAGE) if block.language == "sh")
    for part in ("new overseer", "new task", "check", "evaluate", "inspect", "experiment"):
        assert f"rlhf-testbed {part} " in commands
    assert "accelerate launch -m rlhf_testbed.train " in commands
    assert " --method my_pkg." in commands
