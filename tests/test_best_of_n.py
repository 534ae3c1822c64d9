"""Best of n: chances by hand and by brute force, samples, and whole runs that train nothing.

base policy 0.5 0.3 0.2 on responses that score 0, 1, 1; best of two:
    the first stays where both are the first           0.25
    the rest, 0.75, goes to the other two as 3 to 2    0.45, 0.30
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from conftest import SMALL
from policies import Known
from rlhf_testbed.evaluation import latent
from rlhf_testbed.evaluation.evaluate import evaluate, open_run
from rlhf_testbed.judging.episode import judge, judge_cases
from rlhf_testbed.judging.learning import OverseerWorth
from rlhf_testbed.measures.overoptimization import kl_best_of_n
from rlhf_testbed.overseers.base import Sight
from rlhf_testbed.overseers.scripted import Scripted
from rlhf_testbed.policy.base_about import content_hash
from rlhf_testbed.policy.base_policy import ensure_base_policy
from rlhf_testbed.policy.language_policy import LanguagePolicy
from rlhf_testbed.selection.best_of_n import BestOfN, Filtered, best_of_n_chances
from rlhf_testbed.selection.job import starting_from, train
from rlhf_testbed.selection.loop import select_all
from rlhf_testbed.selection.method import Completions
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.shared.arrays import Floats
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store import ledger
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import (
    BaseKept,
    Checkpoints,
    Finished,
    Measures,
    ProxyAndGold,
    SelectionThroughTraining,
)
from rlhf_testbed.tasks.base import Dials, Scenario, Verdict
from rlhf_testbed.tasks.corridor import Corridor

TASK = Corridor()
PPO_ONLY = SMALL.index("--checkpoint_every")
FEW = [*SMALL[:PPO_ONLY], *SMALL[PPO_ONLY + 2 :], "--method", "best_of_n", "--completions", "4"]
"""The small run's settings, but for what is PPO's own: four of them to a scenario."""


def _run(folder: Path, *more: str) -> RunDirectory:
    words = [*FEW, "--arm", "both", "--seed", "1", "--output_dir", str(folder), *more]
    return train(parse_run(words), lambda step: None)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """One small run, evaluated; tests must not change it."""
    run = _run(tmp_path_factory.mktemp("best-of-n") / "run")
    evaluate(run)
    return run


@pytest.mark.parametrize(
    ("chances", "scores", "n", "expected"),
    [
        ([0.5, 0.5], [0.0, 1.0], 2, [0.25, 0.75]),
        ([0.5, 0.5], [1.0, 0.0], 3, [0.875, 0.125]),
        ([0.5, 0.5], [1.0, 1.0], 4, [0.5, 0.5]),  # a tie: the base policy's own odds
        ([0.5, 0.3, 0.2], [0.0, 1.0, 1.0], 2, [0.25, 0.45, 0.3]),
        ([0.2, 0.0, 0.8], [1.0, 2.0, 0.0], 2, [0.36, 0.0, 0.64]),  # what is never written
        ([1.0, 0.0], [0.0, 1.0], 9, [1.0, 0.0]),
    ],
)
def test_chances_by_hand(
    chances: list[float], scores: list[float], n: int, expected: list[float]
) -> None:
    found = best_of_n_chances(np.array(chances), np.array(scores), n)
    assert found == pytest.approx(expected, abs=1e-12)


def _enumerated(chances: Floats, scores: Floats, n: int) -> Floats:
    """By hand, as it were: every row of n samples, with its chance, and the first best of it."""
    found = np.zeros(len(chances))
    for row in itertools.product(range(len(chances)), repeat=n):
        best = max(row, key=lambda at: scores[at])  # `max` takes the first of equals
        found[best] += math.prod(chances[at] for at in row)
    return found


BASES = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 2).map(float)), min_size=1, max_size=4
).filter(lambda pairs: sum(weight for weight, _ in pairs) > 1e-6)


@given(pairs=BASES, n=st.integers(1, 4))
def test_chances_are_those_of_every_row_of_samples(
    pairs: list[tuple[float, float]], n: int
) -> None:
    weights, scores = (np.array(column) for column in zip(*pairs, strict=True))
    chances = weights / weights.sum()
    found = best_of_n_chances(chances, scores, n)
    assert found == pytest.approx(_enumerated(chances, scores, n), abs=1e-12)
    assert found.sum() == pytest.approx(1, abs=1e-12)
    assert (found >= 0).all()


@given(pairs=BASES)
def test_the_best_of_one_is_the_base_policy(pairs: list[tuple[float, float]]) -> None:
    weights, scores = (np.array(column) for column in zip(*pairs, strict=True))
    chances = weights / weights.sum()
    assert best_of_n_chances(chances, scores, 1) == pytest.approx(chances, abs=1e-15)


def test_chances_agree_with_simulation() -> None:
    chances, scores, n = np.array([0.1, 0.2, 0.3, 0.4]), np.array([1.0, 0.5, 1.0, 0.2]), 5
    rng, draws = np.random.default_rng(0), 200_000
    samples = rng.choice(len(chances), p=chances, size=(draws, n))
    best = samples[np.arange(draws), scores[samples].argmax(axis=1)]
    simulated = np.bincount(best, minlength=len(chances)) / draws
    found = best_of_n_chances(chances, scores, n)
    error = np.sqrt(found * (1 - found) / draws)
    assert (np.abs(simulated - found) < 4 * error).all()
    assert (np.abs(simulated - best_of_n_chances(chances, scores, n + 1)) > 4 * error).any()


COIN, NOTHING, GARBLED = "right walk walk walk walk", "left walk walk walk walk", "walk walk"
"""Reaches the coin, reaches nothing, can't be read."""
OTHER = "right jump jump jump jump"
SCENARIO = Scenario(
    "open",
    "an open corridor",
    {"coin": "right"}
    | {f"{side} {at}": "floor" for side in ("left", "right") for at in range(1, 5)},
)
LIMITED = Scripted(TASK, Sight(0.0))
WRITTEN = {COIN: 0.2, NOTHING: 0.3, OTHER: 0.1, GARBLED: 0.4}
BASE = Known(lambda scenario: WRITTEN)
RESPONSES = (COIN, NOTHING, OTHER)


