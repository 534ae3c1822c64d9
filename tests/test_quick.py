"""A quick look at the gates: smaller, said to be, and filed nowhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rlhf_testbed.commands import gates as command
from rlhf_testbed.contract.starters import write_starter
from rlhf_testbed.experiment.quick import OF_RUN, WITH_A_BASE, quick_look
from rlhf_testbed.report.gates_table import print_quick_look
from rlhf_testbed.report.remedies import REMEDIES
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store.experiment_records import Gate, Results
from rlhf_testbed.tasks.corridor import Corridor
from test_contract import ended
from test_words import ROOT

EPISODES = OF_RUN["total_episodes"][0]
STEPS, DEMONSTRATIONS, FEWER = (
    WITH_A_BASE[name][0] for name in ("base_steps", "demonstrations", "total_episodes")
)


class Corridors(Corridor):
    """A task of somebody's own: no base policy of it ships."""


def test_a_base_policy_that_ships_is_looked_at_as_it_is(tmp_path: Path) -> None:
    look = quick_look("corridor", "3-5", tmp_path / "look")
    planned = look.experiment
    (run,) = [planned.run_of(planned.honest, one) for one in planned.honest_runs]
    assert (run.base_steps, run.base.demonstrations) == (2400, 80_000)
    assert (run.selection.total_episodes, run.seed, run.study.arm) == (EPISODES, 3, "neither")
    assert f"RL of {EPISODES} episodes, not 3840" in look.smaller
    assert look.smaller[-1] == "1 training seed, not 3"
    assert not any("base policy" in words for words in look.smaller)
    assert planned.folder == tmp_path / "look"


def test_one_that_does_not_is_smaller(tmp_path: Path) -> None:
    look = quick_look("test_quick:Corridors", "0", tmp_path)
    run = look.experiment.run
    assert (run.base_steps, run.base.demonstrations) == (STEPS, DEMONSTRATIONS)
    assert run.selection.total_episodes == FEWER < EPISODES
    assert look.smaller[0] == f"a base policy of {STEPS} steps, not 2400"


def test_of_several_base_policies_one_is_looked_at(tmp_path: Path) -> None:
    look = quick_look(str(ROOT / "configs/briefing.yaml"), "0-1", tmp_path)
    assert look.experiment.base_seeds == (0,)
    assert "1 base policy, not 5" in look.smaller


def test_what_is_smaller_already_stays_and_is_not_told(tmp_path: Path) -> None:
    config = tmp_path / "x.yaml"
    config.write_text("total_episodes: 64\nbase_steps: 10\ntask: test_quick:Corridors\n")
    look = quick_look(str(config), "0", tmp_path / "look")
    run = look.experiment.run
    assert (run.base_steps, run.selection.total_episodes) == (10, 64)
    assert not any("steps" in words or "episodes" in words for words in look.smaller)


def test_a_model_of_the_users_own_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "x.yaml"
    config.write_text("model_name_or_path: smollm2-135m-instruct\n")
    with pytest.raises(UsageError, match=r"--quick is for the small model, and .* has smollm2"):
        quick_look(str(config), "0", tmp_path / "look")


def results(**status: Any) -> Results:
    gates = [
        Gate(name=name, status=status.get(name, "PASS"), figure={}, detail="found")
        for name in REMEDIES
    ]
    return Results.model_construct(task="corridor", gates=gates)


def test_the_table_says_that_it_decides_nothing() -> None:
    console = Console(width=120, record=True)
    smaller = ["RL of 1 episode, not 2"]
    print_quick_look(results(panel="FAIL"), smaller, "rlhf-testbed gates corridor", console)
    title, *lines = console.export_text().splitlines()
    assert title.strip() == "A quick look at the gates of corridor: RL of 1 episode, not 2"
    told = "\n".join(lines)
    assert told.count("PASS?") == len(REMEDIES)  # six gates, and once below them
    assert "FAIL?  panel" in " ".join(told.split("\n")).replace("   ", "  ").replace("  ", "  ")
    assert "- to change  panel: " in told
    assert "Not passed in this quick look: panel." in told
    assert "decides no gate, and PASS? is not the gates' PASS" in told
    assert lines[-1].strip() == "rlhf-testbed gates corridor"


def test_nothing_is_filed(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders: list[Path] = []

    def done(planned: Any, kept: bool) -> Results:
        assert not kept
        planned.folder.mkdir()
        folders.append(planned.folder)
        return results()

    monkeypatch.setattr(command, "finished", done)
    assert ended(monkeypatch, "gates", "corridor", "--quick") == 0
    assert "A quick look at the gates of corridor" in capsys.readouterr().out
    assert list(here.iterdir()) == []
    assert len(folders) == 1
    assert not folders[0].exists()
    assert ended(monkeypatch, "gates", "corridor", "--quick", "--output_dir", "mine") == 2
    assert "--quick files nothing" in capsys.readouterr().err


@pytest.mark.slow
def test_the_starter_passes_a_quick_look(
    here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    dotted = write_starter("task", "drawers", Path("quick_drawers")).dotted
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(here)]))
    assert ended(monkeypatch, "gates", dotted, "--quick") == 0
    told = capfd.readouterr().out
    assert told.count("PASS?") == len(REMEDIES) + 1
    assert not Path("runs").exists()
