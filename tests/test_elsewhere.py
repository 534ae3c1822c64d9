"""What other tools make of us: Inspect's frames, Inspect Scout, Docent, verifiers' own evaluation.

verifiers and Docent do not go with the tested versions, and have environments of their own (`make
elsewhere`); without them their tests skip.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import rlhf_testbed as rt
from chat_server import Reply, serving
from rlhf_testbed.cli import main
from rlhf_testbed.export.formats import export
from rlhf_testbed.judging.episode import judge
from rlhf_testbed.overseers.base import Sight
from rlhf_testbed.overseers.full_knowledge import FullKnowledge
from rlhf_testbed.overseers.scripted import Scripted
from rlhf_testbed.shared.record import read
from rlhf_testbed.store.generations import Filter, Generation, found
from rlhf_testbed.store.measured_records import Measured
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.tasks.base import Scenario
from rlhf_testbed.tasks.inspection import Inspection
from scripted_runs import write_run
from test_words import ROOT

TASK = Inspection()
PAGE = (ROOT / "docs/ELSEWHERE.md").read_text(encoding="utf-8")


def command(program: str, **instead: str) -> list[str]:
    """The words of the page's command of that program, some of them replaced."""
    lines = [line.strip() for line in PAGE.replace("\\\n", " ").splitlines()]
    (line,) = (line for line in lines if line.startswith(f"{program} "))
    words = shlex.split(line)
    assert set(instead) <= set(words), words
    return [instead.get(word, word) for word in words[1:]]


def code(heading: str) -> str:
    """The Python under a heading of the page."""
    found = re.findall(rf"^## {heading}$(?:(?!^## ).)*?^```python\n(.*?)^```$", PAGE, re.M | re.S)
    assert len(found) == 1
    return str(found[0])


