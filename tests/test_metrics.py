"""docs/METRICS.md: current, and with a definition of every figure that code files."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from rlhf_testbed.evaluation.checkpoints import CURVES
from rlhf_testbed.evaluation.definitions import RUN_MEASURES, definition
from rlhf_testbed.evaluation.episode_measures import EPISODE_MEASURES, Definition
from rlhf_testbed.evaluation.goals import GOAL_MEASURES
from rlhf_testbed.evaluation.measured import MEASURED_MEASURES
from rlhf_testbed.report.metrics import TABLES, main, table, written
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.record import Interval, Record
from rlhf_testbed.store import (
    comparison_records,
    experiment_records,
    measured_records,
    run_records,
)
from test_words import ROOT

PAGE = ROOT / "docs/METRICS.md"
FIGURES = (EPISODE_MEASURES, GOAL_MEASURES, RUN_MEASURES, MEASURED_MEASURES)
NUMBERS = (bool, float, int, Interval)
"""A field that holds one of these, alone or in a list or by name, is a figure."""


def named(text: str) -> set[str]:
    """The names that stand in code spans."""
    spans = re.findall(r"`([^`\n]+)`", text)
    return {name for span in spans for name in re.findall(r"\w+", span)}


def figures_of(module: ModuleType) -> Iterator[str]:
    """`Record.field` of every field of the module's records that is a figure."""
    for kind in vars(module).values():
        if isinstance(kind, type) and issubclass(kind, Record) and kind is not Record:
            for name, field in kind.model_fields.items():
                if any(part in NUMBERS for part in parts(field.annotation)):
                    yield f"{kind.__name__}.{name}"


def parts(annotation: object) -> Iterator[object]:
    """A type, and the types that it is made of."""
    yield annotation
    for inner in typing.get_args(annotation):
        yield from parts(inner)


def test_the_page_is_current() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert written(text) == text, "run: python -m rlhf_testbed.report.metrics"


def test_every_table_of_figures_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for figures in FIGURES:
        assert figures
        assert all(f"\n| `{name}` | " in text for name in figures)


@pytest.mark.parametrize(
    "module",
    [run_records, experiment_records, comparison_records, measured_records],
    ids=lambda m: m.__name__,
)
def test_every_figure_of_a_record_is_on_the_page(module: ModuleType) -> None:
    known = named(PAGE.read_text(encoding="utf-8"))
    found = list(figures_of(module))
    assert len(found) > 10
    assert [each for each in found if each.partition(".")[2] not in known] == []


def test_what_counts_as_a_figure() -> None:
    found = {*figures_of(run_records), *figures_of(experiment_records)}
    wanted = {"Heritability.low", "Measures.figures", "OverOptimisation.until", "Took.minutes"}
    wanted |= {"InflationVerdict.overjustification", "ArmResults.figures", "OverseerWorth.ties"}
    assert wanted <= found
    assert not {"JudgedBy.overseer", "Gate.detail", "Curve.reason"} & found


def test_a_figure_without_a_definition_is_caught() -> None:
    assert named("see `traits.gradient`, not the gap") == {"traits", "gradient"}
    with pytest.raises(KeyError, match="has no definition"):
        definition("threat_3")


def test_every_curve_has_an_onset_with_a_definition() -> None:
    assert {f"onset_{curve}" for curve in CURVES} <= RUN_MEASURES.keys()
    for curve in CURVES:
        assert curve in {**EPISODE_MEASURES, **GOAL_MEASURES}


def test_every_definition_says_something() -> None:
    every = [one for figures in TABLES.values() for one in figures.values()]
    assert len(every) == sum(map(len, FIGURES))
    assert all(one.words and one.interval_told for one in every)


def test_the_rows_are_written_between_the_marks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = PAGE.read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith("| `threat_1` |"))
    page = tmp_path / "page.md"
    page.write_text(text.replace(f"{row}\n", "| `threat_1` | an old definition |\n"))
    main(page)
    assert page.read_text(encoding="utf-8") == text
    assert capsys.readouterr().out == f"written: {page}\n"


def test_a_page_without_marks_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="lacks the marks of the episode measures"):
        written("# Figures\n")
    page = tmp_path / "page.md"
    page.write_text("# Figures\n")
    with pytest.raises(SystemExit) as ended:
        main(page)
    assert ended.value.code == 2
    assert page.read_text() == "# Figures\n"


def test_a_bar_in_a_definition_stays_in_its_cell() -> None:
    shown = table({"x": Definition("share", "P(a|b)")})
    assert shown.splitlines()[-1] == r"| `x` | share | beta-binomial | P(a\|b) |  |"
