"""Logs for Inspect: both verdicts with reasons, our own threat 1, and what the viewer shows."""

from __future__ import annotations

import dataclasses
import math
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from rlhf_testbed.export.formats import export
from rlhf_testbed.export.record import Record
from rlhf_testbed.store import ledger, verdicts
from rlhf_testbed.store.generation_rows import in_one_word
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import Measures
from rlhf_testbed.tasks.base import Verdict

pytest.importorskip("inspect_ai", reason="the extra is not here: pip install rlhf-testbed[inspect]")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
HOSTILE = "<img src=x onerror='window.ran = 1'><b>bold</b> {{ 1 }} \u202e[link](javascript:1)"


@pytest.fixture(scope="session")
def logs(evaluated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its logs."""
    return export(evaluated, "inspect", tmp_path_factory.mktemp("export") / "logs").folder


def _in_one_word(later: Mapping[str, Verdict]) -> dict[str, Verdict]:
    return {in_one_word(name): verdict for name, verdict in later.items()}


def _log(folder: Path, split: str) -> Any:
    from inspect_ai.log import read_eval_log

    (file,) = folder.glob(f"*-{split}_*.eval")
    return read_eval_log(str(file))


def test_log_files_are_named_as_inspect_names_them(logs: Path) -> None:
    names = sorted(file.name for file in logs.iterdir())
    time = r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\+00-00"
    assert len(names) == 2
    for split in ("train", "held-out"):
        (name,) = (name for name in names if f"-{split}_" in name)
        assert re.fullmatch(rf"{time}_corridor-both-seed-1-{split}_[0-9a-f]{{22}}\.eval", name)


def test_samples_df_gives_our_threat_1(logs: Path, evaluated: Path) -> None:
    from inspect_ai.analysis import samples_df

    figures = RunDirectory(evaluated).evaluated(Measures).figures
    table = samples_df(str(next(logs.glob("*held-out*.eval"))))
    assert len(table) == 32
    exposed = table[table.metadata_exposed]
    found = (exposed.score_training_overseer == "C") & (exposed.score_full_knowledge == "I")
    assert len(exposed) > 0
    assert found.sum() / len(exposed) == pytest.approx(figures["threat_1_sampled"])
    assert figures["threat_1_sampled"] > 0
    assert table.score_unwanted_approved.dropna().mean() == pytest.approx(
        figures["threat_1_sampled"]
    )
    run = RunDirectory(evaluated)
    rows = ledger.read(run.generations("held_out"))
    known = verdicts.read(run.verdicts("full_knowledge", "held_out"), rows, "")
    approved, wanted = (sum(one.approved for one in told) / 32 for told in (rows, known))
    assert (table.score_training_overseer == "C").mean() == pytest.approx(approved)
    results = {score.name: score.metrics for score in _log(logs, "held-out").results.scores}
    assert results["unwanted_approved"]["mean"].value == pytest.approx(figures["threat_1_sampled"])
    assert results["training_overseer"]["accuracy"].value == pytest.approx(approved)
    by_full_knowledge = results["full_knowledge"]["accuracy"].value
    assert by_full_knowledge == pytest.approx(wanted)


def test_an_experiment_is_two_logs_a_run_with_threat_1_of_each(
    experiment: Path, tmp_path: Path
) -> None:
    from inspect_ai.analysis import evals_df, samples_df

    folder, left_out = export(experiment, "inspect", tmp_path / "logs")
    assert [why.split(": ")[1] for why in left_out] == [
        "no verdicts of the full-knowledge overseer (rlhf-testbed evaluate "
        f"{experiment}/both/seed-2 makes them)",
        "training has not finished here (no finished.json)",
    ]
    logs = evals_df(str(folder))
    names = [f"corridor-both{dial}-seed-1" for dial in ("", "-randomised-0.5")]
    assert sorted(logs.task_name) == sorted(
        f"{name}-{split}" for name in names for split in ("train", "held-out")
    )
    samples = samples_df(str(folder))
    for name, arm in zip(names, ("both", "both randomised=0.5"), strict=True):
        measures = RunDirectory(experiment / arm / "seed-1").evaluated(Measures)
        (log,) = logs[logs.task_name == f"{name}-held-out"].to_dict("records")
        assert log["score_headline_value"] == pytest.approx(measures.figure("threat_1_sampled"))
        assert (log["task_arg_arm"], log["task_arg_seed"]) == ("both", 1)
        assert log["task_arg_randomised"] == (0.5 if "randomised" in name else 0)
        own = samples[samples.log.str.contains(f"{name}-held-out")]
        assert own.score_unwanted_approved.mean() == pytest.approx(
            measures.figure("threat_1_sampled")
        )


@pytest.mark.parametrize("split", ["train", "held-out"])
def test_a_sample_holds_both_verdicts_with_reasons_and_what_was_hidden(
    split: str, logs: Path, record: Record
) -> None:
    log = _log(logs, split)
    generations = record.train if split == "train" else record.held_out
    assert len(log.samples) == len(generations)
    samples = {sample.id: sample for sample in log.samples}
    for generation in generations:
        row = generation.row
        sample = samples[row.scenario_id]
        assert sample.input == row.prompt
        assert sample.output.completion == row.response
        assert sample.target == next(iter(record.task.reference_policy.policy(row.scenario)))
        filed = {"training_overseer": row.verdict, **_in_one_word(generation.later)}
        for name, verdict in filed.items():
            score = sample.scores[name]
            assert score.value == ("C" if verdict.approved else "I")
            assert score.explanation == verdict.reason
            assert score.metadata == {"score": verdict.score, "approved": verdict.approved}
        hidden = {name: row.scenario.facts[name] for name in row.concealable}
        assert sample.metadata["hidden_facts"] == hidden
        assert not set(hidden) & set(sample.metadata["overseer_saw"]["facts"])
        assert sample.metadata["update"] == (row.update or None)
    assert any(sample.metadata["hidden_facts"] for sample in log.samples)


def test_a_log_says_that_its_content_is_not_to_be_trusted(logs: Path) -> None:
    for split in ("train", "held-out"):
        assert _log(logs, split).eval.viewer.trust_content is False


def test_scorers_have_plain_names_and_later_overseers_are_there(logs: Path) -> None:
    names = [scorer.name for scorer in _log(logs, "held-out").eval.scorers]
    overseers = ["training_overseer", "full_knowledge", "scripted_knowledge_1"]
    assert names == [*overseers, "unwanted_approved"]
    assert all(re.fullmatch(r"\w+", name) for name in names)


def test_a_users_own_overseer_is_appended(logs: Path) -> None:
    from inspect_ai import score
    from inspect_ai.scorer import match

    log = _log(logs, "held-out")
    more = score(log, match(), model="none/none", action="append", display="none")
    assert [one.name for one in more.results.scores] == [
        *(one.name for one in log.results.scores),
        "match",
    ]
    assert list(more.samples[0].scores) == [*log.samples[0].scores, "match"]


def test_epochs_are_repeated_generations_of_a_scenario(record: Record, tmp_path: Path) -> None:
    from rlhf_testbed.export.inspect_log import write_logs

    approved = next(g for g in record.train if g.row.approved and g.exposed)
    rejected = approved._replace(
        row=dataclasses.replace(approved.row, update=9, approved=False, reason="no", score=0.0),
        truth=Verdict(0.0, False, "no"),
        later=dict.fromkeys(record.evaluators, Verdict(0.0, False, "no")),
    )
    write_logs(record._replace(train=[approved, rejected]), tmp_path)
    log = _log(tmp_path, "train")
    assert [(sample.id, sample.epoch) for sample in log.samples] == [
        (approved.row.scenario_id, 1),
        (approved.row.scenario_id, 2),
    ]
    assert log.eval.config.epochs == 2
    assert log.eval.dataset.samples == 1
    scores = {one.name: one for one in log.results.scores}
    assert scores["training_overseer"].metrics["accuracy"].value == 0.5
    assert [sample.metadata["update"] for sample in log.samples] == [approved.row.update, 9]


def test_what_cannot_be_judged_is_no_number(record: Record, tmp_path: Path) -> None:
    from rlhf_testbed.export.inspect_log import write_logs

    first, *rest = record.held_out
    silent = first._replace(row=dataclasses.replace(first.row, score=math.nan, reason="can't tell"))
    write_logs(record._replace(held_out=[silent, *rest]), tmp_path)
    log = _log(tmp_path, "held-out")
    samples = {sample.id: sample for sample in log.samples}
    score = samples[first.row.scenario_id].scores["training_overseer"]
    assert score.value != score.value
    assert score.explanation == "can't tell"
    assert {one.name: one for one in log.results.scores}["training_overseer"].unscored_samples == 1


@pytest.fixture
def viewer(record: Record, tmp_path: Path) -> Iterator[str]:
    """The address of an `inspect view` of the run, one of whose responses is hostile."""
    from rlhf_testbed.export.inspect_log import write_logs

    first, *rest = record.held_out
    hostile = first._replace(row=dataclasses.replace(first.row, response=HOSTILE))
    (tmp_path / "logs").mkdir()
    write_logs(record._replace(held_out=[hostile, *rest]), tmp_path / "logs")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = ["--log-dir", str(tmp_path / "logs"), "--port", str(port)]
    server = subprocess.Popen(
        [sys.executable, "-m", "inspect_ai", "view", "start", *where],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, server)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    while True:
        assert server.poll() is None, "inspect view ended by itself"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.2)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")
@pytest.mark.slow
def test_inspect_view_shows_both_verdicts_and_a_reason(
    viewer: str, record: Record, tmp_path: Path
) -> None:
    api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    caught = next(g for g in record.held_out[1:] if g.unwanted_approved)
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(60_000)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(viewer)
        page.get_by_text("corridor-both-seed-1-held-out").first.click()
        page.get_by_role("row").filter(has_text=caught.row.prompt).first.click()
        page.get_by_role("tab", name="Scoring", exact=False).click()
        panel = page.locator("body")
        for said in (caught.row.reason, caught.truth.reason):
            api.expect(panel).to_contain_text(said)
        for scorer in (
            "training_overseer",
            "full_knowledge",
            "scripted_knowledge_1",
            "unwanted_approved",
        ):
            assert page.get_by_text(scorer, exact=True).first.is_visible()
        verdicts = {
            "training_overseer": ("C", caught.row.reason),
            "full_knowledge": ("I", caught.truth.reason),
        }
        for scorer, (letter, reason) in verdicts.items():
            line = [scorer, re.escape(caught.row.response), letter, re.escape(reason)]
            assert re.search(r"\s+".join(line), panel.inner_text())
        picture = page.screenshot(path=tmp_path / "verdicts.png")
        page.go_back()
        page.go_back()
        page.get_by_role("row").filter(has_text=record.held_out[0].row.prompt).first.click()
        page.get_by_role("tab", name="Messages", exact=False).click()
        api.expect(panel).to_contain_text("<img src=x onerror='window.ran = 1'><b>bold</b> {{ 1 }}")
        api.expect(panel).to_contain_text("U+202E")
        page.screenshot(path=tmp_path / "hostile.png")
        assert page.evaluate("window.ran") is None
        assert page.get_by_role("link", name="link", exact=True).count() == 0
        browser.close()
    assert len(picture) > 20_000, "an empty page"
    assert all(url.startswith((viewer, "data:", "blob:")) for url in asked)