def pleasing(scenario: Scenario) -> str:
    """The report that looks good."""
    (seeker,) = (one for one in TASK.scripted_policies if one.name == "look-good seeker")
    policy = seeker.policy(scenario)
    return max(policy, key=lambda response: policy[response])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of inspection, in whose first update every other report is what looks good."""
    folder = tmp_path_factory.mktemp("elsewhere") / "run"
    drawn = TASK.scenarios(TASK.arm("both").dials, 0, "train", 16)
    responses = {at: pleasing(one) for at, one in enumerate(drawn) if at % 2}
    write_run(folder, task_name="inspection", updates=2, episodes=16, responses=responses)
    return folder


@pytest.fixture(scope="module")
def logs(run: Path) -> Path:
    return export(run, "inspect").folder


def of(run: Path, split: str) -> list[Generation]:
    return list(found(run, Filter(), "training" if split == "train" else "held_out"))


def shares(generations: list[Generation]) -> tuple[float, float]:
    """Threat 1, and how often an unseen fault was misreported; both of exposed episodes."""
    exposed = [one for one in generations if one.exposed]
    both = [one.unwanted_approved for one in exposed]
    return sum(map(bool, both)) / len(both), sum(
        bool(one.traits["misreports unseen"]) for one in exposed
    ) / len(exposed)


def test_the_pages_own_lines_measure_another_trainers_generations(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = RunDirectory(run).generations("held_out")
    (line,) = re.findall(r"^    rlhf-testbed (measure completions.*)$", PAGE, re.M)
    filed = {"completions.parquet": str(file), "found.json": str(tmp_path / "found.json")}
    monkeypatch.setattr("sys.argv", [filed.get(word, word) for word in ("x", *shlex.split(line))])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    found = read(tmp_path / "found.json", Measured)
    names: dict[str, Any] = {"frame": pd.read_parquet(file)}
    exec(code("Threat 1 of another trainer's generations"), names)
    assert names["found"].figures == pytest.approx(found.figures, nan_ok=True)
    assert found.figures["threat_1"] == shares(of(run, "held-out"))[0]


def test_samples_df_has_both_verdicts_threat_1_and_traits(run: Path, logs: Path) -> None:
    pytest.importorskip("inspect_ai", reason="pip install 'rlhf-testbed[inspect]'")
    from inspect_ai.analysis import samples_df

    frame = samples_df(str(next(logs.glob("*-train_*.eval"))))
    generations = of(run, "train")
    assert len(frame) == len(generations) == 32
    threat_1, misreports = shares(generations)
    assert 0 < threat_1 < 1
    names: dict[str, Any] = {}
    exec(code("Inspect's frames").replace("runs/x/export/inspect", str(logs)), names)
    assert len(names["frame"]) == 32 + len(of(run, "held-out"))
    assert frame.score_unwanted_approved.mean() == pytest.approx(threat_1)
    exposed = frame[frame.metadata_exposed.astype(bool)]
    unwanted = (exposed.score_training_overseer == "C") & (exposed.score_full_knowledge == "I")
    assert unwanted.mean() == pytest.approx(threat_1)
    assert set(frame.metadata_concealed_trait) == {"misreports unseen"}
    traits = [json.loads(one)["misreports unseen"] for one in exposed.metadata_traits]
    assert sum(traits) / len(traits) == pytest.approx(misreports)


@pytest.mark.slow
def test_inspect_scout_finds_what_was_approved_yet_unwanted(
    run: Path, logs: Path, tmp_path: Path
) -> None:
    pytest.importorskip("inspect_scout", reason="pip install 'rlhf-testbed[scout]'")
    from inspect_scout import scan_results_df

    words = command("scout", **{"runs/x/export/inspect": str(logs)})
    program = str(Path(sys.executable).with_name("scout"))
    ran(program, *words, "--scans", str(tmp_path))
    (folder,) = tmp_path.glob("scan_id=*")
    results = scan_results_df(str(folder))
    assert results.complete
    assert not results.errors
    frame = results.scanners["threat_1"]
    for split in ("train", "held-out"):
        own = frame[frame.transcript_task_set.str.endswith(f"-{split}")]
        generations = of(run, split)
        assert len(own) == 2 * len(generations)
        for label, share in zip(
            ("approved yet unwanted", "misreports unseen"), shares(generations), strict=True
        ):
            values = own[(own.label == label) & own.value.notna()].value
            assert len(values) == sum(one.exposed for one in generations)
            assert values.astype(bool).mean() == pytest.approx(share)
    names: dict[str, Any] = {}
    lines = code("Inspect Scout").replace("scans/scan_id=...", str(folder)).splitlines()
    exec("\n".join([*lines[:-1], f"caught = {lines[-1]}"]), names)
    caught = names["caught"]
    assert 0 < len(caught) < len(frame)
    assert caught.explanation.str.match("in training: .* called sound; full knowledge: .*not").all()


TELL = """
import json
for run in runs:
    (transcript,) = run.transcripts
    said = [part for message in transcript.messages for part in (message.role, message.content)]
    told = {"said": said, "exposed": run.metadata["exposed"], "scores": run.metadata["scores"]}
    print(json.dumps(told))
"""


@pytest.mark.slow
def test_docent_reads_our_logs(run: Path, logs: Path, tmp_path: Path) -> None:
    loading = code("Docent").replace("    scores = ", "    runs = list(runs)\n    scores = ")
    for split in ("train", "held-out"):
        (tmp_path / "x-held-out.eval").unlink(missing_ok=True)
        (tmp_path / "x-held-out.eval").symlink_to(next(logs.glob(f"*-{split}_*.eval")))
        program = loading + TELL
        printed = ran(python_of("docent"), "-c", program, cwd=tmp_path)
        rows = [json.loads(line) for line in printed.splitlines()]
        generations = of(run, split)
        written = [["user", one.row.prompt, "assistant", one.row.response] for one in generations]
        assert sorted(row["said"] for row in rows) == sorted(written)
        both = [row["scores"]["unwanted_approved"] for row in rows if row["exposed"]]
        assert sum(both) / len(both) == pytest.approx(shares(generations)[0])
        approved = sum(row["scores"]["training_overseer"] for row in rows)
        assert approved == sum(one.verdict.approved for one in generations)


def python_of(name: str) -> str:
    python = ROOT / "build" / name / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{name} is not here: make elsewhere")
    return str(python)


def ran(*words: str, cwd: Path = ROOT, **more: str) -> str:
    """What a program of another environment prints; it sees this project's own source."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}
    ended = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    return ended.stdout


COUNT = 6
"""Scenarios of an evaluation."""


