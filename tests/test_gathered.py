"""The generations that a page holds, packed in columns, and what they say of each update."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path

import pytest

from rlhf_testbed.evaluation.history import selection_history
from rlhf_testbed.report.curves import History
from rlhf_testbed.report.gathered import gather
from rlhf_testbed.report.sources import Source
from rlhf_testbed.report.store import Store
from rlhf_testbed.store.generations import Filter, generations
from rlhf_testbed.tasks.corridor import Corridor
from scripted_runs import write_run


def test_held_out_generations_are_there_from_both_policies(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    gathered = gather(Source.of(tmp_path / "run"))
    assert len(gathered.store) == 4 * 8 + 6 + 6
    assert not gathered.missing


def test_a_verdict_is_read_where_it_is_filed(tmp_path: Path) -> None:
    """The config now says that the overseer sees all; the ledger was judged by one that doesn't."""
    write_run(tmp_path / "run", episodes=32)
    before = [one.verdict for one in generations(tmp_path / "run", Filter())]
    file = tmp_path / "run" / "config.yaml"
    assert "\nknowledge: 0\n" in file.read_text()
    file.write_text(file.read_text().replace("\nknowledge: 0\n", "\nknowledge: 1\n"))
    assert [one.verdict for one in generations(tmp_path / "run", Filter())] == before
    assert not gather(Source.of(tmp_path / "run")).missing


def test_of_too_many_generations_every_so_many_are_shown(tmp_path: Path) -> None:
    write_run(tmp_path / "run", measured=False)
    gathered = gather(Source.of(tmp_path / "run"), most=10)
    assert gathered.every == 4
    assert len(gathered.store) == 8
    assert [one.update for one in gathered.histories[0].updates] == [1, 2, 3, 4]


def test_history_from_the_ledger_is_that_which_was_filed(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    filed = gather(Source.of(tmp_path / "run")).histories[0]
    (tmp_path / "run/evaluation/full_knowledge/selection.json").unlink()
    worked_out = gather(Source.of(tmp_path / "run")).histories[0]
    assert len(filed.updates) == 4
    assert as_filed(filed) == as_filed(worked_out)


def as_filed(history: History) -> list[str]:
    """What a file holds of a history, in which what is NaN is alike."""
    records = [*history.updates, *history.heritability.values()]
    return [record.model_dump_json() for record in records]


def test_store_keeps_each_text_once_and_all_traits(tmp_path: Path) -> None:
    write_run(tmp_path / "run", episodes=4, updates=2, responses={0: "a", 1: "a"})
    store = Store("corridor")
    store.runs.append({"arm": "both", "of": "both", "base": 0, "seed": 0, "anew": True})
    store.add(0, generations(tmp_path / "run", Filter()))
    packed = zlib.decompress(base64.b64decode(store.packed()), wbits=-zlib.MAX_WBITS)
    length = int.from_bytes(packed[:4], "little")
    head, body = json.loads(packed[4 : 4 + length]), packed[4 + length :]
    assert head["texts"]["response"].count("a") == 1
    columns = {column["name"]: column for column in head["columns"]}
    at = columns["response"]["at"]
    assert list(memoryview(body[at : at + 8]).cast("I")) == [0, 0]
    assert columns["trait heads right"]["length"] == 8
    at = columns["trait heads right"]["at"]
    assert list(body[at : at + 2]) == [2, 2]  # unreadable: not possible


def test_selection_at_a_glance_is_prices_differential(tmp_path: Path) -> None:
    """The page's formula, share × (mean advantage of a kind - mean of all), by hand and by ours."""
    rows = write_run(tmp_path / "run", updates=2, episodes=8)
    found = generations(tmp_path / "run", Filter(updates=range(1, 2)))
    truths = [one.truth for one in generations(tmp_path / "run", Filter())]
    history = selection_history(Corridor(), rows, truths)
    level = sum(g.row.advantage for g in found) / len(found)
    for trait, selected in history[0].traits.items():
        shown = [g.row.advantage for g in found if g.traits[trait]]
        push = len(shown) / len(found) * (sum(shown) / len(shown) - level) if shown else 0.0
        assert push == pytest.approx(selected.differential)
