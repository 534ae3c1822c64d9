"""docs/tutorial.ipynb runs from the first cell to the last, and is kept without outputs."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from scripted_runs import write_experiment, write_results
from test_words import ROOT, faults

NOTEBOOK = ROOT / "docs/tutorial.ipynb"


def cells(kind: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(NOTEBOOK, 4).cells if cell.cell_type == kind]


def test_it_is_kept_without_outputs_and_in_the_words_of_the_project() -> None:
    nbformat.validate(nbformat.read(NOTEBOOK, 4))
    assert len(cells("code")) > 8
    for cell in cells("code"):
        assert cell.outputs == []
        assert cell.execution_count is None
    assert not faults("\n".join(cell.source for cell in cells("markdown")))


@pytest.mark.slow
def test_it_runs_on_an_experiment_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = ("both", "neither")
    folder = write_experiment(tmp_path / "x", arms, (0, 1, 2))
    write_results(folder)
    monkeypatch.setenv("RLHF_TESTBED_RUNS", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(NOTEBOOK, 4)
    NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(NOTEBOOK.parent)}},
    ).execute()
    ran = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in ran] == list(range(1, len(ran) + 1))
    shown = {
        kind: data
        for cell in ran
        for output in cell.outputs
        for kind, data in output.get("data", {}).items()
        if not kind.startswith("text/plain")
    }
    assert "text/html" in shown
    said = json.dumps([cell.outputs for cell in ran])
    for arm in arms:
        assert arm in said
    assert "threat 1: unwanted yet approved" in said
    assert "held_out  threat 1, sampled: " in said
    assert "nan" not in said.partition("held_out  threat 1, sampled: ")[2][:6]
