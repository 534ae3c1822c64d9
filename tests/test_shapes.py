"""Files of other versions are refused by name, and those that were published can be read."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rlhf_testbed import shapes
from rlhf_testbed.errors import UsageError
from rlhf_testbed.report import contents, figures
from rlhf_testbed.report.page import write_report
from rlhf_testbed.report.sources import Source
from scripted_runs import write_experiment, write_results

PUBLISHED = sorted(Path(__file__).parent.parent.glob("docs/results/*/results.json"))
EVALUATION = "both/seed-0/evaluation/full_knowledge"
FILES = {
    "results.json": shapes.RESULTS,
    f"{EVALUATION}/measures.json": shapes.MEASURES,
    f"{EVALUATION}/selection.json": shapes.SELECTION,
    f"{EVALUATION}/trajectory.json": shapes.TRAJECTORY,
    f"{EVALUATION}/proxy_and_gold.json": shapes.PROXY_AND_GOLD,
    "both/seed-0/finished.json": shapes.FINISHED,
}


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(figures, "save", lambda figure, folder: [])
    folder = write_experiment(tmp_path / "x", arms=("neither", "both"), seeds=(0, 1), updates=2)
    write_results(folder)
    return folder


@pytest.mark.parametrize("file", PUBLISHED, ids=lambda file: file.parent.name)
def test_published_results_can_be_read(file: Path) -> None:
    assert shapes.read_json(file, shapes.RESULTS)["arms"]


def _required(shape: Any, content: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of everything that a shape requires, once in each kind of place."""
    if "anyOf" in shape:
        shape = shape["anyOf"][-1]
    if isinstance(content, list) and "items" in shape:
        yield from _required(shape["items"], content[0], (*at, 0)) if content else ()
    elif isinstance(content, dict):
        named = shape.get("properties", {})
        for name in shape.get("required", []):
            yield (*at, name)
        for name, inner in named.items():
            if name in content:
                yield from _required(inner, content[name], (*at, name))
        more = shape.get("additionalProperties")
        rest = [name for name in content if name not in named]
        if isinstance(more, dict) and rest:
            yield from _required(more, content[rest[0]], (*at, rest[0]))


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_lacks_what_it_must_have_is_refused(name: str, experiment: Path) -> None:
    content = shapes.read_json(experiment / name, FILES[name])
    places = list(_required(FILES[name], content))
    assert places
    for place in places:
        changed = copy.deepcopy(content)
        holder: Any = changed
        for step in place[:-1]:
            holder = holder[step]
        del holder[place[-1]]
        (experiment / name).write_text(json.dumps(changed))
        with pytest.raises(UsageError, match=f"{name}: damaged, or from another version") as told:
            shapes.read_json(experiment / name, FILES[name])
        assert f"'{place[-1]}'" in str(told.value)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", [name for name in FILES if "finished" not in name])
@pytest.mark.parametrize("text", ["", "[]", '{"training": {"points": 3}}'])
def test_a_report_leaves_out_what_cannot_be_read_and_says_so(
    name: str, text: str, experiment: Path
) -> None:
    (experiment / name).write_text(text)
    source = Source.of(experiment)
    (lack,) = (lack for lack in source.missing if f"{experiment / name}: damaged" in lack.why)
    assert lack.command
    assert contents.verdicts(source)
    assert contents.pictures(source, ())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must be a mapping of settings"),
        ("a: [", "not readable as YAML"),
        ("task: corridor\nseed: x\n", "damaged, or from another version"),
        ("task: 3\n", "damaged, or from another version"),
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
