"""A linear probe: how well do hidden states tell two kinds of episode apart?

    features [360, 96], labels 180 × 1 and 180 × 0
    linear_probe(features, labels)         AUC 0.91 (0.87 to 0.95), with labels shuffled 0.50
    probe_lead(features, other, labels)    0.36 (0.27 to 0.45) above the same episodes' other states

The figures are made up. Arrays in, numbers out; `latent.py` says what is probed, and where.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rlhf_testbed.measures.arguments import arrays, flags, mean
from rlhf_testbed.shared.arrays import Floats, FloatsLike

Integers: TypeAlias = npt.NDArray[np.int64]

LEAST = 10
"""Episodes of either kind below which no probe is trained."""
FOLDS = 5
"""Parts of the episodes; each is scored by a probe trained on the others."""
WIDER = math.sqrt(1 + FOLDS / (FOLDS - 1))
"""How much wider than its bootstrap an interval is made, as the probes share their training
episodes (Nadeau & Bengio 2003, Machine Learning 52)."""
RESAMPLES = 1000
"""Bootstrap resamples behind an interval."""
SHUFFLES = 5
"""Shuffles of the labels behind `shuffled`."""


class Estimate(NamedTuple):
    """A figure with the bounds of its 95 % interval; all NaN where there was nothing to decide."""

    value: float
    low: float
    high: float


class LinearProbe(NamedTuple):
    """How well a linear probe tells two kinds of episode apart, on episodes held out from it."""

    auc: Estimate
    """Share of pairs (a yes, a no) that the probe ranks rightly: 0.5 is chance, 1 all."""
    shuffled: float
    """The same with shuffled labels, mean over shuffles: about 0.5 unless the method leaks."""
    yes: int
    """Episodes labelled 1."""
    no: int
    """Episodes labelled 0."""
    reason: str
    """`undecided: ...` and why; empty where there is an answer."""


NOTHING = Estimate(math.nan, math.nan, math.nan)


class _Data(NamedTuple):
    """Checked labels [episodes], the group and the fold of each, and why nothing can be decided."""

    y: Floats
    group: Integers
    fold: Integers
    reason: str


class _Ranking(NamedTuple):
    """Pairs [yes, no]: 1 for each in one fold, and its win (a tie is half of one)."""

    wins: Floats
    pairs: Floats

    @property
    def auc(self) -> float:
        return float(self.wins.sum() / self.pairs.sum())


def linear_probe(
    features: FloatsLike, labels: FloatsLike, groups: Sequence[int] | None = None, seed: int = 0
) -> LinearProbe:
    """Cross-validated AUC of a linear probe: logistic regression (L2, C = 1), standardised.

    Every episode is scored by a probe that has not seen it, nor any of its group; the AUC
    (Mann-Whitney) compares episodes of one fold only, as scores of different probes have no common
    origin. Linear probes: Alain & Bengio 2016, arXiv 1610.01644. The interval is a percentile
    bootstrap over groups of episodes with the probes held fixed, widened by `WIDER` and cut to
    [0, 1]; it has no width at an AUC of 1.

    Shapes [episodes, features], and [episodes] of 0/1. Fewer than `LEAST` of either label, or
    groups too few to be split: NaN, and the reason. Raises `ValueError` for other shapes or labels,
    and for features that are not finite.

    >>> linear_probe([[0.0], [1.0]], [1, 1]).reason
    'undecided: 2 yes and 0 no (at least 10 of each)'
    """
    (x,) = arrays(2, features=features)
    data = _data(labels, groups, seed, features=x)
    yes, no = int(np.sum(data.y == 1)), int(np.sum(data.y == 0))
    if data.reason:
        return LinearProbe(NOTHING, math.nan, yes, no, data.reason)
    rng = np.random.default_rng(seed)
    ranking = _ranking(x, data)
    auc = _estimate(ranking.auc, _resampled([ranking], data, rng)[0])
    auc = Estimate(auc.value, max(0.0, auc.low), min(1.0, auc.high))
    shuffled = mean(np.array(list(_shuffled_aucs(x, data, rng))))
    return LinearProbe(auc, shuffled, yes, no, "")


def probe_lead(
    features: FloatsLike,
    control: FloatsLike,
    labels: FloatsLike,
    groups: Sequence[int] | None = None,
    seed: int = 0,
) -> Estimate:
    """By how much a probe of `features` does better than one of `control`, on the same episodes.

    Difference of the two AUCs, with an interval from the same folds and the same resamples for
    both. Shapes [episodes, features] each, of any number of features. All else as in
    `linear_probe`.

    >>> probe_lead([[0.0], [1.0]], [[0.0], [1.0]], [1, 1]).value
    nan
    """
    (x,), (other,) = arrays(2, features=features), arrays(2, control=control)
    data = _data(labels, groups, seed, features=x, control=other)
    if data.reason:
        return NOTHING
    rankings = [_ranking(states, data) for states in (x, other)]
    ahead, behind = _resampled(rankings, data, np.random.default_rng(seed))
    return _estimate(rankings[0].auc - rankings[1].auc, ahead - behind)


def _data(labels: FloatsLike, groups: Sequence[int] | None, seed: int, **features: Floats) -> _Data:
    """Checks what was given, and deals out the folds."""
    (y,) = flags(labels=labels)
    members = np.asarray(range(len(y)) if groups is None else groups, dtype=np.int64)
    for name, values in {**features, "groups": members}.items():
        if len(values) != len(y):
            raise ValueError(f"labels has {len(y)} episodes but {name} has {len(values)}")
    if np.isnan(y).any():
        raise ValueError("labels holds NaN; leave those episodes out")
    for name, values in features.items():
        if not np.isfinite(values).all():
            raise ValueError(f"{name} holds a value that is not finite")
    _, group = np.unique(members, return_inverse=True)
    yes = int(y.sum())
    if not LEAST <= yes <= len(y) - LEAST:
        few = f"undecided: {yes} yes and {len(y) - yes} no (at least {LEAST} of each)"
        return _Data(y, group, group, few)
    fold = _folds(y, group, seed)
    few = "" if _separable(y, fold) else "undecided: too few different situations to be split"
    return _Data(y, group, fold, few)


def _folds(y: Floats, group: Integers, seed: int) -> Integers:
    """Each episode's fold, [episodes]: both labels spread alike, no group in two."""
    fold = np.zeros(len(y), dtype=np.int64)
    if group.max() + 1 >= FOLDS:
        splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        for index, (_, held_out) in enumerate(splitter.split(y, y, group)):
            fold[held_out] = index
    return fold


