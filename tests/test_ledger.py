"""The ledger in segments: whatever was killed where, it reads as it should and ends alike.

    write 1 2 3 [4: killed while joining] -> keep up to 3 -> write 4 5 6 -> compact
    the same files, byte for byte, as    write 1 2 3 4 5 6 -> compact

Segments have three updates here. A kill is a `Killed` raised at one of the steps at which files
appear or go; what runs after it in the same program is only what a dead process would have done.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgers import BATCH, batch
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store import columns, ledger, pieces
from rlhf_testbed.store.ledger import Row


@pytest.fixture(autouse=True, scope="module")
def _short_segments() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "SEGMENT", 3)
        patch.setattr(columns, "GROUP", 15)  # two updates, and not three
        yield


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


@contextmanager
def killed_at(step: int) -> Iterator[list[str]]:
    """Ends everything before the file operation of that number; gives the names of those done."""
    done: list[str] = []

    def counted(act: Callable[..., None]) -> Callable[..., None]:
        def acted(path: Path, *rest: object, **more: object) -> None:
            if len(done) == step:
                raise Killed
            if not str(path).endswith(".part") or act is replace:
                done.append(Path(path).name)
            act(path, *rest, **more)

        return acted

    replace, unlink = os.replace, Path.unlink
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", counted(replace))
        patch.setattr(Path, "unlink", counted(unlink))
        try:
            yield done
        except Killed:
            done.append("killed")


def rows_of(update: int) -> list[Row]:
    """Six to eight rows, other ones in each update."""
    more = [*batch(update), *batch(update)[: update % 3]]
    return [
        dataclasses.replace(row, episode=at, kl=0.01 * update + at) for at, row in enumerate(more)
    ]


def written(folder: Path, updates: range) -> None:
    for update in updates:
        ledger.write_update(folder, update, rows_of(update))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def reads_as(folder: Path, last: int) -> bool:
    """Whether the ledger holds updates 1 to the last, and each of them as it was written."""
    if last == 0:
        return ledger.last_update(folder) == 0
    return ledger.last_update(folder) == last and list(ledger.updates_in(folder)) == [
        rows_of(update) for update in range(1, last + 1)
    ]


def finished(folder: Path, last: int) -> dict[str, bytes]:
    """The bytes of a ledger that was never interrupted."""
    written(folder, range(1, last + 1))
    ledger.compact(folder)
    return content(folder)


def test_small_files_become_a_segment_when_it_is_full_and_at_the_end(tmp_path: Path) -> None:
    written(tmp_path, range(1, 6))
    assert names(tmp_path) == ["00001-00003.parquet", "00004.parquet", "00005.parquet"]
    assert reads_as(tmp_path, 5)
    ledger.compact(tmp_path)
    assert names(tmp_path) == ["00001-00003.parquet", "00004-00005.parquet"]
    assert reads_as(tmp_path, 5)
    before = content(tmp_path)
    ledger.compact(tmp_path)
    assert content(tmp_path) == before


def test_a_row_group_holds_whole_updates(tmp_path: Path) -> None:
    written(tmp_path, range(1, 4))
    header = pq.read_metadata(tmp_path / "00001-00003.parquet")
    groups = [header.row_group(at).num_rows for at in range(header.num_row_groups)]
    assert groups == [len(rows_of(1)) + len(rows_of(2)), len(rows_of(3))]
    assert ledger.size(tmp_path) == sum(groups) == len(ledger.read(tmp_path))


def test_a_segment_of_one_update_is_its_file(tmp_path: Path) -> None:
    written(tmp_path, range(1, 5))
    before = (tmp_path / "00004.parquet").read_bytes()
    ledger.compact(tmp_path)
    assert content(tmp_path)["00004.parquet"] == before


def test_a_run_of_small_files_only_reads_and_is_joined(tmp_path: Path) -> None:
    """What every version before this one wrote."""
    folder = tmp_path / "old"
    for update in range(1, 6):
        ledger.write(folder / f"{update:05d}.parquet", rows_of(update))
    assert reads_as(folder, 5)
    ledger.compact(folder)
    assert content(folder) == finished(tmp_path / "new", 5)


def test_no_ledger_has_a_last_update(tmp_path: Path) -> None:
    assert ledger.last_update(tmp_path / "none") == 0
    ledger.keep_up_to(tmp_path, 0)
    with pytest.raises(UsageError, match="no generations here"):
        ledger.rows_in(tmp_path)


def test_numbers_of_more_digits_keep_their_order(tmp_path: Path) -> None:
    there = [(1, 99_999), (100_000, 100_000), (100_001, 200_000)]
    for first, last in there:
        pieces.piece(tmp_path, first, last).path.touch()
    assert [(one.first, one.last) for one in pieces.counting(tmp_path)] == there


@pytest.mark.parametrize(
    ("lost", "says"),
    [
        ("00001-00003.parquet", r"update 1 is missing \(found 00004-00006\.parquet in its place\)"),
        ("00004-00006.parquet", r"update 4 is missing \(found 00007\.parquet in its place\)"),
    ],
)
def test_a_segment_that_is_gone_is_told_in_one_line(lost: str, says: str, tmp_path: Path) -> None:
    written(tmp_path, range(1, 8))
    (tmp_path / lost).unlink()
    for act in (ledger.read, ledger.last_update, ledger.compact, ledger.size):
        with pytest.raises(UsageError, match=f"damaged ledger: {says}"):
            act(tmp_path)


def test_segments_that_overlap_and_odd_names_are_told(tmp_path: Path) -> None:
    written(tmp_path, range(1, 4))
    ledger.write(tmp_path / "00003-00005.parquet", rows_of(4))
    with pytest.raises(UsageError, match=r"update 4 is missing \(found 00003-00005\.parquet"):
        ledger.read(tmp_path)
    (tmp_path / "00003-00005.parquet").rename(tmp_path / "more.parquet")
    with pytest.raises(UsageError, match=r"more\.parquet names no updates \(right: 00001\."):
        ledger.read(tmp_path)


def test_a_damaged_segment_is_named(tmp_path: Path) -> None:
    written(tmp_path, range(1, 4))
    file = tmp_path / "00001-00003.parquet"
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(UsageError, match=r"00001-00003\.parquet: damaged ledger: not a readable"):
        ledger.read(tmp_path)


def test_updates_are_read_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, range(1, 7))
    read: list[int] = []
    open_group = pq.ParquetFile.read_row_group

    def counted(file: pq.ParquetFile, at: int, **more: object) -> object:
        read.append(at)
        return open_group(file, at, **more)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    updates = ledger.updates_in(tmp_path)
    assert [row.update for row in next(updates)] == [1] * len(rows_of(1))
    assert len(read) == 1
    assert len(list(updates)) == 5
    assert len(read) == 4


def test_nothing_is_kept_that_is_not_there(tmp_path: Path) -> None:
    written(tmp_path, range(1, 3))
    with pytest.raises(UsageError, match="it ends with update 2, and should hold 3"):
        ledger.keep_up_to(tmp_path, 3)
    assert reads_as(tmp_path, 2)


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("kept", range(9))
def test_going_on_from_any_update_ends_in_the_same_bytes(
    kept: int, joined: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "cut"
    folder.mkdir()
    written(folder, range(1, 9))
    if joined:
        ledger.compact(folder)
    ledger.keep_up_to(folder, kept)
    assert reads_as(folder, kept)
    written(folder, range(kept + 1, 9))
    ledger.compact(folder)
    assert content(folder) == finished(tmp_path / "whole", 8)


def test_a_kill_at_each_step_of_joining(tmp_path: Path) -> None:
    whole = finished(tmp_path / "whole", 8)
    steps = 0
    for step in range(100):
        folder = tmp_path / str(step)
        folder.mkdir()
        written(folder, range(1, 6))
        with killed_at(step) as done:
            ledger.write_update(folder, 6, rows_of(6))
        if "killed" not in done:
            break
        steps += 1
        there = ledger.last_update(folder)
        assert there == (6 if step else 5)
        assert reads_as(folder, there)
        written(folder, range(there + 1, 9))
        ledger.compact(folder)
        assert content(folder) == whole
    # The update's file, the segment's, and the three that it stands for.
    assert steps == 5


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("kept", [0, 3, 4, 7])
def test_a_kill_at_each_step_of_dropping(kept: int, joined: bool, tmp_path: Path) -> None:
    whole, steps = finished(tmp_path / "whole", 8), 0
    for step in range(100):
        folder = tmp_path / str(step)
        folder.mkdir()
        written(folder, range(1, 9))
        if joined:
            ledger.compact(folder)
        with killed_at(step) as done:
            ledger.keep_up_to(folder, kept)
        there = ledger.last_update(folder)
        assert kept <= there <= 8
        assert reads_as(folder, there)
        ledger.keep_up_to(folder, kept)
        assert reads_as(folder, kept)
        written(folder, range(kept + 1, 9))
        ledger.compact(folder)
        assert content(folder) == whole
        if "killed" not in done:
            break
        steps += 1
    assert steps > 1 or (kept, joined) == (7, False)


def test_half_a_file_of_a_killed_writer_goes(tmp_path: Path) -> None:
    written(tmp_path, range(1, 3))
    half = tmp_path / ".00003.parquet.4711.part"
    half.write_bytes(b"PAR1")
    assert reads_as(tmp_path, 2)
    ledger.keep_up_to(tmp_path, 2)
    assert not half.exists()


@given(st.data())
def test_a_run_that_is_killed_again_and_again_ends_in_the_same_bytes(data: st.DataObject) -> None:
    """Killed at any step, resumed from any update up to which there is something."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        folder.mkdir()
        last = data.draw(st.integers(1, 10), "updates")
        for _ in range(data.draw(st.integers(0, 4), "kills")):
            with killed_at(data.draw(st.integers(0, 12), "step")):
                kept = data.draw(st.integers(0, ledger.last_update(folder)), "kept")
                ledger.keep_up_to(folder, kept)
                written(folder, range(kept + 1, last + 1))
                ledger.compact(folder)
            assert reads_as(folder, ledger.last_update(folder))
        ledger.keep_up_to(folder, min(ledger.last_update(folder), last))
        written(folder, range(ledger.last_update(folder) + 1, last + 1))
        ledger.compact(folder)
        assert content(folder) == finished(Path(scratch) / "whole", last)


def test_rows_survive_their_files(tmp_path: Path) -> None:
    """Texts of any kind, and numbers to the last bit."""
    odd = dataclasses.replace(
        rows_of(1)[0], response="naïve \n \x00 →", score=0.1 + 0.2, concealable=["a", "b"]
    )
    ledger.write(tmp_path / "00001.parquet", [odd, rows_of(1)[1]])
    assert ledger.read(tmp_path) == [odd, rows_of(1)[1]]
    assert len(BATCH) == 6
