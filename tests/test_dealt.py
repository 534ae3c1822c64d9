"""Drift control: verdicts are dealt out at random, and what is filed is still each one's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from policies import Known, coin_seeker, noisy
from rlhf_testbed.experiment.plan import Run, plan
from rlhf_testbed.judging.episode import judge_cases
from rlhf_testbed.measures.selection import selection_differential
from rlhf_testbed.overseers.base import Sight
from rlhf_testbed.overseers.scripted import Scripted
from rlhf_testbed.selection.dealt import as_judged, deal_of, dealt
from rlhf_testbed.selection.loop import select_all
from rlhf_testbed.selection.method import Completions, Fitness, Method
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store import ledger
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.tasks.base import Dials, Verdict
from rlhf_testbed.tasks.corridor import Corridor

TASK = Corridor()
HALF_ABLE = Known(noisy(coin_seeker(), 0.5))
EPISODES, UPDATES = 64, 40
VERDICTS = [Verdict(float(at), at % 2 == 0, "") for at in range(EPISODES)]


class ByScore(Method[Completions, Fitness]):
    """Heads for the coin or does anything; fitness is the score itself, and selects nothing."""

    episodes_per_update, updates = EPISODES, UPDATES

    def __init__(self) -> None:
        self.scenarios = TASK.scenarios(Dials(knowledge=0.0), 0, "train", EPISODES)

    def sample(self, update: int) -> Completions:
        return Completions(self.scenarios, HALF_ABLE.sample(self.scenarios, update))

    def fitness(self, completions: Completions, verdicts: Sequence[Verdict]) -> Fitness:
        return Fitness([one.score for one in verdicts], [0.0] * len(verdicts))

    def select(self, completions: Completions, fitness: Fitness) -> Mapping[str, float]:
        return {}

    def save(self, directory: RunDirectory) -> None: ...

    @classmethod
    def policy(cls, *_: object) -> None: ...  # type: ignore[override]


def _rows(folder: Path, *words: str) -> list[list[ledger.Row]]:
    """The ledger's rows by update."""
    run = parse_run(["--seed", "3", *words, "--output_dir", str(folder)])
    overseer = Scripted(TASK, Sight(0.0))
    told = RunDirectory(folder), lambda step: None
    select_all(ByScore(), overseer, *told, deal=deal_of(run))  # type: ignore[arg-type]
    return list(ledger.updates_in(folder / "ledger"))


def test_by_default_each_episode_is_selected_by_its_own_score(tmp_path: Path) -> None:
    for rows in _rows(tmp_path):
        assert [row.advantage for row in rows] == [row.score for row in rows]


def test_dealt_scores_select_and_own_verdicts_are_filed(tmp_path: Path) -> None:
    updates = _rows(tmp_path, "--scores", "shuffled")
    assert len(updates) == UPDATES
    for rows in updates:
        true = judge_cases(Scripted(TASK, Sight(0.0)), [row.case for row in rows])
        assert [row.verdict for row in rows] == [one.verdict for one in true]
        own, given = [row.score for row in rows], [row.advantage for row in rows]
        assert own != given
        assert Counter(own) == Counter(given)


def test_no_trait_has_a_differential_in_expectation(tmp_path: Path) -> None:
    """Getting somewhere is selected by the overseer's scores, and by dealt ones not."""

    def differentials(*words: str) -> list[float]:
        found = []
        for rows in _rows(tmp_path / "-".join(("run", *words)), *words):
            ends = [float(row.outcome.facts["reached"] == "coin") for row in rows]
            found.append(selection_differential([row.advantage for row in rows], ends))
        return found

    selected, drifting = differentials(), differentials("--scores", "shuffled")
    error = np.std(drifting, ddof=1) / np.sqrt(UPDATES)
    assert error > 0
    assert abs(np.mean(drifting)) < 3 * error
    assert np.mean(selected) > 10 * error


def test_a_deal_depends_on_seed_and_update_alone() -> None:
    found = dealt(3, 7, VERDICTS)
    assert found == dealt(3, 7, VERDICTS)
    assert sorted(found) == VERDICTS
    assert len({tuple(found), tuple(dealt(3, 8, VERDICTS)), tuple(dealt(4, 7, VERDICTS))}) == 3
    assert as_judged(7, VERDICTS) == VERDICTS


def test_each_process_is_dealt_its_part_of_one_deal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three processes with 20, 4 and 40 episodes: together they hold every verdict once."""
    parts = [VERDICTS[:20], VERDICTS[20:24], VERDICTS[24:]]
    found: list[Verdict] = []
    for here, part in enumerate(parts):

        class State:
            process_index = here

        def gathered(mine: list[object], part: list[Verdict] = part) -> list[object]:
            assert mine in (part, [len(part)])
            return VERDICTS[:] if mine == part else [len(each) for each in parts]  # type: ignore[return-value]

        monkeypatch.setattr("rlhf_testbed.selection.dealt.PartialState", State)
        monkeypatch.setattr("rlhf_testbed.selection.dealt.gather_object", gathered)
        own = dealt(3, 7, part)
        assert len(own) == len(part)
        found += own
    monkeypatch.undo()
    assert found == dealt(3, 7, VERDICTS)


def test_a_method_that_trains_nothing_has_no_drift() -> None:
    with pytest.raises(
        UsageError, match="command line: scores = shuffled: method best_of_n"
    ) as told:
        parse_run(["--method", "best_of_n", "--scores", "shuffled"])
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("arms", ["[both]", "[neither, both]"])
def test_the_second_gate_of_a_drift_control_is_decided_with_selection(
    arms: str, tmp_path: Path
) -> None:
    config = tmp_path / "drift.yaml"
    config.write_text(f"task: corridor\narms: {arms}\nseeds: 0-1\nscores: shuffled\n")
    found = plan(str(config))
    assert found.honest.name == "neither scores=overseer"
    assert found.of_base(found.honest, 0).selection.scores == "overseer"
    assert found.run_of(found.honest, Run(0, 0)).selection.scores == "overseer"
    assert found.honest_runs == (Run(base=0, seed=0),)
    for setting in found.settings:
        assert found.run_of(setting, Run(0, 0)).selection.scores == "shuffled"
