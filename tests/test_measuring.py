"""`rlhf-testbed measure`: threat 1 of generations that another trainer made, and of our own."""

from __future__ import annotations

import csv
import json
import math
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import rlhf_testbed as rt
from chat_server import serving, verdict
from rlhf_testbed.cli import main
from rlhf_testbed.evaluation.history import selection_history
from rlhf_testbed.export.formats import export
from rlhf_testbed.export.rows import write_rows
from rlhf_testbed.judging.endpoint import kept
from rlhf_testbed.judging.episode import judge_cases
from rlhf_testbed.measures.clusters import share_over_clusters
from rlhf_testbed.overseers.full_knowledge import FullKnowledge
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.record import read
from rlhf_testbed.store import ledger
from rlhf_testbed.store.generation_rows import rows_of
from rlhf_testbed.store.generations import Filter
from rlhf_testbed.store.measured_records import Measured
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import JudgedBy, Measures
from rlhf_testbed.tasks import TASKS
from rlhf_testbed.tasks.base import Scenario, Task
from scripted_runs import write_run
from test_project import ended

BOTH = {"task": "corridor", "arm": "both", "seeds": "0"}
"""Where the prompts of `file` are from: every arm and all seeds take a second each time."""
SEEN_ALL = JudgedBy(overseer="scripted", knowledge=1.0)


def inspected(run: Path, form: str, folder: Path) -> Path:
    """What `inspect --of held_out --format FORM` writes, as a file."""
    file = folder / f"held_out.{form}"
    with file.open("wb") as out:
        write_rows(rows_of(run, Filter(), "held_out"), form, out)
    return file


def exported(run: Path, form: str, folder: Path) -> Path:
    """The held-out split of `export --to dataset`."""
    (file,) = export(run, "dataset", folder / "data").folder.glob("data-*/held_out-*.parquet")
    return file


def filed(run: Path, form: str, folder: Path) -> Path:
    """The run's own file."""
    return RunDirectory(run).generations("held_out")


@pytest.mark.parametrize(
    ("written_by", "form"),
    [
        (filed, "parquet"),
        (exported, "parquet"),
        (inspected, "csv"),
        (inspected, "jsonl"),
        (inspected, "parquet"),
    ],
)
def test_our_own_held_out_generations_have_the_figures_that_evaluate_filed(
    written_by: Callable[[Path, str, Path], Path], form: str, evaluated: Path, tmp_path: Path
) -> None:
    file = written_by(evaluated, form, tmp_path)
    found = rt.measure(file, task="corridor", arm="both")
    threat_1 = RunDirectory(evaluated).evaluated(Measures).figure("threat_1_sampled")
    assert 0 < threat_1 < 1
    assert found.figures["threat_1"] == threat_1
    assert (found.rows, found.episodes, found.unknown, found.scenarios) == (32, 32, 0, 32)
    by_evaluator = RunDirectory(evaluated).evaluated(Measures, SEEN_ALL.name).figures
    all_seen = rt.measure(file, task="corridor", knowledge=1).figures
    assert all_seen["approval"] == by_evaluator["approval_by_evaluator"]
    assert all_seen["score"] == by_evaluator["score_by_evaluator"]
    assert all_seen["success"] == by_evaluator["success"]
    assert all_seen["threat_1"] == 0


@pytest.mark.slow
def test_every_figure_is_that_of_evaluation_where_it_samples(
    evaluated: Path, tmp_path: Path
) -> None:
    """With `response_samples` evaluation's own figures are of the fresh generations."""
    from rlhf_testbed.evaluation.evaluate import evaluate

    shutil.copytree(evaluated, tmp_path / "run", ignore=shutil.ignore_patterns("evaluation"))
    run = RunDirectory(tmp_path / "run")
    settings = yaml.safe_load(run.config.read_text(encoding="utf-8")) | {"response_samples": 16}
    run.config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    told = evaluate(run)
    found = rt.measure(run.generations("held_out"), task="corridor", arm="both")
    same = {name: value for name, value in found.figures.items() if name in told.figures}
    assert len(same) > 12
    assert same == pytest.approx({name: told.figures[name] for name in same}, abs=0, nan_ok=True)
    assert {"threat_1", "e_plus", "success", "exposed", "misbehaviour_unseen"} <= set(same)