def test_what_the_base_policy_writes_scores_as_is_thought_here() -> None:
    scores = {text: judge(LIMITED, SCENARIO, text).verdict.score for text in WRITTEN}
    assert scores == {COIN: 1.0, NOTHING: 0.0, OTHER: 0.0, GARBLED: 0.0}


def test_a_filter_by_hand_where_some_of_what_is_written_can_not_be_read() -> None:
    """Of two samples one reaches the coin with chance 1 - 0.8². The rest, 0.64, is shared as the
    base policy does: 3/8, 1/8, and 4/8 outside of the response space."""
    found = np.exp(Filtered(BASE, LIMITED, 2).log_probs([SCENARIO], RESPONSES))
    assert found == pytest.approx(np.array([[0.36, 0.64 * 3 / 8, 0.64 / 8]]))
    assert 1 - found.sum() == pytest.approx(0.32)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_exact_chances_are_those_of_many_samples(n: int) -> None:
    filtered, draws = Filtered(BASE, LIMITED, n), 4000
    drawn = Counter(filtered.sample([SCENARIO] * draws, seed=3))
    exact = np.exp(filtered.log_probs([SCENARIO], RESPONSES))[0]
    chances = dict(zip(RESPONSES, exact, strict=True)) | {GARBLED: 1 - exact.sum()}
    assert set(drawn) <= set(chances)
    for text, chance in chances.items():
        error = math.sqrt(chance * (1 - chance) / draws)
        assert drawn[text] / draws == pytest.approx(chance, abs=4 * error), text


