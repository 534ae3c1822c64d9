"""One dataset over the ledgers of all runs."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store import ledger
from rlhf_testbed.store.generations import Filter, generations
from rlhf_testbed.store.ledgers import dataset, runs_told, scan
from scripted_runs import write_experiment, write_run
from test_words import ROOT

KEY = ["arm", "base_seed", "seed"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = write_experiment(
        tmp_path_factory.mktemp("ledgers") / "corridor", seeds=(0, 1), updates=2, episodes=4
    )
    text = (made / "experiment.yaml").read_text()
    (made / "experiment.yaml").write_text(text.replace("config:\n", "config:\n  base_seed: 5\n"))
    (made / "both" / "seed-1").rename(made / "both" / "seed-1-base-3")
    return made


def test_every_episode_has_its_runs_arm_and_seeds(folder: Path) -> None:
    table = dataset(folder).to_table()
    told = {tuple(row[name] for name in KEY) for row in table.select(KEY).to_pylist()}
    assert told == {("both", 5, 0), ("both", 3, 1), ("neither", 5, 0), ("neither", 5, 1)}
    one = table.filter((pc.field("arm") == "both") & (pc.field("seed") == 1)).to_pylist()
    rows = ledger.read(folder / "both" / "seed-1-base-3" / "ledger")
    assert [row["response"] for row in one] == [row.response for row in rows]
    assert [row["advantage"] for row in one] == [row.advantage for row in rows]


def test_files_of_other_runs_are_not_opened(folder: Path) -> None:
    piece = folder / "neither" / "seed-1" / "ledger" / "00001.parquet"
    whole = piece.read_bytes()
    piece.write_bytes(b"cut")
    try:
        where = (pc.field("arm") == "both") & (pc.field("base_seed") == 3)
        assert scan(folder, ["update"], where).to_table().num_rows == 8
        with pytest.raises(pa.ArrowInvalid, match=r"[Pp]arquet"):
            scan(folder, ["update"]).to_table()
    finally:
        piece.write_bytes(whole)


def test_fresh_generations_and_verdicts(folder: Path) -> None:
    assert dataset(folder, "held_out").count_rows() == 4 * 6
    assert dataset(folder, judged_by="full_knowledge").count_rows() == 4 * 8
    with pytest.raises(UsageError, match="no verdicts by noisy on it here"):
        dataset(folder, judged_by="noisy")


def test_without_the_experiments_settings_a_run_says_which_it_is(tmp_path: Path) -> None:
    write_run(tmp_path / "x" / "both" / "seed-4", seed=4, updates=1, episodes=2)
    assert [run for _, run in runs_told(tmp_path / "x")] == [("both", 0, 4)]
    assert [run for _, run in runs_told(tmp_path / "x" / "both" / "seed-4")] == [("both", 0, 4)]


def test_the_queries_of_the_page_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("duckdb")
    text = (ROOT / "docs/METRICS.md").read_text(encoding="utf-8")
    (section,) = re.findall(r"\n## Queries over the generations of all.*?\n(.*?)\n## ", text, re.S)
    blocks = re.findall(r"```python\n(.*?)```", section, re.S)
    assert len(blocks) == 2
    (folder.parent / "runs").symlink_to(folder.parent)
    monkeypatch.chdir(folder.parent)
    found: dict[str, object] = {}
    program = "\n".join(blocks).replace("> 40", "> 1") + "\nfetched = bad.fetchall()\n"
    exec(program, found)
    assert {row["seed"] for row in found["approval"].to_pylist()} == {0, 1}
    by_arm = {(arm, update): share for arm, update, share in found["fetched"]}
    assert len(by_arm) == 4
    runs = [folder / "both" / name for name in ("seed-0", "seed-1-base-3")]
    bad = [
        generation.verdict.approved and generation.unwanted
        for run in runs
        for generation in generations(run, Filter(updates=range(2, 3)))
    ]
    assert by_arm["both", 2] == pytest.approx(sum(bad) / len(bad))
