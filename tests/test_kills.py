"""Experiments that are killed at random moments end in the same bytes: a few of `make kills`."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import kills


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("method", ["ppo"])
def test_killed_experiments_end_in_the_same_bytes(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RLHF_TESTBED_CACHE", str(tmp_path / "cache"))
    assert kills.compare(tmp_path / method, method, 3, random.Random(7)) == []