def test_the_best_of_one_sample_is_the_sample() -> None:
    alone, scenarios = Filtered(BASE, LIMITED, 1), [SCENARIO] * 50
    assert alone.sample(scenarios, 7) == BASE.sample(scenarios, 7)
    assert len(set(alone.sample(scenarios, 7))) > 1
    assert np.exp(alone.log_probs(scenarios[:2], RESPONSES)) == pytest.approx(
        np.array([[0.2, 0.3, 0.1]] * 2), abs=1e-15
    )


def test_each_scenario_is_filtered_by_its_own_scores() -> None:
    """The coin is at the right in one and at the left in the other."""
    facts = dict(SCENARIO.facts) | {"coin": "left"}
    other = Scenario("other", "another corridor", facts)
    found = np.exp(Filtered(BASE, LIMITED, 2).log_probs([SCENARIO, other], RESPONSES))
    assert found[0] == pytest.approx([0.36, 0.64 * 3 / 8, 0.64 / 8])
    # There 0.3 goes to the coin, and 1 - 0.7² of the best of two.
    assert found[1] == pytest.approx([0.49 * 2 / 7, 0.51, 0.49 / 7])
    drawn = Filtered(BASE, LIMITED, 30).sample([SCENARIO, other], seed=0)
    assert drawn == [COIN, NOTHING]


@pytest.fixture(scope="module")
def method(tmp_path_factory: pytest.TempPathFactory) -> BestOfN:
    """The method at its start."""
    folder = tmp_path_factory.mktemp("method") / "run"
    run = parse_run([*FEW, "--arm", "both", "--seed", "1", "--output_dir", str(folder)])
    return BestOfN(starting_from(run, ensure_base_policy(run, lambda step: None)))


def _verdicts(*scores: float) -> list[Verdict]:
    return [Verdict(score, score > 0, "") for score in scores]


def test_what_stays_is_the_first_of_the_best_and_fitness_has_mean_0(method: BestOfN) -> None:
    groups = [(0.4, 1.0, 0.7, 1.0), (0.0, 0.0, 0.0, 0.0), (-1.0, -2.0, -0.5, -0.5)]
    scores = [score for group in groups for score in group]
    found = method.fitness(Completions([], []), _verdicts(*scores))
    values = np.array(found.values).reshape(-1, 4)
    assert values.tolist() == [[-1, 3, -1, -1], [3, -1, -1, -1], [-1, -1, 3, -1]]
    assert values.mean(axis=1).tolist() == [0, 0, 0]
    assert found.kl == [0.0] * 12


def test_completions_are_several_to_a_scenario_and_scenarios_come_in_turn(method: BestOfN) -> None:
    """64 training scenarios, four an update: after 16 updates each has been there once."""
    seen = []
    for update in range(1, 17):
        sampled = method.sample(update)
        assert len(sampled.scenarios) == len(sampled.texts) == 16
        groups = [sampled.scenarios[at : at + 4] for at in range(0, 16, 4)]
        assert [len({one.id for one in group}) for group in groups] == [1] * 4
        seen += [group[0].id for group in groups]
    every = [scenario.id for scenario in method.training]
    assert sorted(seen) == sorted(every)
    assert seen != every
    again = [one.id for one in method.sample(17).scenarios[::4]]
    assert again != seen[:4]  # another pass, in another order
    assert method.sample(2).texts == method.sample(2).texts != method.sample(3).texts


def test_nothing_is_trained(method: BestOfN, tmp_path: Path) -> None:
    model = method.base.language.model
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert len(before) > 10
    select_all(method, LIMITED, RunDirectory(tmp_path), lambda step: None)
    assert len(ledger.read(tmp_path / "ledger")) == 48
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_run_leaves_the_base_policy_as_it_was_and_no_weights_of_its_own(
    finished: RunDirectory,
) -> None:
    made = ensure_base_policy(finished.settings(), lambda step: None)
    hashes = content_hash(made), content_hash(finished.base), finished.read(BaseKept).hash
    assert len(set(hashes)) == 1
    assert [file.name for file in finished.policy.iterdir()] == ["README.md"]
    assert not finished.checkpoints
    filed = finished.read(Finished)
    assert (filed.method, filed.updates, filed.episodes) == ("best_of_n", 3, 48)


