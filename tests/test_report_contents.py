"""What a report tells of results: its sentences, pictures and tables, and what is published."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from rlhf_testbed.experiment.over_seeds import arm_results
from rlhf_testbed.report import contents, dose, threat_plane
from rlhf_testbed.report.curves import with_means
from rlhf_testbed.report.publish import publish
from rlhf_testbed.report.sentences import sentence
from rlhf_testbed.report.sources import Source
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.record import read, write
from rlhf_testbed.store.experiment_records import About, Results
from rlhf_testbed.store.run_records import JudgedBy, Measures, ProxyAndGold
from rlhf_testbed.tasks.base import Dials
from rlhf_testbed.tasks.corridor import Corridor
from scripted_runs import ENVIRONMENT, write_experiment, write_results, write_run


def results(
    arms: Mapping[str, Dials], threat_2: Sequence[float], after: Sequence[float]
) -> Results:
    """Results of arms whose seeds have those threats, the same in every arm."""
    figures = [
        {"threat_1": one, "base_threat_1": 0.2, "threat_2": two}
        for one, two in zip(after, threat_2, strict=True)
    ]
    judged_by = JudgedBy(overseer="full_knowledge")
    found = {
        name: arm_results(
            "",
            [
                Measures(arm=name, seed=seed, dials=dials, judged_by=judged_by, figures=one)
                for seed, one in enumerate(figures)
            ],
            [ProxyAndGold(curves={})] * len(figures),
        )
        for name, dials in arms.items()
    }
    seeds = list(range(len(figures)))
    about = About(**ENVIRONMENT.model_dump(), config="", date="", seeds=seeds)
    return Results(task="corridor", gates=[], arms=found, contrasts=[], about=about)


def one_arm(threat_2: Sequence[float], after: Sequence[float]) -> Results:
    return results({"a": Dials()}, threat_2, after)


def test_sentences_say_no_more_than_the_seeds() -> None:
    found = one_arm([1.0, 1.1, 0.9], [0.9, 0.95, 1.0])
    assert "more common" in sentence(found, "threat_1")
    assert sentence(found, "threat_2").startswith("Selection induced goal-directedness")
    unsure = one_arm([0.1, 0.9, 0.2], [0.1, 0.9, 0.2])
    assert sentence(unsure, "threat_1").startswith("It is undecided")
    assert sentence(unsure, "threat_2").startswith("It is undecided")
    none = one_arm([0.0, 0.01, 0.0], [0.0, 0.01, 0.0])
    assert "less common" in sentence(none, "threat_1")
    assert "no goal-directedness" in sentence(none, "threat_2")
    assert "one seed: undecided" in sentence(one_arm([1.0], [1.0]), "threat_1")


def test_dose_and_plane_draw_their_rows() -> None:
    varied = {f"both knowledge={k}": Dials(knowledge=k) for k in (0.0, 0.5, 1.0)}
    found = results(varied, [1.0, 1.1], [0.9, 1.0])
    figure = dose.figure(found)
    assert figure is not None
    assert len(figure.rows) == 2 * 3 * (1 + 2)
    plane = threat_plane.figure(found)
    assert len(plane.rows) == 3 * (1 + 2)
    # All three lie in one place: each has its name, and a mark around those before it.
    assert [name["arm"] for name in plane.names] == [f"both knowledge={k}" for k in (0.0, 0.5, 1.0)]
    assert {row["arm"]: row["rank"] for row in plane.rows} == {
        f"both knowledge={k}": rank for rank, k in enumerate((1.0, 0.5, 0.0))
    }


def test_two_varied_dials_are_a_heat_map_of_each_threat() -> None:
    values = (0.0, 0.1, 0.5, 1.0)
    varied = {
        f"both knowledge={k} randomised={a}": Dials(knowledge=k, randomised=a)
        for k in values
        for a in values
    }
    figure = dose.figure(results(varied, [1.0, 1.1], [0.9, 1.0]))
    assert figure is not None
    assert len(figure.rows) == 2 * 16
    panels = figure.spec()["concat"]
    assert [panel["layer"][0]["mark"]["type"] for panel in panels] == ["rect", "rect"]
    assert figure.caption == (
        "means over 2 training seeds of one base policy; intervals are in the table of arms"
    )


def test_an_interval_that_dwarfs_the_dots_is_cut_and_that_is_said() -> None:
    wide = threat_plane.figure(one_arm([0.2, 1.9, 0.2], [0.9, 0.9, 0.9]))
    narrow = threat_plane.figure(one_arm([1.0, 1.01, 1.0], [0.9, 0.9, 0.9]))
    assert "cut at the frame" in wide.caption
    assert "cut" not in narrow.caption
    highest = max(row["high_2"] for row in wide.rows if row.get("high_2") is not None)
    axis = wide.spec()["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert axis[1] < 3.1 < highest


def test_a_task_by_dotted_path_has_its_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "run", updates=1, task_name="tasks.corridor:Corridor", measured=False)
    source = Source.of(tmp_path / "run")
    assert contents.asked(source)["task"] == f"tasks.corridor:Corridor: {Corridor.summary}"

    def gone(run: RunConfig) -> Corridor:
        raise UsageError("can't be imported")

    monkeypatch.setattr(RunConfig, "task", property(gone))
    assert contents.asked(source)["task"] == "tasks.corridor:Corridor"


@pytest.mark.parametrize(
    ("clean", "told"),
    [(True, "commit 0123456789abcdef."), (False, "commit 0123456789abcdef (with changes).")],
)
def test_what_is_published_names_its_commit(tmp_path: Path, clean: bool, told: str) -> None:
    folder = write_experiment(tmp_path / "x", arms=("both",), updates=1)
    write_results(folder)
    found = read(folder / Results.file, Results)
    about = found.about.model_copy(update={"clean": clean})
    write(folder / Results.file, found.model_copy(update={"about": about}))
    text = publish(folder, tmp_path / "published").read_text(encoding="utf-8")
    head = text.partition("```")[0]
    assert f"Made from {told}" in head
    assert "2026-01-02, on 2 CPU cores with 16 GiB; torch 2.13.0, trl 1.12.0." in head


def test_means_leave_out_what_could_not_be_judged() -> None:
    points = [
        {"arm": "a", "seed": seed, "update": 1, "of": "x", "value": value}
        for seed, value in enumerate([1.0, 3.0, math.nan])
    ]
    assert [row["value"] for row in with_means(points) if row["kind"] == "mean"] == [2.0]
