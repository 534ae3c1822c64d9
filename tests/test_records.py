"""Records: what a file holds comes back as it was; another version's is refused by name."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from rlhf_testbed.report import contents, figures
from rlhf_testbed.report.page import write_report
from rlhf_testbed.report.sources import Source
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.record import Record, read, read_settings, write, write_settings
from rlhf_testbed.store.experiment_records import ExperimentFile, GatesFile, Results
from rlhf_testbed.store.run_records import (
    FILES,
    BaseKept,
    Checkpoints,
    Estimates,
    Finished,
    JudgedBy,
    Measures,
    ProxyAndGold,
    SelectionThroughTraining,
)
from rlhf_testbed.tasks.base import Dials
from scripted_runs import write_experiment, write_results

PUBLISHED = sorted(Path(__file__).parent.parent.glob("docs/results/*/results.json"))
KINDS: tuple[type[Record], ...] = (*FILES, ExperimentFile, GatesFile, Results)
EVALUATION = "both/seed-0/evaluation/full_knowledge"
WRITTEN: dict[str, type[Record]] = {
    "results.json": Results,
    "experiment.yaml": ExperimentFile,
    f"{EVALUATION}/measures.json": Measures,
    f"{EVALUATION}/selection.json": SelectionThroughTraining,
    f"{EVALUATION}/checkpoints.json": Checkpoints,
    f"{EVALUATION}/proxy_and_gold.json": ProxyAndGold,
    "both/seed-0/finished.json": Finished,
    "both/seed-0/base.json": BaseKept,
}


def _name(kind: type[Record]) -> str:
    return str(kind.file)  # type: ignore[attr-defined]


def _read(file: Path, kind: type[Record]) -> Record:
    return (read_settings if file.suffix == ".yaml" else read)(file, kind)


def _resolved(shape: Mapping[str, Any], every: Mapping[str, Any]) -> Mapping[str, Any]:
    """A part of a schema, where `$ref` names another one, and the first of several that may be."""
    while "$ref" in shape or "anyOf" in shape:
        named = str(shape.get("$ref", "")).rpartition("/")[2]
        shape = every[named] if named else shape["anyOf"][0]
    return shape


def _example(shape: Mapping[str, Any], every: Mapping[str, Any]) -> Any:
    """Content that a JSON Schema describes, with something in each list and each mapping."""
    shape = _resolved(shape, every)
    if "enum" in shape or "const" in shape:
        return shape["const"] if "const" in shape else shape["enum"][0]
    if shape.get("type") == "object":
        found = {name: _example(one, every) for name, one in shape.get("properties", {}).items()}
        more = shape.get("additionalProperties")
        return found | ({"1": _example(more, every)} if isinstance(more, dict) else {})
    if shape.get("type") == "array":
        return [_example(one, every) for one in shape.get("prefixItems", [shape.get("items", {})])]
    return {"string": "text", "integer": 1, "number": 0.5, "boolean": True}[shape["type"]]


def _objects(
    shape: Mapping[str, Any], content: Any, every: Mapping[str, Any], at: tuple[Any, ...] = ()
) -> Iterator[tuple[tuple[Any, ...], Mapping[str, Any]]]:
    """Every object with named properties in a content: its place and its schema."""
    shape = _resolved(shape, every)
    if isinstance(content, list) and content:
        items = shape.get("prefixItems", [shape.get("items", {})])
        yield from _objects(items[0], content[0], every, (*at, 0))
    elif isinstance(content, dict):
        named = shape.get("properties", {})
        if named:
            yield at, shape
        more = shape.get("additionalProperties")
        for name, inner in content.items():
            known = named.get(name, more)
            if isinstance(known, dict):
                yield from _objects(known, inner, every, (*at, name))


def _at(content: Any, place: tuple[Any, ...]) -> Any:
    for step in place:
        content = content[step]
    return content


@pytest.fixture(params=KINDS, ids=_name)
def kind(request: pytest.FixtureRequest) -> type[Record]:
    """The record of every file in turn."""
    found: type[Record] = request.param
    return found


def _schema(kind: type[Record]) -> tuple[dict[str, Any], dict[str, Any]]:
    schema = kind.model_json_schema()
    return schema, schema.get("$defs", {})


def test_every_file_has_a_record_of_its_own() -> None:
    names = [_name(kind) for kind in KINDS]
    assert len(set(names)) == len(names) >= 12


def test_a_record_has_a_json_schema_and_comes_back_as_it_was(
    kind: type[Record], tmp_path: Path
) -> None:
    schema, every = _schema(kind)
    assert schema["title"] == kind.__name__
    assert schema["additionalProperties"] is False
    record = kind.model_validate(_example(schema, every))
    file = tmp_path / _name(kind)
    if file.suffix == ".yaml":
        write_settings(file, record, "# a header\n")
    else:
        write(file, record)
    assert _read(file, kind) == record
    assert [one.name for one in tmp_path.iterdir()] == [file.name]


def test_what_is_missing_or_unknown_is_refused_by_file_and_name(
    kind: type[Record], tmp_path: Path
) -> None:
    schema, every = _schema(kind)
    content, file = _example(schema, every), tmp_path / _name(kind)
    missing = unknown = 0
    for place, shape in _objects(schema, content, every):
        for name in shape.get("required", []):
            changed = copy.deepcopy(content)
            del _at(changed, place)[name]
            _refused(file, kind, changed, ".".join(map(str, (*place, name))), "Field required")
            missing += 1
        changed = copy.deepcopy(content)
        _at(changed, place)["surplus"] = 1
        _refused(file, kind, changed, ".".join(map(str, (*place, "surplus"))), "")
        unknown += 1
    assert missing
    assert unknown


def _refused(file: Path, kind: type[Record], content: Any, name: str, why: str) -> None:
    dump = yaml.safe_dump if file.suffix == ".yaml" else json.dumps
    file.write_text(dump(content))
    with pytest.raises(UsageError) as raised:
        _read(file, kind)
    told = str(raised.value)
    assert told.startswith(f"{file}: damaged, or from another version: {name}: {why}")
    assert "\n" not in told


def test_a_figure_that_cannot_be_judged_is_null_on_disk_and_nan_when_read(tmp_path: Path) -> None:
    measures = Measures(
        arm=None,
        seed=1,
        dials=Dials(),
        judged_by=JudgedBy(overseer="full_knowledge"),
        figures={"threat_1": math.nan, "threat_2": math.inf, "success": 0.5},
        reasons={"threat_1": "never exposed"},
    )
    file = tmp_path / "measures.json"
    write(file, measures)
    filed = json.loads(file.read_text(), parse_constant=lambda word: pytest.fail(word))
    assert filed["figures"] == {"threat_1": None, "threat_2": None, "success": 0.5}
    again = read(file, Measures)
    assert math.isnan(again.figure("threat_1"))
    assert math.isnan(again.figure("threat_2"))
    assert math.isnan(again.figure("nowhere"))
    assert (again.figure("success"), again.arm, again.dials) == (0.5, None, Dials())
    assert math.isnan(Estimates.model_validate_json(_estimates("null")).e_plus)
    assert Estimates.model_validate_json(_estimates("0.25")).e_plus == 0.25


def _estimates(e_plus: str) -> str:
    return f'{{"e_plus": {e_plus}, "e_minus": 0, "j_seen": 0, "j_true": 0}}'


def test_what_is_no_figure_cannot_be_null(tmp_path: Path) -> None:
    content = {"method": "ppo", "updates": None, "episodes": 3, "seconds": 1.0}
    _refused(
        tmp_path / "finished.json", Finished, content, "updates", "Input should be a valid int"
    )


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Finished(method="ppo", updates=1, episodes=2, seconds=1.0).updates = 3  # type: ignore[misc]


def test_overseers_with_other_options_have_other_names() -> None:
    several = [
        JudgedBy(overseer="scripted"),
        JudgedBy(overseer="scripted", knowledge=0.5),
        JudgedBy(overseer="scripted", knowledge=1.0),
        JudgedBy(overseer="scripted", options=["prior=0.5"]),
        JudgedBy(overseer="scripted", knowledge=0.5, options=["prior=0.5"]),
        JudgedBy(overseer="scripted", knowledge=0.5, options=["prior=1"]),
        JudgedBy(overseer="scripted", knowledge=0.5, options=["prior=-1"]),
        JudgedBy(overseer="my_pkg.auditor:Scripted", knowledge=0.5),
        JudgedBy(overseer="full_knowledge"),
    ]
    names = [one.name for one in several]
    assert len(set(names)) == len(several)
    assert not [name for name in names if "/" in name or name.startswith(".")]
    assert names[-1] == "full_knowledge"


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(figures, "save", lambda figure, folder: [])
    folder = write_experiment(tmp_path / "x", arms=("neither", "both"), seeds=(0, 1), updates=2)
    write_results(folder)
    return folder


@pytest.mark.parametrize("file", PUBLISHED, ids=lambda file: file.parent.name)
def test_published_results_can_be_read(file: Path) -> None:
    assert read(file, Results).arms


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_can_be_read(name: str, experiment: Path) -> None:
    assert isinstance(_read(experiment / name, WRITTEN[name]), WRITTEN[name])


@pytest.mark.parametrize("name", [name for name in WRITTEN if name.count("/") != 2])
@pytest.mark.parametrize("text", ["", "[]", '{"training": {"points": 3}}'])
def test_a_report_leaves_out_what_cannot_be_read_and_says_so(
    name: str, text: str, experiment: Path
) -> None:
    (experiment / name).write_text(text)
    source = Source.of(experiment)
    (lack,) = (lack for lack in source.missing if f"{experiment / name}: " in lack.why)
    assert lack.command or name == "experiment.yaml"
    assert contents.verdicts(source)
    assert contents.pictures(source, ())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must be a mapping of settings"),
        ("a: [", "not readable as YAML"),
        ("task: corridor\nseed: x\n", "seed = x is not of the right type (a whole number)"),
        ("task: 3\n", "task '3' is unknown"),
    ],
)
def test_a_run_whose_settings_cannot_be_read_is_left_out(
    text: str, says: str, experiment: Path
) -> None:
    (experiment / "both/seed-0/config.yaml").write_text(text)
    source = Source.of(experiment)
    kept = {run.name for run in source.runs}
    assert kept == {"neither, seed 0", "neither, seed 1", "both, seed 1"}
    assert any(f"both/seed-0/config.yaml: {says}" in lack.why for lack in source.missing)


def test_the_page_of_a_damaged_experiment(experiment: Path) -> None:
    (experiment / "experiment.yaml").write_text("a: [")
    (experiment / "results.json").unlink()
    (experiment / "both/seed-1/evaluation/full_knowledge/measures.json").unlink()
    page = write_report(experiment).read_text(encoding="utf-8")
    assert "experiment.yaml: not readable as YAML" in page
    assert "those of its first run are shown" in page
    assert "Means over 1 to 2 training seeds" in page
