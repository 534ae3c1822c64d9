"""Generations in the terminal: filters, order, pages in a terminal, plain when piped."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from rlhf_testbed.cli import main
from rlhf_testbed.report.generations import print_generations
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store.generations import Filter, found, in_order
from scripted_runs import write_run

EVIL = "\x1b[2J\u202eright\x07"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    write_run(folder, updates=4, episodes=8, responses={0: EVIL})
    return folder


def test_every_filter_lets_in_what_it_names(run: Path) -> None:
    every = list(found(run, Filter()))
    assert len(every) == 32
    for trait in ("heads right", "tramples unseen"):
        shown = list(found(run, Filter(trait=trait)))
        assert 0 < len(shown) < 32
        assert all(one.traits[trait] for one in shown)
    name = every[5].row.scenario_id
    assert {one.row.scenario_id for one in found(run, Filter(scenario=name))} == {name}
    assert len(list(found(run, Filter(text="RIGHT")))) == len(
        list(found(run, Filter(text="right")))
    )
    in_reasons = list(found(run, Filter(search="reached the coin")))
    assert in_reasons
    assert all("reached the coin" in one.verdict.reason + one.truth.reason for one in in_reasons)


def test_a_trait_that_is_not_there_names_the_nearest(run: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'heads right'"):
        found(run, Filter(trait="heads rigth"))


def test_the_order_is_by_the_figure_and_back(run: Path) -> None:
    scores = [one.verdict.score for one in in_order(found(run, Filter()), "score")]
    assert scores == sorted(scores)
    falling = [one.truth.score for one in in_order(found(run, Filter()), "-true_score")]
    assert falling == sorted(falling, reverse=True)
    with pytest.raises(UsageError, match="--sort 'length' is unknown"):
        in_order(found(run, Filter()), "length")


def test_what_is_not_a_number_comes_last(run: Path) -> None:
    held_out = list(found(run, Filter(), "held_out"))
    first = next(found(run, Filter()))
    last = list(in_order(iter([held_out[0], first]), "-advantage"))[-1]
    assert last == held_out[0]


def test_stages_are_kept_apart(run: Path) -> None:
    after, before = (list(found(run, Filter(), stage)) for stage in ("held_out", "base"))
    assert [one.row.scenario_id for one in after] == [one.row.scenario_id for one in before]
    assert {one.stage for one in after} == {"held_out"}


def test_full_knowledge_that_was_asked_anew_is_said_to_be(run: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "run", updates=1, episodes=2, measured=False)
    for folder, said in ((run, 0), (tmp_path / "run", 2)):
        out = io.StringIO()
        shown = list(found(folder, Filter()))[:2]
        print_generations(shown, Console(file=out, width=300))
        lines = [line for line in out.getvalue().splitlines() if line.startswith("full knowledge")]
        assert len(lines) == 2
        assert sum(line.rstrip().endswith("(asked anew: not evaluated)") for line in lines) == said


def test_control_characters_do_not_reach_the_terminal(run: Path) -> None:
    out = io.StringIO()
    print_generations(list(found(run, Filter()))[:1], Console(file=out, width=200))
    shown = out.getvalue()
    assert "<U+001B>[2J<U+202E>right<U+0007>" in shown
    assert not set(shown) & set("\x1b\x07\u202e")


def test_piped_it_is_plain_and_says_that_there_is_more(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["rlhf-testbed", "inspect", str(run)])
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    assert stop.value.code == 0
    assert said.out.count("both, seed 0, update") == 10
    assert "\x1b" not in said.out
    assert "--limit" in said.err


@pytest.mark.parametrize(("limit", "shown"), [([], 32), (["--limit", "3"], 3)])
def test_in_a_terminal_all_goes_through_the_pager(run: Path, limit: list[str], shown: int) -> None:
    leader, follower = pty.openpty()
    program = "from rlhf_testbed.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "inspect", str(run), *limit],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "PAGER": "cat", "TERM": "xterm", "COLUMNS": "80"},
    )
    os.close(follower)
    said = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        said += part
    assert process.wait() == 0
    assert said.count(b"both, seed 0, update") == shown
    assert b"\x1b[1m" in said  # bold


def test_leaving_the_pager_early_is_no_error(run: Path) -> None:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from rlhf_testbed.cli import main; main()", "inspect", str(run)],
        stdout=follower,
        stderr=subprocess.PIPE,
        env={**os.environ, "PAGER": "head -n 1", "TERM": "xterm"},
    )
    os.close(follower)
    _, errors = process.communicate()
    os.close(leader)
    assert process.returncode == 0
    assert errors == b""
