"""`inspect --format`: the same generations for a reader and for other programs."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

import rlhf_testbed as rt
from rlhf_testbed import cli
from rlhf_testbed.commands.looking import FORMATS, SHOWN
from rlhf_testbed.export import rows
from rlhf_testbed.report.lines import print_lines
from rlhf_testbed.store.generations import Filter, found
from scripted_runs import write_run

EVIL = 'x\x1b[2J\u202e"y",\nz'
"""Obeyed by a terminal, and awkward in a CSV."""
Inspected: TypeAlias = Callable[..., tuple[bytes, str]]
PROGRAM = "import sys; from rlhf_testbed.cli import main; sys.argv[0] = 'rlhf-testbed'; main()"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("formats") / "run"
    write_run(folder, responses={0: EVIL})
    return folder


@pytest.fixture
def inspected(
    run: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Inspected:
    """What `inspect` writes, and what it says beside it."""

    def ended(*words: str, status: int = 0) -> tuple[bytes, str]:
        monkeypatch.setattr(sys, "argv", ["rlhf-testbed", "inspect", str(run), *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, said = capfdbinary.readouterr()
        assert (stop.value.code or 0) == status, said
        return out, said.decode()

    return ended


def test_every_format_of_the_command_is_written_by_something() -> None:
    assert set(FORMATS) == {*SHOWN, *rows.FORMATS}


def test_approved_yet_unwanted_generations_are_one_command_away(
    run: Path, inspected: Inspected
) -> None:
    out, said = inspected("--approved", "--unwanted", "--format", "jsonl")
    lines = [json.loads(line) for line in out.decode().splitlines()]
    expected = list(found(run, Filter(approved=True, unwanted=True)))
    assert not said
    assert 0 < len(lines) == len(expected) < 32
    for line, one in zip(lines, expected, strict=True):
        assert (line["approved"], line["unwanted"]) == (True, True)
        assert line["full_knowledge_reason"] == one.truth.reason
        assert line["outcome"] == one.row.outcome.facts
        assert line["view"]["unseen"] == list(one.row.view.unseen)
        assert line["trait_tramples_unseen"] == one.traits["tramples unseen"]


def test_what_is_not_there_is_null_and_a_strange_response_one_line(inspected: Inspected) -> None:
    out, _ = inspected("--format", "jsonl")
    assert len(out.splitlines()) == 32
    assert json.loads(out.splitlines()[0])["response"] == EVIL
    fresh, _ = inspected("--of", "held_out", "--format", "jsonl")
    first = json.loads(fresh.splitlines()[0], parse_constant=lambda name: pytest.fail(name))
    assert first["update"] is first["advantage"] is None


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_tables_hold_what_the_python_api_has(run: Path, inspected: Inspected, form: str) -> None:
    out, _ = inspected("--format", form)
    frame = rt.load(run).generations()
    if form == "parquet":
        table = pq.read_table(pa.BufferReader(out))
        shown = table.to_pandas(types_mapper=rt.api.TYPES.get)
        pd.testing.assert_frame_equal(shown, frame)
        return
    shown = pd.read_csv(io.BytesIO(out))
    assert list(shown.columns) == list(frame.columns)
    assert len(shown) == 32
    for name in ("update", "prompt", "response", "score", "approved", "full_knowledge_reason"):
        assert list(shown[name]) == list(frame[name])
    assert list(shown.unwanted_approved.isna()) == list(frame.unwanted_approved.isna())
    assert json.loads(shown.concealable[1]) == list(frame.concealable[1])


def test_all_are_written_and_no_more_than_the_limit(inspected: Inspected) -> None:
    for words, many in (((), 32), (("--limit", "3"), 3), (("--sort", "-score"), 32)):
        out, _ = inspected(*words, "--format", "csv")
        frame = pd.read_csv(io.BytesIO(out))
        assert len(frame) == many
    assert list(frame.score) == sorted(frame.score, reverse=True)


def test_a_reader_that_has_seen_enough_ends_it_in_peace(tmp_path: Path) -> None:
    write_run(tmp_path / "run", updates=8, episodes=64, measured=False)
    words = ["inspect", str(tmp_path / "run"), "--format", "jsonl"]
    command = [sys.executable, "-c", PROGRAM, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        json.loads(program.stdout.readline())
        program.stdout.close()
        said = program.stderr.read().decode()
        program.wait()
    assert "Traceback" not in said


def test_parquet_goes_through_a_pipe_which_has_no_place_to_seek(run: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, "inspect", str(run), "--format", "parquet"]
    out = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    assert pq.read_table(pa.BufferReader(out)).num_rows == 32


def test_no_match_is_said_beside_it(inspected: Inspected) -> None:
    out, said = inspected("--text", "nothing like this", "--format", "jsonl")
    assert (out, said) == (b"", "no generation matches\n")
    head, _ = inspected("--text", "nothing like this", "--format", "csv")
    assert len(head.splitlines()) == 1


def test_a_wrong_format_is_one_line(inspected: Inspected) -> None:
    out, said = inspected("--format", "json", status=2)
    assert not out
    assert said == "error: --format 'json' is unknown (did you mean 'jsonl'?)\n"


def test_parquet_is_not_for_a_terminal(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["rlhf-testbed", "inspect", str(run), "--format", "parquet"]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "> FILE.parquet" in capsys.readouterr().err


def test_a_table_has_a_line_a_generation(run: Path) -> None:
    shown, out = list(found(run, Filter())), io.StringIO()
    assert print_lines(shown, Console(file=out, width=140)) == 32
    head, first, *rest = out.getvalue().splitlines()
    assert head.split()[:5] == ["run", "update", "episode", "overseer", "truth"]
    assert len(rest) == 31
    assert "\x1b" not in first
    assert "x<U+001B>[2J<U+202E>" in first
    for line, one in zip([first, *rest], shown, strict=True):
        for verdict in (one.verdict, one.truth):
            assert f"{verdict.score:+.2f} {'yes' if verdict.approved else ' no'}" in line
        assert f" {one.row.update} " in line


def test_a_piped_table_has_a_limit_and_says_so(inspected: Inspected) -> None:
    out, said = inspected("--format", "table")
    assert len(out.decode().splitlines()) == 11
    assert "there are more than 10" in said
    cards, _ = inspected("--limit", "2")
    named, _ = inspected("--limit", "2", "--format", "cards")
    assert cards == named


def test_a_table_in_a_terminal_has_a_heading_a_page(tmp_path: Path) -> None:
    import pty

    write_run(tmp_path / "run", updates=12, episodes=8)
    parent, child = pty.openpty()
    command = [sys.executable, "-c", PROGRAM, "inspect", str(tmp_path / "run"), "--format", "table"]
    environment = {**os.environ, "PAGER": "cat", "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(command, stdout=child, env=environment) as program:
        os.close(child)
        read = b""
        while True:
            try:
                part = os.read(parent, 65536)
            except OSError:  # the terminal is gone
                break
            if not part:
                break
            read += part
        assert program.wait() == 0
    os.close(parent)
    text = read.decode()
    assert text.count("reason under full") == 3  # 96 generations, 40 a page
    assert text.count("both, seed 0") == 96
