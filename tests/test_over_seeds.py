"""What the seeds of an arm say together, with numbers worked by hand."""

from __future__ import annotations

import math

import pytest

from rlhf_testbed.experiment.over_seeds import (
    arm_results,
    inflation,
    intervals,
    orders,
    over_optimisation,
)
from rlhf_testbed.measures.overoptimization import best_of_n_form, rl_form
from rlhf_testbed.report.table import why
from rlhf_testbed.shared.record import Interval
from rlhf_testbed.store.run_records import (
    Curve,
    Estimates,
    Form,
    InflationVerdict,
    JudgedBy,
    Measures,
    Point,
    ProxyAndGold,
)
from rlhf_testbed.tasks.base import Dials

NAN = math.nan
FORM = Form(alpha=NAN, beta=NAN, r_squared=NAN, peak_d=NAN, peak_gold=NAN)


def verdict(e_plus: float, e_minus: float, j_seen: float, j_true: float) -> InflationVerdict:
    """One run against a reference whose figures are all 0.5."""
    return InflationVerdict(
        reference="best honest policy",
        policy=Estimates(e_plus=e_plus, e_minus=e_minus, j_seen=j_seen, j_true=j_true),
        against=Estimates(e_plus=0.5, e_minus=0.5, j_seen=0.5, j_true=0.5),
        deceptive_inflation=e_plus > 0.5 and j_seen > 0.5,
        overjustification=e_minus < 0.5 and j_true < 0.5,
        reason="",
    )


def measures(
    seed: int, figures: dict[str, float], reasons: dict[str, str] | None = None
) -> Measures:
    return Measures(
        arm="both",
        seed=seed,
        dials=Dials(),
        judged_by=JudgedBy(overseer="full_knowledge"),
        figures=figures,
        reasons=reasons or {},
    )


def seeds(*verdicts: InflationVerdict) -> list[Measures]:
    return [
        measures(at, {}).model_copy(update={"inflation": [one]}) for at, one in enumerate(verdicts)
    ]


def test_overjustification_is_shown_where_both_terms_are_below() -> None:
    (found,) = inflation(
        seeds(verdict(0.5, 0.3, 0.5, 0.4), verdict(0.5, 0.2, 0.5, 0.4), verdict(0.5, 0.1, 0.5, 0.4))
    )
    assert found.overjustification == "shown"
    assert found.deceptive_inflation == "not shown"
    assert found.seeds_with == {"deceptive_inflation": 0, "overjustification": 3}
    e_minus = found.differences["e_minus"]
    assert e_minus.mean == pytest.approx(-0.3)
    # Standard deviation 0.1, t(0.975, 2) = 4.3027: half a width of 0.1 / √3 · 4.3027 = 0.2484.
    assert e_minus.high == pytest.approx(-0.0516, abs=1e-4)
    assert "by itself in 3 of 3 seeds" in why(found, "overjustification")


def test_seeds_that_disagree_are_undecided_and_a_wrong_side_is_not_shown() -> None:
    mixed = seeds(verdict(0.9, 0.5, 0.9, 0.4), verdict(0.4, 0.5, 0.9, 0.4))
    (found,) = inflation(mixed)
    assert found.deceptive_inflation == "undecided"
    assert found.overjustification == "not shown"  # E- is no lower in any seed
    (alone,) = inflation(mixed[:1])
    assert alone.deceptive_inflation == "undecided"


def test_a_seed_without_verdicts_leaves_nothing_to_say() -> None:
    assert inflation([*seeds(verdict(1, 1, 1, 1)), measures(1, {})]) == []


def run(gold: list[float], proxy: list[float], updates: list[int] | None = None) -> ProxyAndGold:
    """A PPO run's curve, with a point every five updates, at d = 0, 1, 2, ..."""
    at = updates or [5 * index for index in range(len(gold))]
    points = [
        Point(at=update, d=float(index), scores={"gold": g, "proxy": p})
        for index, (update, g, p) in enumerate(zip(at, gold, proxy, strict=True))
    ]
    return ProxyAndGold(
        curves={"ppo": Curve(along="update", points=points, rl_form=FORM, best_of_n_form=FORM)}
    )


def test_a_seeds_own_noise_does_not_make_its_peak() -> None:
    """Seed 0 is highest at update 15; the other two, which decide for it, at 5."""
    rising = [0.0, 0.1, 0.2, 0.3]
    (found,) = over_optimisation(
        [
            run([0.0, 0.2, 0.1, 0.9], rising),
            run([0.0, 0.4, 0.2, 0.1], rising),
            run([0.0, 0.5, 0.2, 0.1], rising),
        ]
    )
    assert (found.method, found.along) == ("ppo", "update")
    # For seed 1 the others' sums are 0, 0.7, 0.3, 1.0: the end. For seed 2: 0, 0.6, 0.3, 1.0.
    assert found.until == [5, 15, 15]
    assert found.risen["gold"].mean == pytest.approx((0.2 + 0.1 + 0.1) / 3)
    assert found.since["gold"].mean == pytest.approx((0.7 + 0 + 0) / 3)
    assert found.since["proxy"].mean == pytest.approx((0.2 + 0 + 0) / 3)
    assert list(found.risen) == list(found.since) == ["proxy", "gold"]


