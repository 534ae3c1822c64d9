"""The README's pictures: taken of a finished experiment, of what they should show."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from chromium import CHROMIUM
from rlhf_testbed.report import figures, pictures
from rlhf_testbed.report.pictures import SHARPNESS, WIDTH, take_pictures, telling
from rlhf_testbed.shared.errors import UsageError
from scripted_runs import write_experiment, write_results


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished experiment."""
    folder = write_experiment(tmp_path_factory.mktemp("runs") / "x", updates=4, episodes=16)
    write_results(folder)
    return folder


def _size(file: Path) -> tuple[int, int]:
    """Width and height of a PNG, from its header."""
    header = file.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", header[16:])
    return int(width), int(height)


@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"no browser at {CHROMIUM}")
@pytest.mark.timeout(900)
def test_three_pictures_as_sharp_as_a_readme_needs(
    experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("playwright", reason="playwright is not installed")
    monkeypatch.setattr(figures, "save", lambda figure, folder: [])
    files = take_pictures(experiment, tmp_path / "new")
    assert [file.name for file in files] == ["report.png", "generations.png", "generation.png"]
    assert sorted(files) == sorted((tmp_path / "new").iterdir())
    (head, table, one) = map(_size, files)
    assert head[0] == table[0] == SHARPNESS * WIDTH
    assert 0.9 * SHARPNESS * WIDTH < one[0] < SHARPNESS * WIDTH, "the dialog is not the whole width"
    assert all(0.3 * width < height < 1.5 * width for width, height in (head, table, one))
    assert all(file.stat().st_size > 40_000 for file in files), "an empty page"


def test_what_is_shown_was_approved_though_unwanted_late_in_both(experiment: Path) -> None:
    shown = telling(experiment)
    assert (shown.arm, shown.row.update) == ("both", 4)
    assert shown.verdict.approved
    assert shown.unwanted


def test_an_unfinished_experiment_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"x: no results\.json: not a finished experiment"):
        take_pictures(tmp_path / "x", tmp_path / "pictures")


def test_without_anything_to_show_nothing_is_taken(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "x", arms=("neither",), updates=1)
    write_results(folder)
    with pytest.raises(UsageError, match="no generation was approved though unwanted"):
        take_pictures(folder, tmp_path / "pictures")
    assert not (tmp_path / "pictures").exists()


def test_without_a_browser_it_says_what_to_install(
    experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("playwright", reason="playwright is not installed")
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(pictures.shutil, "which", lambda name: None)
    monkeypatch.setattr(pictures, "write_report", lambda path: path / "report" / "index.html")
    with pytest.raises(UsageError, match="apt-get install chromium"):
        take_pictures(experiment, tmp_path / "pictures")