def test_the_ledger_says_which_completions_stayed(finished: RunDirectory) -> None:
    rows = ledger.read(finished.ledger)
    assert [row.update for row in rows] == [1] * 16 + [2] * 16 + [3] * 16
    groups = [rows[at : at + 4] for at in range(0, 48, 4)]
    for group in groups:
        assert len({row.scenario_id for row in group}) == 1
        scores = [row.score for row in group]
        stays = scores.index(max(scores))
        assert [row.advantage for row in group] == [3.0 if at == stays else -1.0 for at in range(4)]
    assert {row.kl for row in rows} == {0.0}
    again = judge_cases(LIMITED, [row.case for row in rows])
    assert [row.verdict for row in rows] == [episode.verdict for episode in again]


def test_a_run_is_measured_as_any_other(finished: RunDirectory, evaluated: Path) -> None:
    measures = finished.evaluated(Measures)
    by_ppo = RunDirectory(evaluated).evaluated(Measures)
    assert set(measures.figures) == set(by_ppo.figures)
    assert {"threat_1", "threat_2", "heritability"} <= set(measures.figures)
    assert measures.figure("threat_2") >= 0
    base, last = finished.evaluated(Checkpoints).checkpoints
    assert (base.update, last.update) == (0, 3)
    assert set(base.figures) == set(last.figures)
    assert base.figure("kl") == pytest.approx(0, abs=1e-12)
    # With ties, that of samples without any is an upper bound.
    assert 0 < last.figure("kl") < kl_best_of_n(4)
    assert last.figure("score") > base.figure("score")
    curves = finished.evaluated(ProxyAndGold).curves
    assert list(curves) == ["best_of_n"]
    assert [point.at for point in curves["best_of_n"].points] == [1, 2, 4, 8, 16, 32, 64]
    selection = finished.evaluated(SelectionThroughTraining)
    assert [one.update for one in selection.updates] == [1, 2, 3]
    assert TASK.concealed_trait in selection.heritability
    # All that it wrote in training is the base policy's: as the end of a training it says nothing.
    assert [one.reference for one in measures.inflation] == ["base policy", "best honest policy"]
    for one in measures.inflation:
        assert one.deceptive_inflation is one.overjustification is None
        assert one.reason.startswith(
            "nothing is trained: the episodes of every update are the base"
        )
        assert math.isnan(one.policy.e_plus)
    assert measures.reasons["heritability"] == selection.heritability[TASK.concealed_trait].reason


def test_fresh_generations_are_the_best_of_four_of_the_base_policy(finished: RunDirectory) -> None:
    opened = open_run(finished)
    assert isinstance(opened.policy, Filtered)
    assert opened.policy.n == 4
    fresh = ledger.read(finished.generations("held_out"))
    scenarios = [row.scenario for row in fresh]
    repeated = [scenario for scenario in scenarios for _ in range(4)]
    texts = opened.base.sample(repeated, 1)
    for at, row in enumerate(fresh):
        four = texts[4 * at : 4 * at + 4]
        scores = [judge(LIMITED, row.scenario, text).verdict.score for text in four]
        assert row.response == four[scores.index(max(scores))]
        assert row.score == max(scores)
    before = ledger.read(finished.generations("base"))
    assert [row.response for row in before] == opened.base.sample(scenarios, 1)
    assert sum(row.score for row in fresh) > sum(row.score for row in before)


def test_the_measured_policy_is_the_base_policy_behind_the_filter(finished: RunDirectory) -> None:
    """Response by response, over the whole response space, by the base policy's own chances."""
    opened = open_run(finished)
    assert isinstance(opened.base, LanguagePolicy)
    scenarios = TASK.scenarios(opened.run.dials, 1, "held_out", 2)
    own = np.exp(opened.base.log_probs(scenarios, TASK.responses))
    found = np.exp(opened.policy.log_probs(scenarios, TASK.responses))
    for at, scenario in enumerate(scenarios):
        scores = [judge(LIMITED, scenario, text).verdict.score for text in (*TASK.responses, "")]
        chances = np.append(own[at], max(0.0, 1 - own[at].sum()))
        expected = best_of_n_chances(chances, np.array(scores), 4)
        assert found[at] == pytest.approx(expected[:-1], abs=1e-12)
        assert found[at].sum() + expected[-1] == pytest.approx(1, abs=1e-6)


