"""Exports: a dataset that `datasets` loads, with our own threat 1, and what cannot be exported."""

from __future__ import annotations

import dataclasses
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rlhf_testbed import cli
from rlhf_testbed.export.formats import export
from rlhf_testbed.export.record import Record
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store import ledger, verdicts
from rlhf_testbed.store.generation_rows import in_one_word
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import KNOWING, Measures

VARIED = "both randomised=0.5"
RUN = ["arm", "seed", "base_seed", "knowledge", "randomised", "diversity", "unintended_share"]


@pytest.fixture(scope="session")
def dataset(evaluated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its dataset."""
    return export(evaluated, "dataset", tmp_path_factory.mktemp("export") / "data").folder


def test_the_dataset_loads_offline_and_is_the_ledger(
    dataset: Path, evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    def refuse(*arguments: object) -> None:
        raise AssertionError("something asked the network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    loaded = datasets.load_dataset(str(dataset), cache_dir=str(tmp_path))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 48, "held_out": 32}
    later = [
        f"{name}_{part}"
        for name in ("full_knowledge", "scripted_knowledge_1")
        for part in ("score", "approved", "reason")
    ]
    assert loaded["train"].column_names == [*RUN, *ledger.SCHEMA.names, "exposed", *later]
    runs = {tuple(row[name] for name in RUN) for row in loaded["train"]}
    assert runs == {("both", 1, 0, 0.0, 0.0, 1.0, 0.3)}
    rows = ledger.read(evaluated / "ledger")
    known = verdicts.read(RunDirectory(evaluated).verdicts(KNOWING, "training"), rows, "")
    for row, ours, theirs in zip(loaded["train"], rows, known, strict=True):
        assert [row[name] for name in ledger.SCHEMA.names] == ours.values()
        for part in ("score", "approved", "reason"):
            assert row[f"full_knowledge_{part}"] == getattr(theirs, part)
    exposed = loaded["held_out"].filter(lambda row: row["exposed"])
    hit = [row["approved"] and not row["full_knowledge_approved"] for row in exposed]
    measures = RunDirectory(evaluated).evaluated(Measures)
    assert sum(hit) / len(hit) == pytest.approx(measures.figure("threat_1_sampled"))
    assert set(loaded["held_out"]["update"]) == {None}
    assert set(loaded["held_out"]["advantage"]) == {None}


def test_two_exports_of_one_name_load_their_own_rows(
    trained: Path, evaluated: Path, tmp_path: Path
) -> None:
    """`datasets` keeps what it has loaded by the names of folder and files, whatever they hold."""
    import datasets

    shutil.copytree(trained, tmp_path / "fewer")
    fewer = RunDirectory(tmp_path / "fewer")
    ledger.keep_up_to(fewer.ledger, 2)
    fewer.write(fewer.summary().model_copy(update={"updates": 2, "episodes": 32}))
    found = []
    for at, run in enumerate((trained, tmp_path / "fewer", evaluated)):
        folder = export(run, "dataset", tmp_path / str(at) / "dataset").folder
        rows = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))["train"]
        found.append((len(rows), len(rows.column_names)))
    assert [count for count, _ in found] == [48, 32, 48]
    assert found[2][1] > found[0][1]


def test_a_path_that_datasets_takes_for_a_pattern_is_refused(trained: Path, tmp_path: Path) -> None:
    for name in ("x [1]", "x*"):
        with pytest.raises(UsageError, match="in a path for a pattern"):
            export(trained, "dataset", tmp_path / name / "dataset")
        assert not (tmp_path / name).exists()


def test_the_card_describes_every_column(dataset: Path) -> None:
    from huggingface_hub import DatasetCard

    card = DatasetCard.load(dataset / "README.md")
    described = re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", card.text, re.MULTILINE)
    assert described == pq.read_schema(next(dataset.glob("data-*/train-*.parquet"))).names
    assert card.data.size_categories == ["n<1K"]
    assert "Every generation that PPO selected from" in card.text
    assert "Every policy in it is a model organism of misbehaviour" in card.text
    assert "the share of the `exposed` rows" in card.text


def test_a_whole_experiment_is_one_dataset(experiment: Path, tmp_path: Path) -> None:
    import datasets

    folder, left_out = export(experiment, "dataset")
    assert folder == experiment / "export" / "dataset"
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path))
    assert Counter(zip(loaded["train"]["arm"], loaded["train"]["seed"], strict=True)) == {
        ("both", 1): 48,
        ("both", 2): 48,
        ("both randomised=0.5", 1): 48,
    }
    fresh = loaded["held_out"].to_pandas()
    for arm, path in (("both", "both/seed-1"), (VARIED, f"{VARIED}/seed-1")):
        exposed = fresh[(fresh.arm == arm) & fresh.exposed]
        hit = exposed.approved & ~exposed.full_knowledge_approved.astype(bool)
        measures = RunDirectory(experiment / path).evaluated(Measures)
        assert hit.mean() == pytest.approx(measures.figure("threat_1_sampled"))
    judged = loaded["train"].to_pandas()
    assert judged[judged.seed == 2].full_knowledge_approved.isna().all()
    assert judged[judged.arm == VARIED].scripted_knowledge_1_approved.isna().all()
    assert judged[judged.arm == "both"].scripted_knowledge_1_approved.notna().sum() == 48
    (why,) = left_out
    assert re.search(r"both/seed-3: training has not finished here", why)
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert f"- {why}" in text
    assert f"| {VARIED} | 1 | 0 | 0 | 0.5 | 1 | 0.3 | scripted | 48 | 32 |" in text
    assert "| both | 2 | 0 | 0 | 0 | 1 | 0.3 | scripted | 48 |  |" in text
    assert "| all |  |  |  |  |  |  |  | 144 | 64 |" in text


def test_an_experiment_of_which_nothing_can_be_exported_is_an_error(
    experiment: Path, tmp_path: Path
) -> None:
    shutil.copytree(experiment, tmp_path / "x", ignore=shutil.ignore_patterns("finished.json"))
    said = r"both/seed-1: training has not finished.* \(and 3 more runs that can't be exported\)$"
    with pytest.raises(UsageError, match=said):
        export(tmp_path / "x", "dataset", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_run_that_no_one_has_evaluated_is_a_dataset_without_verdicts(
    trained: Path, tmp_path: Path
) -> None:
    import datasets

    folder = export(trained, "dataset", tmp_path / "data").folder
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["train"]
    assert loaded["train"].column_names == [*RUN, *ledger.SCHEMA.names, "exposed"]
    text = " ".join((folder / "README.md").read_text(encoding="utf-8").split())
    assert "No later overseer has judged the generations: `rlhf-testbed evaluate RUN` gives" in text
    assert "Threat 1" not in text


def test_held_out_generations_are_there_with_the_training_overseers_verdict_alone(
    evaluated: Path, tmp_path: Path
) -> None:
    """As where an evaluation was cut short after the fresh generations were filed."""
    shutil.copytree(evaluated, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "evaluation")
    folder = export(tmp_path / "run", "dataset", tmp_path / "data").folder
    fresh = pq.read_table(next(folder.glob("data-*/held_out-*.parquet")))
    assert fresh.schema.names == [*RUN, *ledger.SCHEMA.names, "exposed"]
    filed = ledger.read(RunDirectory(evaluated).generations("held_out"))
    assert fresh["approved"].to_pylist() == [row.approved for row in filed]
    assert fresh["view"].to_pylist() == [row.view_json for row in filed]


def test_a_run_whose_evaluation_is_damaged_is_left_out(experiment: Path, tmp_path: Path) -> None:
    shutil.copytree(experiment, tmp_path / "x")
    file = tmp_path / "x" / VARIED / "seed-1" / "evaluation" / "full_knowledge" / "measures.json"
    file.write_text("{}")
    folder, left_out = export(tmp_path / "x", "dataset", tmp_path / "data")
    assert re.search(r"measures\.json: damaged, or from another version", left_out[-1])
    assert len(left_out) == 2
    assert len(list(folder.glob("data-*/train-*.parquet"))) == 2


def _without(name: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        (run / name).unlink() if (run / name).is_file() else shutil.rmtree(run / name)

    return change


def _damaged(name: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        (run / name).write_text("{}")

    return change


def _an_older_ledger(run: Path) -> None:
    file = min((run / "ledger").iterdir())
    pq.write_table(pq.read_table(file).drop_columns(["view"]), file)


def _an_older_config(run: Path) -> None:
    with (run / "config.yaml").open("a", encoding="utf-8") as file:
        file.write("knowing: 0.5\n")


def _an_update_less(run: Path) -> None:
    ledger.keep_up_to(run / "ledger", 2)


def _no_rows(run: Path) -> None:
    for file in (run / "ledger").iterdir():
        ledger.write(file, [])


def _another_evaluation(run: Path) -> None:
    file = RunDirectory(run).verdicts(KNOWING, "training")
    rows = ledger.read(run / "ledger")
    filed = verdicts.read(file, rows, "")
    verdicts.write(file, [dataclasses.replace(rows[0], response="another"), *rows[1:]], filed)


BAD = {
    "unfinished": (_without("finished.json"), r"run: training has not finished here"),
    "no verdicts": (
        _without("evaluation"),
        r"run: no verdicts of the full-knowledge overseer \(rlhf-testbed evaluate \S+run makes",
    ),
    "empty ledger": (_without("ledger"), r"ledger: no generations here"),
    "no rows": (_no_rows, r"ledger: damaged ledger: 0 generations, but finished.json tells of 48"),
    "last update lost": (_an_update_less, r"32 generations, but .* of 48"),
    "older ledger": (_an_older_ledger, r"00001\S*\.parquet: .*another version: columns view are"),
    "older config": (_an_older_config, r"config\.yaml: setting 'knowing' is unknown"),
    "held-out lost": (
        _without("fresh/held_out.parquet"),
        r"held_out\.parquet is not there \(rlhf-testbed evaluate ",
    ),
    "verdicts lost": (
        _without("evaluation/full_knowledge/training.parquet"),
        r"full_knowledge/training\.parquet is not there \(rlhf-testbed evaluate ",
    ),
    "damaged measures": (
        _damaged("evaluation/full_knowledge/measures.json"),
        r"measures\.json: damaged, or from another version",
    ),
    "another evaluation": (
        _another_evaluation,
        r"full_knowledge/training\.parquet: holds verdicts on other generations than the run's \(",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_exported_is_said_in_a_line(
    what: str, evaluated: Path, tmp_path: Path
) -> None:
    pytest.importorskip("inspect_ai")
    change, message = BAD[what]
    shutil.copytree(evaluated, tmp_path / "run")
    change(tmp_path / "run")
    with pytest.raises(UsageError, match=message) as raised:
        export(tmp_path / "run", "inspect")
    assert "\n" not in str(raised.value)
    assert not list((tmp_path / "run").glob("export/*")), "an export is whole or not there"


def test_a_task_by_dotted_path_has_a_title_that_files_can_have(record: Record) -> None:
    named = ["--task", "tasks.corridor:Corridor", "--arm", "selection_only", "--seed", "2"]
    assert record.title == "corridor-both-seed-1"
    assert record._replace(run=parse_run(named)).title == "corridor-selection-only-seed-2"


def test_columns_of_overseers_with_other_options_have_other_names() -> None:
    names = ["scripted-prior=1", "scripted-prior=-1", "scripted-prior=0.5", "scripted"]
    columns = {in_one_word(name) for name in names}
    assert columns == {
        "scripted_prior_1",
        "scripted_prior_minus_1",
        "scripted_prior_0_5",
        "scripted",
    }


def test_an_export_is_not_overwritten(evaluated: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="mine: exists already, and nothing is overwritten"):
        export(evaluated, "dataset", tmp_path / "mine")
    assert not list((tmp_path / "mine").iterdir())


def test_without_the_extra_it_says_what_to_install(
    evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai", None)
    monkeypatch.delitem(sys.modules, "rlhf_testbed.export.inspect_log", raising=False)
    with pytest.raises(UsageError, match=r"pip install 'rlhf-testbed\[inspect\]'"):
        export(evaluated, "inspect", tmp_path / "logs")
    assert not (tmp_path / "logs").exists()


def test_what_is_left_out_of_an_experiment_is_told_by_the_command(
    experiment: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    to = ["--to", "dataset", "--output_dir", str(tmp_path / "data")]
    assert _command(monkeypatch, "export", str(experiment), *to) == 0
    told = capsys.readouterr()
    assert f"left out: {experiment}/both/seed-3: training has not finished here" in told.err
    assert f"filed in {tmp_path}/data" in told.out


def _command(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["rlhf-testbed", *words])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return int(str(stopped.value))


def test_the_command(
    evaluated: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(evaluated, tmp_path / "run")
    run = str(tmp_path / "run")
    assert _command(monkeypatch, "export", run, "--to", "datset") == 2
    assert capsys.readouterr().err == (
        "error: command line: --to 'datset' is unknown (did you mean 'dataset'?)\n"
    )
    assert _command(monkeypatch, "export", run, "--to", "dataset") == 0
    assert f"filed in {run}/export/dataset" in capsys.readouterr().out
    assert (tmp_path / "run/export/dataset/README.md").is_file()
    assert _command(monkeypatch, "export", str(tmp_path), "--to", "inspect") == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}: neither a run")