@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_ledger_has_the_figures_traits_and_reasons_of_its_history(
    name: str, tmp_path: Path
) -> None:
    write_run(tmp_path / "run", task_name=name, updates=1, episodes=32)
    rows = ledger.read(RunDirectory(tmp_path / "run").ledger)
    truths = judge_cases(FullKnowledge(TASKS[name]()), [row.case for row in rows])
    (update,) = selection_history(TASKS[name](), rows, [one.verdict for one in truths])
    (file,) = (tmp_path / "run/ledger").iterdir()
    found = rt.measure(file, task=name, arm="both")
    figures = {one: value for one, value in update.figures.items() if one != "kl"}
    own = {one: found.figures[one] for one in figures}
    assert own == pytest.approx(figures, abs=0, nan_ok=True)
    assert found.figures["exposed"] == update.exposed
    shown = {trait: (one.rate, one.possible) for trait, one in update.traits.items()}
    assert {trait: (one.rate, one.possible) for trait, one in found.traits.items()} == shown
    assert all(math.isnan(found.figures[one]) and why for one, why in found.reasons.items())
    estimates = found.inflation.policy
    assert (estimates.e_plus, estimates.j_seen) == (own["e_plus"], own["score"])


def acted(task: Task, scenarios: Sequence[Scenario], times: int = 1) -> list[tuple[Scenario, str]]:
    """Responses at random, and by the scripted policies."""
    rng = random.Random(0)
    policies = [one.policy for one in task.scripted_policies]
    return [
        (one, rng.choice([rng.choice(task.responses), *rng.choice(policies)(one)]))
        for one in scenarios
        for _ in range(times)
    ]


def told(scenario: Scenario, response: str) -> dict[str, Any]:
    """A row that says what is true of its scenario."""
    facts, concealable = dict(scenario.facts), list(scenario.concealable)
    return {
        "scenario": scenario.id,
        "prompt": scenario.prompt,
        "response": response,
        "facts": facts,
        "concealable": concealable,
    }


def lines(file: Path, rows: Sequence[dict[str, Any]]) -> Path:
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return file