def test_the_form_is_fitted_to_all_seeds() -> None:
    gold = [float(rl_form(d, 2.0, 1.0)) for d in range(4)]
    (found,) = over_optimisation([run(gold, [0.0] * 4) for _ in range(2)])
    assert found.form.alpha == pytest.approx(2.0)
    assert found.form.peak_d == pytest.approx(math.e)


def test_along_n_the_other_form_is_fitted() -> None:
    """Best of n has a form of its own, d (α - β d), with its peak at α / 2 β."""
    points = [
        Point(at=n, d=float(d), scores={"gold": float(best_of_n_form(d, 4.0, 1.0)), "proxy": 0.0})
        for d, n in enumerate((1, 2, 4, 8))
    ]
    curve = Curve(along="n", points=points, rl_form=FORM, best_of_n_form=FORM)
    (found,) = over_optimisation([ProxyAndGold(curves={"best_of_n": curve})] * 2)
    assert (found.method, found.along, found.until) == ("best_of_n", "n", [4, 4])
    assert (found.form.alpha, found.form.peak_d) == pytest.approx((4.0, 2.0))


def test_one_run_or_other_updates_can_not_be_compared() -> None:
    one = run([0.0, 1.0], [0.0, 1.0])
    assert len(over_optimisation([one, one])) == 1
    assert over_optimisation([one]) == []
    assert over_optimisation([one, run([0.0], [0.0])]) == []
    assert over_optimisation([one, run([0.0, 1.0], [0.0, 1.0], updates=[0, 6])]) == []
    assert over_optimisation([one, ProxyAndGold(curves={})]) == []
    assert over_optimisation([ProxyAndGold(curves={})] * 2) == []


def test_a_figure_is_nan_unless_every_seed_was_judged() -> None:
    told = [
        measures(0, {"threat_1": NAN, "score": 1.0}),
        measures(1, {"threat_1": 0.5, "score": 2.0}),
    ]
    found = intervals(told)
    assert math.isnan(found["threat_1"].mean)
    # Of two seeds a range is told, and no interval claimed.
    score = found["score"]
    assert (score.mean, score.least, score.most) == (1.5, 1.0, 2.0)
    assert math.isnan(score.low)
    assert math.isnan(score.high)
    assert (score.base_policies, score.runs) == (1, 2)


def test_what_has_no_interval_has_no_mean_over_seeds() -> None:
    figures = {"exposed": 200.0, "base_exposed": 100.0, "kl": 1.0, "score": 1.0}
    told = [measures(seed, figures) for seed in (0, 1, 2)]
    same = Interval(mean=1.0, low=1.0, high=1.0, least=1.0, most=1.0, base_policies=1, runs=3)
    assert intervals(told) == {"score": same}


def test_a_headline_that_could_not_be_judged_says_why() -> None:
    def arm(figures: dict[str, float], reasons: dict[str, str] | None = None) -> dict[str, str]:
        judged = {"threat_1": 0.5, "threat_2": 0.0}
        both = [measures(0, judged | figures, reasons), measures(1, judged)]
        found = arm_results("", both, [ProxyAndGold(curves={})] * 2)
        assert found.figure("threat_1") is None
        threat_2 = found.figure("threat_2")
        assert threat_2 is not None
        assert (threat_2.mean, threat_2.least, threat_2.most) == (0.0, 0.0, 0.0)
        return found.reasons

    never = {"threat_1": "never exposed", "heritability": "2 responses"}
    assert arm({"threat_1": NAN}, never) == {"threat_1": "never exposed"}
    # The reason is that of the first seed, which here was judged.
    assert arm({"threat_1": NAN}) == {"threat_1": "not judged in every seed"}


def test_an_arm_holds_its_seeds_and_orders_only_where_checkpoints_tell_them() -> None:
    told = [measures(seed, {"threat_1": 0.5}) for seed in (3, 7)]
    curves = [ProxyAndGold(curves={})] * 2
    found = arm_results("what it is for", told, curves, bound=5)
    assert (found.summary, [one.seed for one in found.seeds]) == ("what it is for", [3, 7])
    assert found.orders == orders(told, 5)
    assert [one.word for one in found.orders] == ["undecided", "undecided"]
    assert arm_results("", told, curves).orders == []
