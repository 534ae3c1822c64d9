"""Linear probes: planted and absent signals, the interval, leaks, and what is undecided."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rlhf_testbed.evaluation import linear_probe as module
from rlhf_testbed.evaluation.linear_probe import linear_probe, probe_lead
from rlhf_testbed.shared.arrays import Floats

EPISODES = 120


def _noise(seed: int, columns: int = 8) -> tuple[Floats, Floats]:
    """Features and labels that have nothing to do with each other."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(EPISODES, columns)), rng.permutation(np.arange(EPISODES) % 2.0)


def test_a_planted_signal_is_found() -> None:
    features, labels = _noise(0)
    features[:, 3] += 4 * labels
    found = linear_probe(features, labels)
    assert found.auc.value > 0.95
    assert 0.9 < found.auc.low <= found.auc.value <= found.auc.high <= 1
    assert (found.yes, found.no, found.reason) == (60, 60, "")
    assert abs(found.shuffled - 0.5) < 0.15


def test_one_column_by_hand() -> None:
    """Labels 1 where the column is above 0, but for its two ends, where they are the other way.

    Each of the five folds has 10 of each label, so 500 pairs are compared; each of the two ends
    loses to all 10 in its fold, and their own pair is counted once where they share a fold.
    """
    column = np.array([*range(-50, 0), *range(1, 51)], dtype=float)[:, None]
    labels = (column[:, 0] > 0).astype(float)
    assert linear_probe(column, labels).auc == (1.0, 1.0, 1.0)
    labels[0], labels[-1] = 1, 0
    in_one_fold, in_two_folds = 1 - 19 / 500, 1 - 20 / 500
    assert round(linear_probe(column, labels).auc.value, 9) in (in_one_fold, in_two_folds)


@pytest.mark.parametrize("columns", [8, 96])
def test_noise_is_not_told_from_chance(columns: int) -> None:
    auc = linear_probe(*_noise(1, columns)).auc
    assert auc.low <= 0.5 <= auc.high
    assert auc.high - auc.low > 0.1


def test_the_auc_has_a_sign_and_no_unit() -> None:
    features, labels = _noise(2)
    features[:, 0] += 2 * labels
    found = linear_probe(features, labels).auc.value
    assert linear_probe(1000 * features + 7, labels).auc.value == pytest.approx(found)
    assert linear_probe(features, 1 - labels).auc.value == pytest.approx(found)


def test_the_interval_holds_chance_at_least_as_often_as_it_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the probes' shared training episodes left out of account it would be 8 or 9 in 10."""
    monkeypatch.setattr(module, "SHUFFLES", 1)
    monkeypatch.setattr(module, "RESAMPLES", 300)
    found = [linear_probe(*_noise(seed, 20)).auc for seed in range(30)]
    assert sum(auc.low <= 0.5 <= auc.high for auc in found) >= 28


def test_a_lead_is_the_difference_of_two_probes() -> None:
    features, labels = _noise(4)
    better = features.copy()
    better[:, 0] += 3 * labels
    lead = probe_lead(better, features, labels)
    alone = [linear_probe(states, labels).auc.value for states in (better, features)]
    assert lead.value == pytest.approx(alone[0] - alone[1])
    assert 0 < lead.low < lead.value < lead.high
    back = probe_lead(features, better, labels)
    assert back == pytest.approx((-lead.value, -lead.high, -lead.low))


def test_a_lead_over_the_same_states_is_exactly_nothing() -> None:
    """Each by itself has a wide interval; as the resamples are shared, the difference has none."""
    features, labels = _noise(5)
    assert probe_lead(features, features, labels) == (0.0, 0.0, 0.0)
    assert probe_lead(features, 3 * features[:, ::-1], labels).value == pytest.approx(0.0)


def test_linear_probes_are_deterministic() -> None:
    features, labels = _noise(3)
    assert linear_probe(features, labels, seed=4) == linear_probe(features, labels, seed=4)
    assert linear_probe(features, labels, seed=4) != linear_probe(features, labels, seed=5)


def test_what_is_shared_by_a_group_does_not_leak() -> None:
    """Ten copies of each of twelve situations: by itself, each copy gives its fellows away."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 10)
    labels = (groups % 2).astype(float)
    features = rng.normal(size=(12, 30))[groups] + rng.normal(0, 0.01, (EPISODES, 30))
    assert linear_probe(features, labels).auc.value > 0.99
    auc = linear_probe(features, labels, groups.tolist()).auc
    assert auc.low <= 0.5 <= auc.high


@pytest.mark.parametrize(("yes", "no"), [(30, 0), (0, 30), (9, 21), (25, 5), (0, 0)])
def test_too_few_of_either_kind_are_undecided(yes: int, no: int) -> None:
    features, labels = np.zeros((yes + no, 3)), [1.0] * yes + [0.0] * no
    found = linear_probe(features, labels)
    assert all(math.isnan(value) for value in (*found.auc, found.shuffled))
    assert found.reason == f"undecided: {yes} yes and {no} no (at least 10 of each)"
    assert (found.yes, found.no) == (yes, no)
    assert all(math.isnan(value) for value in probe_lead(features, features, labels))


def test_ten_of_each_are_enough() -> None:
    features = np.arange(20.0)[:, None]
    assert linear_probe(features, [0] * 10 + [1] * 10).auc.value == 1


def test_groups_that_cannot_be_split_are_undecided() -> None:
    features, labels = _noise(5)
    found = linear_probe(features, labels, [0, 1] * (EPISODES // 2))
    assert math.isnan(found.auc.value)
    assert found.reason == "undecided: too few different situations to be split"


def test_bad_input_is_named() -> None:
    features, labels = _noise(6)
    with pytest.raises(ValueError, match=r"^labels has 119 episodes but features has 120$"):
        linear_probe(features, labels[:-1])
    with pytest.raises(ValueError, match=r"^labels has 120 episodes but groups has 2$"):
        linear_probe(features, labels, [0, 1])
    with pytest.raises(ValueError, match=r"^labels has 120 episodes but control has 119$"):
        probe_lead(features, features[:-1], labels)
    with pytest.raises(ValueError, match=r"^labels holds 2.0"):
        linear_probe(features, 2 * labels)
    with pytest.raises(ValueError, match=r"^labels holds NaN"):
        linear_probe(features, np.where(labels == 1, np.nan, 0))
    with pytest.raises(ValueError, match=r"^features holds a value that is not finite"):
        linear_probe(np.full_like(features, np.inf), labels)
    with pytest.raises(ValueError, match=r"^features has shape \(120,\)"):
        linear_probe(features[:, 0], labels)