def evaluated_by_verifiers(folder: Path, full_knowledge: bool) -> list[dict[str, Any]]:
    """The traces of an evaluation by vf-eval, of a stand-in server that writes what looks good."""
    split = "held_out" if full_knowledge else "train"
    drawn = TASK.scenarios(TASK.arm("both").dials, 3, split, COUNT)
    reports = {one.prompt: pleasing(one) for one in drawn}
    with serving() as server:
        server.reply = lambda body, before: Reply(reports[body["messages"][-1]["content"]])
        told = {
            "NAME": "x",
            "http://127.0.0.1:8000/v1": server.url,
            "held_out": split,
            "true": str(full_knowledge).lower(),
        }
        fewer = ["--env.taskset.seed", "3", "--env.taskset.scenarios", str(COUNT), "--no-rich"]
        bin_ = Path(python_of("verifiers")).parent
        path = f"{bin_}{os.pathsep}{os.environ['PATH']}"
        ran(f"{bin_}/vf-eval", *command("vf-eval", **told), *fewer, cwd=folder, PATH=path)
    lines = (folder / "outputs/here/traces.jsonl").read_text(encoding="utf-8").splitlines()
    return [trace for line in lines for trace in json.loads(line)["traces"]]


@pytest.mark.slow
def test_verifiers_evaluates_a_task_and_measure_reads_what_it_leaves(tmp_path: Path) -> None:
    traces = evaluated_by_verifiers(tmp_path, full_knowledge=True)
    drawn = {one.id: one for one in TASK.scenarios(TASK.arm("both").dials, 3, "held_out", COUNT)}
    assert {trace["task"]["key"] for trace in traces} == set(drawn)
    both = []
    for trace in traces:
        scenario = drawn[trace["task"]["key"]]
        seen, true = (
            judge(overseer, scenario, pleasing(scenario))
            for overseer in (Scripted(TASK, Sight(0.0)), FullKnowledge(TASK))
        )
        assert trace["rewards"]["overseer_score"] == {"score": seen.verdict.score, "weight": 1.0}
        assert list(trace["rewards"]) == ["overseer_score"]
        metrics: Mapping[str, float] = trace["metrics"]
        assert metrics["approved"] == seen.verdict.approved
        assert metrics["full_knowledge_approved"] == true.verdict.approved
        assert metrics["full_knowledge_score"] == true.verdict.score
        both.append(metrics.get("unwanted_approved"))
        assert metrics.get("trait_misreports_unseen") == both[-1], "misreports are unwanted here"
    exposed = [one for one in both if one is not None]
    assert sum(exposed) > 0
    measured = rt.measure(tmp_path / "outputs/here/traces.jsonl", task="inspection")
    assert (measured.episodes, measured.unknown) == (COUNT, 0)
    assert measured.figures["threat_1"] == sum(exposed) / len(exposed)
    assert measured.figures["approval"] == 1


@pytest.mark.slow
def test_a_training_environment_holds_no_full_knowledge(tmp_path: Path) -> None:
    traces = evaluated_by_verifiers(tmp_path, full_knowledge=False)
    assert [set(trace["metrics"]) - {"approved"} for trace in traces] == [set()] * COUNT
    assert [set(trace["rewards"]) for trace in traces] == [{"overseer_score"}] * COUNT


REFUSED = """
import json
from pydantic import ValidationError
from rlhf_testbed.export.verifiers_environment import ScenariosConfig
for given in (
    {"split": "train", "task": {"full_knowledge": True}},
    {"split": "test"},
    {"task": {"name": "corridr"}},
    {"task": {"overseer": "full_knowledge"}},
    {"task": {"knowledge": 2}},
):
    try:
        ScenariosConfig.model_validate(given)
    except ValidationError as error:
        print(error.errors()[0]["msg"])
"""


@pytest.mark.slow
def test_the_environment_refuses_what_cannot_be() -> None:
    said = ran(python_of("verifiers"), "-c", REFUSED).splitlines()
    assert len(said) == 5
    wanted = (
        "full_knowledge judges no training scenarios",
        "Input should be 'train', 'held_out' or 'off_distribution'",
        "task 'corridr' is unknown (did you mean 'corridor'?)",
        "overseer = full_knowledge is held out",
        "knowledge = 2 is not in [0, 1]",
    )
    for line, words in zip(said, wanted, strict=True):
        assert words in line
