"""A disk that is full in the middle of any file of a run: one line that names it, no half a file.

A limit on the size of files stands in for the disk: what is written beyond it fails as there.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conftest import SMALL
from rlhf_testbed.evaluation.evaluate import evaluate
from rlhf_testbed.selection.job import train
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.shared.errors import UsageError, places_told

pytestmark = pytest.mark.slow


@contextmanager
def _at_most(size: int) -> Iterator[None]:
    """No file can be written that has more bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("method", ["ppo", "best_of_n"])
@pytest.mark.parametrize("kept", [False, True], ids=["all files", "the base policy is kept"])
def test_a_full_disk_at_each_file(kept: bool, method: str, tmp_path: Path) -> None:
    words = SMALL if method == "ppo" else SMALL[: SMALL.index("--checkpoint_every")]
    shared = tmp_path / "bases" if kept else None

    def run(folder: Path) -> None:
        parsed = parse_run([*words, "--method", method, "--output_dir", str(folder)])
        with places_told():
            evaluate(train(parsed, lambda step: None, shared))

    whole = tmp_path / "whole"
    run(whole)
    sizes = {path.stat().st_size for path in whole.rglob("*") if path.is_file()}
    named = set()
    for size in sorted(sizes - {0}):
        folder = tmp_path / str(size)
        room = size - 1 - size // 100  # a time that is filed may have a digit more or less
        with pytest.raises(UsageError, match=r"File too large$") as told, _at_most(room):
            run(folder)
        named.add(str(told.value).partition(":")[0].rpartition("/")[2])
        assert list(folder.rglob("*.part")) == [], "half a file is left"
    assert len(named) > (2 if kept else 1)