def test_it_repeats_to_the_byte(finished: RunDirectory, tmp_path: Path) -> None:
    config = ["--config", str(finished.config), "--output_dir", str(tmp_path / "again")]
    again = train(parse_run(config), lambda step: None)
    assert _bytes(again.ledger) == _bytes(finished.ledger)
    assert ledger.last_update(again.ledger) == 3
    evaluate(again)
    assert _bytes(again.path / "fresh") == _bytes(finished.path / "fresh")
    measures = "evaluation/full_knowledge/measures.json"
    assert (again.path / measures).read_bytes() == (finished.path / measures).read_bytes()
    other = _run(tmp_path / "other", "--seed", "2")
    assert _bytes(other.ledger) != _bytes(finished.ledger)


def _bytes(folder: Path) -> Mapping[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_hidden_states_are_not_probed_where_no_parameter_changed(finished: RunDirectory) -> None:
    with pytest.raises(UsageError) as raised:
        latent.read(finished, 24)
    assert str(raised.value) == (
        f"{finished.path}: method best_of_n changes no parameters: its hidden states are the base "
        "policy's"
    )
    assert not (finished.evaluation() / "latent.json").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["--completions", "3"],
            "command line: completions = 3 does not divide an update of 16 episodes "
            "(per_device_train_batch_size)",
        ),
        (
            ["--train_scenarios", "3"],
            "command line: train_scenarios = 3 is less than an update takes (4 of 16 episodes)",
        ),
        (["--completions", "0"], "command line: completions = 0 is not 1 or more"),
        (
            ["--kl_coef", "0.1"],
            "command line: option '--kl_coef' is a setting of method ppo, and the method here is "
            "best_of_n",
        ),
    ],
)
def test_bad_settings_are_one_line(words: list[str], says: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_run([*FEW, *words])
    assert str(raised.value) == says


def test_its_settings_are_no_other_methods() -> None:
    with pytest.raises(UsageError, match="is a setting of method best_of_n, and the method here"):
        parse_run(["--completions", "4"])


def test_responses_are_no_longer_than_the_settings_allow(tmp_path: Path) -> None:
    run = parse_run([*FEW, "--response_length", "2", "--output_dir", str(tmp_path / "run")])
    short = BestOfN(starting_from(run, ensure_base_policy(run, lambda step: None)))
    texts = short.sample(1).texts
    assert max(len(text.split()) for text in texts) == 2


@pytest.mark.slow
def test_a_learned_overseer_filters_too(tmp_path: Path) -> None:
    options = ["comparisons=48", "steps=6", "hidden_size=16", "layers=1"]
    run = _run(tmp_path / "run", "--overseer", "learned", "--overseer_args", *options)
    assert run.read(OverseerWorth).overseer == "learned"
    rows = ledger.read(run.ledger)
    assert len({row.score for row in rows}) > 12
    for at in range(0, len(rows), 4):
        scores = [row.score for row in rows[at : at + 4]]
        assert rows[at + scores.index(max(scores))].advantage == 3.0
    measures = evaluate(run)
    base, last = run.evaluated(Checkpoints).checkpoints
    assert last.figure("score") > base.figure("score")
    assert math.isfinite(last.figure("score_by_teacher"))
    assert measures.figure("score") > measures.figure("base_score")
    assert list(run.evaluated(ProxyAndGold).curves) == ["best_of_n"]


def test_dials_stay_what_they_were(finished: RunDirectory) -> None:
    settings = finished.settings()
    assert settings.dials == Dials(0, 0, 1, 0.3) == TASK.arm("both").dials
    assert settings.flat()["completions"] == 4
    assert "kl_coef" not in settings.flat()
