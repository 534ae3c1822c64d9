"""README claims nothing that the filed results don't show."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rlhf_testbed.shared.record import read
from rlhf_testbed.store.experiment_records import Results
from test_words import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
METHODS = (ROOT / "docs" / "METHODS.md").read_text(encoding="utf-8")
FILED = sorted((ROOT / "docs" / "results").glob("*/results.json"))
NUMBER = re.compile(r"(?<![\w.-])[-−]?\d+\.\d+(?![\w.])")
LINK = re.compile(r"\((?:docs/)?results/([\w-]+)/README\.md\)")


class Claim(NamedTuple):
    """A row of the README's table of findings."""

    folders: list[str]
    text: str


def claims(page: str) -> list[Claim]:
    """The rows under "What was found"; the first cell of each names its results."""
    section = page.partition("## What was found")[2].partition("\n## ")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| [")]
    return [Claim(LINK.findall("|".join(row)), "|".join(row)) for row in rows]


def numbers(found: Any) -> Iterator[float]:
    """Every number in a file of results."""
    if isinstance(found, dict):
        for value in found.values():
            yield from numbers(value)
    elif isinstance(found, list):
        for value in found:
            yield from numbers(value)
    elif isinstance(found, float | int) and not isinstance(found, bool) and math.isfinite(found):
        yield float(found)


def unfounded(claim: Claim) -> list[str]:
    """The numbers of a claim that stand in none of its results, as they are rounded."""
    there = [
        value
        for folder in claim.folders
        for value in numbers(
            read(ROOT / "docs" / "results" / folder / Results.file, Results).model_dump()
        )
    ]
    lacking = []
    for told in NUMBER.findall(claim.text):
        digits = len(told.partition(".")[2])
        number = float(told.replace("−", "-"))
        if not any(math.isclose(round(abs(value), digits), abs(number)) for value in there):
            lacking.append(told)
    return lacking


@pytest.mark.parametrize("page", [README, METHODS], ids=["README", "METHODS"])
def test_every_number_stands_in_the_results_that_it_is_said_of(page: str) -> None:
    found = claims(page)
    assert len(found) > 1
    for claim in found:
        assert claim.folders, f"names no results: {claim.text}"
        assert unfounded(claim) == [], claim.text


def test_a_number_that_nobody_found_is_noticed() -> None:
    claim = claims(README)[0]
    assert unfounded(claim._replace(text="threat 1 is 12345.67")) == ["12345.67"]


def test_a_gate_that_failed_is_said() -> None:
    for claim in claims(README):
        for folder in claim.folders:
            found = read(ROOT / "docs" / "results" / folder / Results.file, Results)
            failed = [gate.name for gate in found.gates if gate.status == "FAIL"]
            assert not failed or "gate" in claim.text, f"{folder}: {', '.join(failed)}"


@pytest.mark.parametrize("file", FILED, ids=lambda file: file.parent.name)
def test_every_filed_result_names_its_commit_and_its_config(file: Path) -> None:
    """One command rebuilds it: that of its head."""
    about = read(file, Results).about
    assert about.commit
    assert about.clean
    assert (ROOT / about.config).is_file()
    text = (file.parent / "README.md").read_text(encoding="utf-8")
    assert f"rlhf-testbed experiment {about.config}" in text
    assert about.commit[:7] in text