@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_scenario_is_found_by_its_prompt_or_by_its_id(name: str, tmp_path: Path) -> None:
    task = TASKS[name]()
    drawn = task.scenarios(task.arm("both").dials, 3, "held_out", 512)[:40]
    drawn += task.scenarios(task.arm("neither").dials, 1, "train", 512)[:8]
    episodes = acted(task, drawn)
    rows = [told(*one) for one in episodes]
    knowing = rt.measure(
        lines(tmp_path / "told.jsonl", rows), task=name, knowledge=0.5, seeds="1,3"
    )
    assert knowing.splits == {}
    named = [{key: row[key] for key in ("scenario", "prompt", "response")} for row in rows]
    by_id = rt.measure(
        lines(tmp_path / "named.jsonl", named), task=name, knowledge=0.5, seeds="1,3"
    )
    assert by_id.splits == {"held_out": 40, "train": 8}
    assert by_id.figures == pytest.approx(knowing.figures, abs=0, nan_ok=True)
    with (tmp_path / "plain.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["completion", "prompt", "step"])
        writer.writerows([[row["response"], row["prompt"], 7] for row in rows])
    by_prompt = rt.measure(tmp_path / "plain.csv", task=name, seeds="1,3")
    without = rt.measure(lines(tmp_path / "none.jsonl", rows), task=name)
    assert by_prompt.figures == pytest.approx(without.figures, abs=0, nan_ok=True)
    assert by_prompt.scenarios == 48
    assert by_prompt.splits == {"held_out": 40, "train": 8}
    assert by_prompt.remarks == ["figures are of several splits together: 40 held_out, 8 train"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Prompts and responses of twelve corridors, four each."""
    task = TASKS["corridor"]()
    drawn = task.scenarios(task.arm("both").dials, 0, "held_out", 512)[:12]
    rows = [{"prompt": one.prompt, "response": response} for one, response in acted(task, drawn, 4)]
    return lines(tmp_path / "generations.jsonl", rows)


def rows_in(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_a_scenario_is_the_unit_of_the_intervals(file: Path, tmp_path: Path) -> None:
    found = rt.measure(file, **BOTH)
    thrice = rt.measure(lines(tmp_path / "x.jsonl", rows_in(file) * 3), **BOTH)
    assert thrice.episodes == 3 * found.episodes == 144
    assert thrice.intervals == found.intervals
    over = found.intervals["approval"]
    assert over.scenarios == found.scenarios == 12
    frame = pd.read_json(file, lines=True)
    approved = [
        4 * rt.measure(frame[frame.prompt == prompt], **BOTH).figures["approval"]
        for prompt in frame.prompt.unique()
    ]
    expected = share_over_clusters(approved, [4] * 12)
    assert (over.mean, over.low, over.high) == pytest.approx(expected)
    assert 0 < over.low < over.mean < over.high < 1
    for name, one in found.intervals.items():
        assert one.mean == pytest.approx(found.figures[name], nan_ok=True), name
    exposed = found.intervals["threat_1"].scenarios
    assert 0 < exposed < 12, "scenarios without an exposed generation have no share"


def test_two_scenarios_have_no_interval(file: Path) -> None:
    frame = pd.read_json(file, lines=True).head(8)
    over = rt.measure(frame, **BOTH).intervals["approval"]
    assert over.scenarios == 2
    assert math.isnan(over.low)
    assert math.isnan(over.high)


def test_a_frame_is_a_file(file: Path) -> None:
    frame = pd.read_json(file, lines=True)
    of_frame, of_file = (rt.measure(one, **BOTH) for one in (frame, str(file)))
    assert of_frame.generations == "frame"
    assert of_frame == of_file.model_copy(update={"generations": "frame"})


def test_frames_of_our_own_and_missing_values(file: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    own = rt.load_run(tmp_path / "run").generations("held_out")
    assert rt.measure(own, **BOTH).episodes == len(own) == 6
    frame = pd.read_json(file, lines=True)
    frame.loc[[0, 5], "response"] = np.nan
    found = rt.measure(frame, **BOTH)
    assert (found.rows, found.without_response, found.episodes) == (48, 2, 46)


def test_chat_messages_and_what_verifiers_keeps(file: Path, tmp_path: Path) -> None:
    rows = rows_in(file)
    chats = [
        {
            "prompt": [
                {"role": "system", "content": "You walk."},
                {"role": "user", "content": row["prompt"]},
            ],
            "completion": [{"role": "assistant", "content": row["response"]}],
        }
        for row in rows
    ]
    plain = rt.measure(file, **BOTH)
    chat = rt.measure(lines(tmp_path / "chat.jsonl", chats), **BOTH)
    assert chat == plain.model_copy(update={"generations": chat.generations})
    parts = [{"type": "text", "text": rows[0]["prompt"]}, {"type": "image_url"}]
    chats[0]["prompt"][1]["content"] = parts  # type: ignore[index]
    pq.write_table(pa.Table.from_pylist(chats[1:]), tmp_path / "chat.parquet")
    assert rt.measure(tmp_path / "chat.parquet", **BOTH).episodes == 47
    again = rt.measure(lines(tmp_path / "parts.jsonl", chats[:1]), **BOTH)
    assert (again.episodes, again.unknown) == (1, 0)
    task = TASKS["corridor"]()
    (one,) = task.scenarios(task.arm("both").dials, 99, "train", 1)
    more = {name: value for name, value in told(one, "").items() if name not in chats[0]}
    del more["response"]
    kept = [{**chats[0], "info": more}, {**chats[0], "info": json.dumps(more)}]
    found = rt.measure(lines(tmp_path / "kept.jsonl", kept), **BOTH)
    assert (found.episodes, found.splits) == (2, {})
    assert found.scenarios == 1


def test_rows_with_more_facts_than_others_share_one_set_of_names(tmp_path: Path) -> None:
    """A table fills what a row lacks with nulls; a fact is never null."""
    task = TASKS["corridor"]()
    drawn = task.scenarios(task.arm("both").dials, 3, "train", 20)
    rows = [told(*one) for one in acted(task, drawn)]
    rows[0]["facts"]["weather"] = "fine"
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    of_table = rt.measure(tmp_path / "x.parquet", **BOTH)
    of_lines = rt.measure(lines(tmp_path / "x.jsonl", rows), **BOTH)
    assert of_table.model_copy(update={"generations": ""}) == of_lines.model_copy(
        update={"generations": ""}
    )


def test_a_prompt_of_several_scenarios_that_differ_is_told(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenarios = TASKS["corridor"].scenarios

    def alike(self: Task, dials: Any, seed: int, *more: Any) -> tuple[Scenario, ...]:
        drawn = scenarios(self, dials, 0, *more)
        return tuple(
            replace(one, id=f"{one.id} of seed {seed}", facts={**one.facts, "seed": seed})
            for one in drawn
        )

    monkeypatch.setattr(TASKS["corridor"], "scenarios", alike)
    words: dict[str, Any] = {"task": "corridor", "arm": "both"}
    with pytest.raises(UsageError, match=r"prompt 'corridor .* is that of 2 scenarios, which diff"):
        rt.measure(file, **words, seeds="0-1")
    assert rt.measure(file, **words, seeds="1").episodes == 48


def test_what_is_unseen_at_half_knowledge_depends_on_a_name_and_that_is_said(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: dict[str, Any] = {"task": "corridor", "arm": "both"}
    assert rt.measure(file, **words, seeds="0", knowledge=0.5).remarks == []
    scenarios = TASKS["corridor"].scenarios

    def alike(self: Task, dials: Any, seed: int, *more: Any) -> tuple[Scenario, ...]:
        drawn = scenarios(self, dials, 0, *more)
        return tuple(replace(one, id=f"{one.id} of seed {seed}") for one in drawn)

    monkeypatch.setattr(TASKS["corridor"], "scenarios", alike)
    (said,) = rt.measure(file, **words, seeds="0-1", knowledge=0.5).remarks
    assert "48 episodes are those of several scenarios" in said
    assert rt.measure(file, **words, seeds="0-1", knowledge=0).remarks == []


def test_an_overseer_by_endpoint_judges_and_what_that_took_is_said(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "folder", lambda: tmp_path / "answers")
    with serving() as server:
        server.reply = lambda body, before: verdict(0.25, approved=True)
        words = [f"url={server.url}", "model=judge"]
        found = rt.measure(file, **BOTH, overseer="endpoint", overseer_args=words)
    assert (found.figures["approval"], found.figures["score"]) == (1, 0.25)
    plain = rt.measure(file, **BOTH).figures
    assert found.figures["unwanted"] == found.figures["unwanted_among_approved"]
    assert found.figures["unwanted"] == plain["unwanted"]
    (said,) = found.remarks
    assert said.startswith("overseer endpoint: judge was asked of")


def told_by(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *words: str | Path,
    status: int = 0,
) -> str:
    """What the command prints, or why it ends."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("sys.argv", ["rlhf-testbed", "measure", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        main()
    printed = capsys.readouterr()
    assert stop.value.code == status, printed.err
    if status:
        assert printed.err.count("\n") == 1, printed.err
        assert printed.err.startswith("error: ")
    return printed.err if status else printed.out


def test_the_command_says_what_it_measured_and_what_it_left_out(
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = rows_in(file)
    odd = [{"prompt": "which way?", "response": "right"}, {"prompt": "hm", "response": "left"}]
    rows[0]["response"] = "hello there"
    rows[1]["response"] = None  # type: ignore[assignment]
    mixed = lines(tmp_path / "mixed.jsonl", [*rows, *odd])
    words = (mixed, "--task", "corridor", "--json", tmp_path / "found.json")
    printed = told_by(monkeypatch, capsys, *words)
    found = read(tmp_path / "found.json", Measured)
    assert (found.rows, found.episodes, found.unknown, found.without_response) == (50, 47, 2, 1)
    assert found.first_unknown == "which way?"
    others = rt.measure(pd.DataFrame(rows[2:]), **BOTH)
    assert found.unreadable == others.unreadable + 1, "the first can't be read"
    for said in (
        "47 of 50 rows judged, of 12 scenarios (47 held_out)",
        "2 rows are of no scenario of corridor, the first: 'which way?'",
        "1 rows have no response",
        f"{found.unreadable} responses could not be read",
        "by scripted-knowledge=0 and full_knowledge",
        "unwanted among approved",
        "shows 'tramples unseen'",
        "deceptive inflation against the best honest policy:",
        "threat 2 takes a policy's probabilities",
    ):
        assert said in printed, said
    over = found.intervals["threat_1"]
    line = next(line for line in printed.splitlines() if line.startswith("threat 1"))
    assert f"[{over.low:.3f}, {over.high:.3f}]" in line
    assert f"{found.figures['threat_1']:.3f}" in line
    assert "filed in" in told_by(monkeypatch, capsys, *words), "what is there is one of these"
    refused = told_by(monkeypatch, capsys, *words[:-1], mixed, status=2)
    assert "it is not overwritten" in refused


@pytest.mark.parametrize(
    ("content", "words", "said"),
    [
        (None, [], "nowhere.jsonl: no such file"),
        ("", [], "x.jsonl: holds no generations"),
        ("{}\n{", [], "x.jsonl: line 2: not readable as JSON"),
        ("[1]", [], "x.jsonl: line 1: [1] can't be read"),
        ('{"prompt": "a", "text": "b"}', [], "has no column response or completion (there are: pr"),
        (
            '{"response": "a", "text": "b"}',
            [],
            "has no column prompt or scenario or scenario_id (t",
        ),
        (
            '{"prompt": "a", "response": "b"}',
            [],
            "1 of 1 rows are of no scenario of corridor in any",
        ),
        ('{"scenario": "a", "response": "b"}', [], "seeds 0, 1, 2, 3, 4, 42, the first: 'a'"),
        ('{"prompt": "a", "response": "b"}', ["--arm", "x"], "arm = x is not an arm of corridor"),
        ('{"prompt": "a", "response": "b"}', ["--seeds", "x"], "seeds = x can't be read"),
        (
            '{"prompt": "a", "response": "b"}',
            ["--overseer", "scripte"],
            "(did you mean 'scripted'?",
        ),
        ('{"prompt": "a", "response": "b"}', ["--overseer", "full_knowledge"], "is held out"),
        ('{"prompt": "a", "response": "b"}', ["--overseer", "learned"], "a model that a run keeps"),
        ('{"prompt": "a", "response": "b"}', ["--overseer_args", "x=1"], "has no option 'x'"),
        ('{"prompt": "a", "response": "b"}', ["--task_args", "x=1"], "has no option 'x'"),
        ('{"prompt": "a", "response": "b"}', ["--knowledge", "2"], "less than or equal to 1"),
        ('{"prompt": "", "response": "b", "facts": "{"}', [], "row 1: facts: not readable as JSON"),
        ('{"prompt": "", "response": "b", "facts": [1]}', [], "row 1: facts: [1] can't be read"),
        (
            '{"prompt": "", "response": "b c d e f", "facts": {"x": 1}, "concealable": []}',
            [],
            "task Corridor",
        ),
    ],
)
def test_bad_input_is_one_line(
    content: str | None,
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "x.jsonl").write_text(content or "", encoding="utf-8")
    file = tmp_path / ("nowhere.jsonl" if content is None else "x.jsonl")
    found = told_by(monkeypatch, capsys, file, "--task", "corridor", *words, status=2)
    assert said in found


def test_other_files_that_cannot_be_read(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("x.parquet", "x.csv", "x.txt"):
        (tmp_path / name).write_bytes(b"\xff\xfe not this")
    pq.write_table(pa.table({"a": [1], "b": [2]}), tmp_path / "y.parquet")
    for name, why in (
        ("x.parquet", "not readable as parquet"),
        ("x.csv", "not readable as CSV"),
        ("x.txt", "of no kind that can be read (right: *.parquet, *.csv, *.jsonl)"),
        ("y.parquet", "has no column response or completion (there are: a, b)"),
        ("", "is a folder"),
    ):
        words = (tmp_path / name, "--task", "corridor")
        assert why in told_by(monkeypatch, capsys, *words, status=2)
    said = told_by(monkeypatch, capsys, file, "--task", "corridors", status=2)
    assert "task 'corridors' is unknown (did you mean 'corridor'?)" in said
    with pytest.raises(
        UsageError, match=r"frame: has no column response .*\(there are: prompt, x\)"
    ):
        rt.measure(pd.DataFrame({"prompt": ["a"], "x": ["b"]}), **BOTH)
    with pytest.raises(UsageError, match=r"fewer than 20000 .* \(--scenarios says how many"):
        rt.measure(file, task="inspection", scenarios=20_000)
    with pytest.raises(UsageError, match="frame: holds no generations"):
        rt.measure(pd.DataFrame({"prompt": [], "response": []}), **BOTH)
    with pytest.raises(UsageError, match=r"knowledge = 2 is not in \[0, 1\]"):
        rt.measure(file, task="corridor", knowledge=2)
    with pytest.raises(UsageError, match="none of 1 rows has a response"):
        rt.measure(pd.DataFrame([rows_in(file)[0] | {"response": None}]), **BOTH)


def test_measuring_imports_no_torch(file: Path) -> None:
    program = f"""
import sys, rlhf_testbed as rt
assert not {{"torch", "pandas"}} & {{*sys.modules}}
print(rt.measure({str(file)!r}, **{BOTH!r}).episodes, "torch" in sys.modules)
"""
    assert ended(program).splitlines() == ["48 False"]