def _separable(y: Floats, fold: Integers) -> bool:
    """Whether every probe has both labels to learn from, and some fold has both to compare."""
    names = np.unique(fold)
    learnable = all(len(np.unique(y[fold != name])) == 2 for name in names)
    return learnable and any(len(np.unique(y[fold == name])) == 2 for name in names)


def _ranking(x: Floats, data: _Data) -> _Ranking:
    """How the probes of the other folds rank each fold's episodes."""
    scores = np.empty(len(data.y))
    for name in np.unique(data.fold):
        held_out = data.fold == name
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        model.fit(x[~held_out], data.y[~held_out])
        scores[held_out] = model.decision_function(x[held_out])
    one, nought = data.y == 1, data.y == 0
    pairs = (data.fold[one][:, None] == data.fold[nought]).astype(np.float64)
    ahead = scores[one][:, None] - scores[nought]
    return _Ranking(pairs * ((ahead > 0) + 0.5 * (ahead == 0)), pairs)


def _resampled(rankings: Sequence[_Ranking], data: _Data, rng: np.random.Generator) -> list[Floats]:
    """The AUC of each ranking over resampled groups of episodes, the same groups for all."""
    number = int(data.group.max()) + 1
    times = rng.multinomial(number, np.full(number, 1 / number), size=RESAMPLES)[:, data.group]
    one, nought = times[:, data.y == 1], times[:, data.y == 0]
    compared = np.sum(one @ rankings[0].pairs * nought, axis=1)
    able = compared > 0
    return [np.sum(one @ r.wins * nought, axis=1)[able] / compared[able] for r in rankings]


def _estimate(value: float, resampled: Floats) -> Estimate:
    """2.5 and 97.5 % of the resampled values, made wider about the value."""
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Estimate(value, *(float(value + WIDER * (end - value)) for end in (low, high)))


def _shuffled_aucs(x: Floats, data: _Data, rng: np.random.Generator) -> Iterator[float]:
    """AUCs of probes, on the same folds, for labels dealt out at random."""
    for _ in range(SHUFFLES):
        dealt = data._replace(y=rng.permutation(data.y))
        if _separable(dealt.y, dealt.fold):
            yield _ranking(x, dealt).auc
