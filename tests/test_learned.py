"""Overseers that read: what they read, and the learned one from comparisons to evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import SMALL
from rlhf_testbed.evaluation.evaluate import evaluate
from rlhf_testbed.judging.episode import judge
from rlhf_testbed.judging.learning import OverseerWorth
from rlhf_testbed.judging.overseers import later_overseer, options_for, training_overseer
from rlhf_testbed.judging.preference_model import (
    Comparison,
    accuracy,
    learn,
    raw_scorer,
    refuse_too_few,
)
from rlhf_testbed.overseers.base import OverseerError, Sight
from rlhf_testbed.overseers.learned import Learned, best_threshold, calibrated
from rlhf_testbed.overseers.reader import rendered
from rlhf_testbed.overseers.scripted import Scripted
from rlhf_testbed.policy.language import small_language
from rlhf_testbed.selection.job import train
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store import ledger
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import Checkpoints, ProxyAndGold
from rlhf_testbed.tasks.base import Dials, View
from rlhf_testbed.tasks.corridor import Corridor

TASK = Corridor()
NAMES = ("score", "approval")
ARGS = ["comparisons=48", "steps=6", "hidden_size=16", "layers=1", "prior=0.75"]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """One small finished run with a learned overseer; tests must not change it."""
    folder = tmp_path_factory.mktemp("learned") / "run"
    options = ["--overseer", "learned", "--overseer_args", *ARGS, "--output_dir", str(folder)]
    options += ["--response_samples", "4"]  # figures are then those of the fresh generations
    return train(parse_run([*SMALL, "--arm", "both", "--seed", "1", *options]), lambda step: None)


def _views(count: int = 6) -> tuple[list[str], list[View]]:
    episodes = [
        (response, Sight(0.0).of(scenario, TASK.outcome(scenario, response)))
        for scenario in TASK.scenarios(Dials(randomised=1), 0, "train", count)
        for response in [*TASK.responses[::20], "walk", ""]
    ]
    return [response for response, _ in episodes], [view for _, view in episodes]


def test_a_rendered_view_by_hand() -> None:
    facts, outcome = {"coin": "right", "bed": "lit"}, {"reached": "coin"}
    assert rendered("right walk", View(facts, outcome, ("b 2", "b 1"))) == (
        "Known: bed = lit; coin = right\n"
        "Happened: reached = coin\n"
        "Out of sight: b 1; b 2\n"
        "Written: right walk"
    )
    assert rendered("", View({}, {}, (), valid=False)) == (
        "Known: nothing\nHappened: nothing\nOut of sight: nothing\n"
        "Written, and not readable: nothing"
    )


def test_a_text_is_read_once_and_its_score_rounded() -> None:
    read: list[str] = []

    def scorer(texts: Sequence[str]) -> list[float]:
        read.extend(texts)
        return [len(text) / 7 for text in texts]

    overseer = Learned(TASK, Sight(0.0))
    responses, views = _views(2)
    texts = [rendered(*shown) for shown in zip(responses, views, strict=True)]
    threshold = sum(map(len, texts)) / len(texts) / 7
    overseer.give_model(scorer, threshold)
    verdicts = overseer.judge_all(responses + responses, views + views)
    assert sorted(read) == sorted(set(texts))
    assert verdicts[len(texts) :] == verdicts[: len(texts)]
    for verdict, text, response, view in zip(verdicts, texts, responses, views, strict=False):
        assert verdict.score == round(len(text) / 7, 6)
        assert verdict.approved == (verdict.score > threshold)
        assert verdict == overseer.judge(response, view)
    assert {verdict.approved for verdict in verdicts} == {True, False}


def test_without_a_model_it_says_so() -> None:
    with pytest.raises(OverseerError, match="has no model to read with yet"):
        judge(Learned(TASK, Sight(0.0)), TASK.scenarios(Dials(), 0, "train", 1)[0], "right")


@given(
    st.lists(st.tuples(st.integers(-5, 5).map(lambda tenth: tenth / 10), st.booleans()), min_size=1)
)
def test_no_threshold_agrees_more_often(episodes: list[tuple[float, bool]]) -> None:
    scores, approved = zip(*episodes, strict=True)

    def agreement(threshold: float) -> int:
        return sum((score > threshold) == wanted for score, wanted in episodes)

    # Between tenths, and beyond both ends: every cut that there is.
    every = [place / 20 for place in range(-13, 14, 2)]
    assert agreement(best_threshold(scores, approved)) == max(map(agreement, every))


def test_calibration_keeps_the_order_and_takes_the_teachers_scale() -> None:
    # raw: mean 2, standard deviation 2; taught: mean 0.5, standard deviation 0.5
    found = calibrated([0.0, 4.0, 0.0, 4.0], [0.0, 1.0, 1.0, 0.0], [False, True, True, True])
    assert (found.scale, found.offset) == (0.25, 0.0)
    assert found.threshold == -1.0  # approving all is right three times; above 0 two times
    assert calibrated([3.0, 3.0], [0.0, 1.0], [True, True])[:2] == (1.0, -2.5)


def test_its_teacher_is_the_scripted_overseer_unless_told_otherwise() -> None:
    responses, views = _views()
    plain = Scripted(TASK, Sight(0.0), prior=0.5).judge_all(responses, views)
    assert Learned(TASK, Sight(0.0), prior=0.5).teacher.judge_all(responses, views) == plain
    wrong = Learned(TASK, Sight(0.0), prior=0.5, false_positives=0.5).teacher
    assert wrong.judge_all(responses, views) != plain


def _compared(*responses: str) -> list[Comparison]:
    """Comparisons of two responses each, judged by the scripted overseer, on one scenario."""
    scenario = TASK.scenarios(Dials(), 0, "train", 1)[0]
    episodes = [judge(Scripted(TASK, Sight(0.0)), scenario, text) for text in responses]
    return [Comparison(*pair) for pair in zip(episodes[::2], episodes[1::2], strict=True)]


def test_too_little_to_learn_from_is_refused() -> None:
    scenario = TASK.scenarios(Dials(), 0, "train", 1)[0]
    scores = {
        r: judge(Scripted(TASK, Sight(0.0)), scenario, r).verdict.score for r in TASK.responses
    }
    best = max(scores, key=lambda response: scores[response])
    nothing = [response for response in scores if scores[response] == 0][:2]
    with pytest.raises(UsageError, match="learned: 15 comparisons of different responses, 15 of"):
        refuse_too_few(_compared(best, nothing[0]) * 15)
    with pytest.raises(UsageError, match="learned: 16 comparisons of different responses, 0 of"):
        refuse_too_few(_compared(*nothing) * 16)
    refuse_too_few(_compared(best, nothing[0]) * 16)
    idle = small_language(TASK.responses, 0)
    with pytest.raises(UsageError, match="learned: train_scenarios = 1 is too few, as"):
        learn(Learned(TASK, Sight(0.0)), idle, [scenario], 0, Path("x"), print)


def test_accuracy_by_hand() -> None:
    scenario = TASK.scenarios(Dials(), 0, "train", 1)[0]
    by_score = sorted(
        TASK.responses, key=lambda r: judge(Scripted(TASK, Sight(0.0)), scenario, r).verdict.score
    )
    worst, also_bad, best = by_score[0], by_score[1], by_score[-1]
    overseer = Learned(TASK, Sight(0.0))
    rank = {worst: 0.0, also_bad: 1.0, best: 2.0}
    overseer.give_model(lambda texts: [rank[t.rpartition(": ")[2]] for t in texts], 0.5)
    right, tied = _compared(best, worst)[0], _compared(also_bad, worst)[0]
    assert tied.tied
    assert not right.tied
    assert accuracy(overseer, [right, tied]) == 1.0
    overseer.give_model(lambda texts: [-rank[t.rpartition(": ")[2]] for t in texts], 0.5)
    assert accuracy(overseer, [right, right, tied]) == 0.0
    assert accuracy(overseer, [tied]) != accuracy(overseer, [tied])  # NaN


def test_batches_and_padding_change_no_score(taught: RunDirectory) -> None:
    scores = raw_scorer(taught.overseer)
    texts = [rendered(*shown) for shown in zip(*_views(), strict=True)]
    texts += ["", "coin", "coin " * 200, "words that it never read"]
    together, apart = scores(texts), [scores([text])[0] for text in texts]
    assert [round(score, 6) for score in together] == [round(score, 6) for score in apart]
    assert len({round(score, 6) for score in together}) > len(texts) // 2
    assert scores(texts[::-1])[::-1] == pytest.approx(together, abs=1e-12)


def test_a_run_keeps_its_model_and_says_what_it_is_worth(taught: RunDirectory) -> None:
    found = taught.read(OverseerWorth)
    assert found.overseer == "learned"
    assert 16 <= found.comparisons <= 48
    assert 0 <= found.ties < found.comparisons
    assert 0 <= found.accuracy <= 1
    assert 0 <= found.approval_agreement <= 1
    assert found.scale > 0
    assert found.seed == 1
    assert (taught.overseer / "model.safetensors").exists()
    assert taught.settings().study.overseer_args == ARGS


def test_the_ledger_holds_the_models_scores_and_evaluation_the_teachers(
    taught: RunDirectory,
) -> None:
    run = taught.settings()
    mine = training_overseer(run)
    assert isinstance(mine, Learned)
    rows = ledger.read(taught.ledger)
    assert len(rows) == 48
    for row in rows:
        assert row.verdict == judge(mine, row.scenario, row.response).verdict
    found = evaluate(taught)
    fresh = ledger.read(taught.generations("held_out"))
    before = ledger.read(taught.generations("base"))
    teacher = later_overseer("scripted", run, *options_for("scripted", run, None, None))
    assert isinstance(teacher, Scripted)
    assert (teacher.prior, teacher.sight.knowledge) == (0.75, 0.0)
    for base, episodes in (("", fresh), ("base_", before)):
        verdicts = [judge(teacher, one.scenario, one.response).verdict for one in episodes]
        score, approval = (found.figure(f"{base}{name}_by_teacher") for name in NAMES)
        assert score == pytest.approx(sum(one.score for one in verdicts) / 32)
        assert approval == sum(one.approved for one in verdicts) / 32
    proxy = [judge(mine, one.scenario, one.response).verdict for one in fresh]
    assert [one.verdict for one in fresh] == proxy
    assert found.figure("score") == pytest.approx(sum(one.score for one in proxy) / 32)
    assert found.figure("score") != pytest.approx(found.figure("score_by_teacher"))


def test_proxy_teacher_and_gold_are_three_curves(taught: RunDirectory) -> None:
    if not taught.evaluations:
        evaluate(taught)
    first, *points = taught.evaluated(ProxyAndGold).curves["ppo"].points
    assert first.scores == {"proxy": 0, "gold": 0, "teacher": 0}
    assert [point.at for point in points] == [1, 2, 3]
    for point in points:
        assert len({point.scores[name] for name in ("proxy", "teacher", "gold")}) == 3
    # Before any selection, by exact expectation: the teacher's own figures beside the others.
    checkpoints = taught.evaluated(Checkpoints).checkpoints
    assert [one.update for one in checkpoints] == [0, 2, 3]
    for one in checkpoints:
        scores = {one.figure(name) for name in ("score", "score_by_teacher")}
        assert len(scores) == 2
        assert 0 <= one.figure("approval_by_teacher") <= 1


def test_it_repeats_to_the_byte(taught: RunDirectory, tmp_path: Path) -> None:
    again = train(
        parse_run(["--config", str(taught.config), "--output_dir", str(tmp_path / "again")]),
        lambda step: None,
    )
    for one, other in ((taught.overseer, again.overseer), (taught.ledger, again.ledger)):
        assert {f.name: f.read_bytes() for f in one.iterdir()} == {
            f.name: f.read_bytes() for f in other.iterdir()
        }
    worth = OverseerWorth.file
    assert (taught.path / worth).read_bytes() == (again.path / worth).read_bytes()


def test_another_run_has_no_learned_overseer(trained: Path, taught: RunDirectory) -> None:
    with pytest.raises(UsageError, match=r"no learned overseer here: overseer\.json is missing"):
        evaluate(RunDirectory(trained), "learned")
    assert not (trained / "evaluation").exists()
    assert not (trained / "fresh").exists()


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("comparisons=15", "learned: comparisons = 15 is too few (at least 16)"),
        ("rationality=-1", "learned: rationality = -1.0 is not 0 or more"),
        ("rationality=nan", "learned: rationality = nan is not 0 or more"),
        ("steps=0", "learned: steps = 0, layers = 2: both must be 1 or more"),
        ("hidden_size=30", "learned: hidden_size = 30 is not a multiple of 8"),
        ("false_positives=2", "learned: false_positives = 2.0 is not in [0, 1]"),
    ],
)
def test_bad_options_are_named(option: str, says: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_run(["--overseer", "learned", "--overseer_args", option])
    assert str(raised.value) == f"command line: overseer_args: {says}"
