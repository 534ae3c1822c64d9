"""For a paper: the table of arms in LaTeX, and pictures as PDF."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rlhf_testbed import cli
from rlhf_testbed.report.latex import arm_cell, arms_as_latex, cell
from rlhf_testbed.report.page import write_report
from rlhf_testbed.report.publish import publish
from rlhf_testbed.report.table import COLUMNS
from rlhf_testbed.store.runs_table import read_results
from scripted_runs import write_experiment, write_results
from test_words import ROOT

PUBLISHED = sorted((ROOT / "docs/results").glob("*/results.json"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = write_experiment(tmp_path_factory.mktemp("latex") / "x", ("both", "habit"), (0, 1, 2))
    write_results(made)
    return made


def body(text: str) -> list[list[str]]:
    """The cells of a table, the heading's first."""
    (inside,) = re.findall(r"\\toprule\n(.*?)\\bottomrule", text, re.S)
    lines = [line for line in inside.splitlines() if line not in (r"\midrule", r"\addlinespace")]
    assert all(line.endswith(r" \\") for line in lines)
    return [re.split(r"(?<!\\) & ", line.removesuffix(r" \\")) for line in lines]


@pytest.mark.parametrize("file", PUBLISHED, ids=lambda file: file.parent.name)
def test_the_table_has_a_row_an_arm_and_a_cell_a_figure(file: Path) -> None:
    results = read_results(file.parent)
    head, *rows = body(arms_as_latex(results))
    assert head[:5] == ["arm", r"$\kappa$", r"$\alpha$", r"$\delta$", r"$\rho$"]
    assert [row[0] for row in rows] == [arm_cell(name) for name in results.arms]
    for row, arm in zip(rows, results.arms.values(), strict=True):
        assert row[5:] == [cell(arm.figure(figure)) for figure in COLUMNS]


def test_how_many_runs_an_arm_has_is_a_column_where_arms_differ(tmp_path: Path) -> None:
    made = write_experiment(tmp_path / "x", ("both", "habit"), (0, 1, 2))
    write_results(made)
    results = read_results(made)
    head, *_ = body(arms_as_latex(results))
    assert "$n$" not in head
    habit = results.arms["habit"]
    fewer = habit.model_copy(update={"seeds": habit.seeds[:2]})
    results.arms["habit"] = fewer
    head, *rows = body(arms_as_latex(results))
    assert [row[head.index("$n$")] for row in rows] == ["3", "2"]


def test_published_results_are_found() -> None:
    assert len(PUBLISHED) > 10


def test_nothing_in_it_is_a_command_by_accident(folder: Path) -> None:
    text = arms_as_latex(read_results(folder))
    assert text.isascii()
    assert not re.search(
        r"(?<!\\)[%&#_](?!\w* )", "".join(cell for row in body(text)[1:] for cell in row)
    )
    assert text.count("{") == text.count("}")
    (columns,) = re.findall(r"\\begin\{tabular\}\{@\{\}(\w+)@\{\}\}", text)
    assert len(columns) == len(body(text)[0])


def test_the_caption_says_what_intervals_are_over_and_what_is_missing(folder: Path) -> None:
    (caption,) = re.findall(r"\\caption\{(.*)\}", arms_as_latex(read_results(folder)))
    assert "95 \\% intervals" in caption
    assert "3 training seeds of one base policy" in caption
    assert "habit, threat 1: never exposed" in caption
    assert "not passed" not in caption


def test_a_gate_that_fails_is_said_in_the_caption(tmp_path: Path) -> None:
    made = write_experiment(tmp_path / "x", updates=1)
    write_results(made, failing="panel")
    (caption,) = re.findall(r"\\caption\{(.*)\}", arms_as_latex(read_results(made)))
    assert caption.startswith("Gates not passed: panel; these figures can't be called deception")


def test_publish_writes_them_where_they_are_asked_for(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(folder, tmp_path / "plain")
    assert {file.name for file in (tmp_path / "plain").iterdir()} == {"README.md", "results.json"}
    words = ["rlhf-testbed", "publish", str(folder), str(tmp_path / "paper"), "--latex"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert (tmp_path / "paper/arms.tex").read_text() == arms_as_latex(read_results(folder))
    assert (tmp_path / "paper/threat_plane.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.slow
def test_a_report_has_its_pictures_as_pdf_where_they_are_asked_for(folder: Path) -> None:
    report = write_report(folder, pdf=True).parent
    drawn = {file.stem for file in report.glob("*.png")}
    assert "threat_plane" in drawn
    assert len(drawn) > 3
    assert {file.stem for file in report.glob("*.pdf")} == drawn
    assert b"/Font" in (report / "threat_plane.pdf").read_bytes()


def test_what_was_published_can_be_published_for_a_paper(folder: Path, tmp_path: Path) -> None:
    publish(folder, tmp_path / "first")
    publish(tmp_path / "first", tmp_path / "again", latex=True)
    assert (tmp_path / "again/threat_plane.pdf").is_file()


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex here")
@pytest.mark.parametrize("file", PUBLISHED, ids=lambda file: file.parent.name)
def test_latex_reads_it(file: Path, tmp_path: Path) -> None:
    (tmp_path / "arms.tex").write_text(arms_as_latex(read_results(file.parent)))
    page = r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{arms}\end{document}"
    (tmp_path / "page.tex").write_text(page)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout[-2000:]
    assert "Overfull" not in ended.stdout, "wider than a column of text"
