"""What other tools make of us: Inspect's frames, Inspect Scout, Docent, verifiers' own evaluation.

verifiers and Docent do not go with the tested versions, and have environments of their own (`make
elsewhere`); without them their tests skip.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import rlhf_testbed as rt
from chat_server import Reply, serving
from rlhf_testbed.export.formats import export
from rlhf_testbed.judging.episode import judge
from rlhf_testbed.overseers.base import Sight
from rlhf_testbed.overseers.full_knowledge import FullKnowledge
from rlhf_testbed.overseers.scripted import Scripted
from rlhf_testbed.store.generations import Filter, Generation, found
from rlhf_testbed.tasks.base import Scenario
from rlhf_testbed.tasks.inspection import Inspection
from scripted_runs import write_run
from test_words import ROOT

TASK = Inspection()
SCANNER = ROOT / "rlhf_testbed/export/scout.py"


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


def test_samples_df_has_both_verdicts_threat_1_and_traits(run: Path, logs: Path) -> None:
    pytest.importorskip("inspect_ai", reason="pip install 'rlhf-testbed[inspect]'")
    from inspect_ai.analysis import samples_df

    frame = samples_df(str(next(logs.glob("*-train_*.eval"))))
    generations = of(run, "train")
    assert len(frame) == len(generations) == 32
    threat_1, misreports = shares(generations)
    assert 0 < threat_1 < 1
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

    words = ["-T", str(logs), "--scans", str(tmp_path), "--max-processes", "1"]
    ran(sys.executable, "-m", "inspect_scout._cli.main", "scan", str(SCANNER), *words)
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
    caught = frame[(frame.label == "approved yet unwanted") & (frame.value == True)]  # noqa: E712
    assert caught.explanation.str.match("in training: .* called sound; full knowledge: .*not").all()


DOCENT = """
import json, sys
from pathlib import Path
from docent.loaders.load_inspect import runs_from_file
for log in sorted(Path(sys.argv[1]).glob("*.eval")):
    with log.open("rb") as file:
        head, runs = runs_from_file(file, format="eval")
        for run in runs:
            (transcript,) = run.transcripts
            said = [[message.role, message.content] for message in transcript.messages]
            scores, exposed = run.metadata["scores"], run.metadata["exposed"]
            row = {"task": head["task"], "said": said, "scores": scores, "exposed": exposed}
            print(json.dumps(row))
"""


@pytest.mark.slow
def test_docent_reads_our_logs(run: Path, logs: Path) -> None:
    printed = ran(python_of("docent"), "-c", DOCENT, str(logs))
    rows = [json.loads(line) for line in printed.splitlines()]
    for split in ("train", "held-out"):
        own = [row for row in rows if row["task"].endswith(f"-{split}")]
        generations = of(run, split)
        written = [["user", one.row.prompt, "assistant", one.row.response] for one in generations]
        assert sorted([*row["said"][0], *row["said"][1]] for row in own) == sorted(written)
        exposed = [row["scores"] for row in own if row["exposed"]]
        both = [scores["unwanted_approved"] for scores in exposed]
        assert sum(both) / len(both) == pytest.approx(shares(generations)[0])
        approved = sum(row["scores"]["training_overseer"] for row in own)
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
        words = {
            "model": "x",
            "client.base-url": server.url,
            "client.api-key-var": "NO_KEY",
            "env.agent.harness.id": "null",
            "env.agent.runtime.type": "subprocess",
            "env.taskset.task.name": "inspection",
            "env.taskset.task.full-knowledge": str(full_knowledge).lower(),
            "env.taskset.split": split,
            "env.taskset.seed": "3",
            "env.taskset.scenarios": str(COUNT),
            "run.name": "here",
            "output-dir": str(folder),
        }
        options = [each for name, value in words.items() for each in (f"--{name}", value)]
        python = python_of("verifiers")
        program = str(Path(python).with_name("vf-eval"))
        bin_first = {"PATH": f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}"}
        ran(
            program,
            "rlhf_testbed_verifiers",
            *options,
            "--no-push",
            "--no-rich",
            cwd=folder,
            NO_KEY="none",
            **bin_first,
        )
    lines = (folder / "here/traces.jsonl").read_text(encoding="utf-8").splitlines()
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
    measured = rt.measure(tmp_path / "here/traces.jsonl", task="inspection")
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
