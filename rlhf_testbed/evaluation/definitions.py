"""What every figure of a run means: its unit, its interval, its definition.

    definition("threat_1").unit          "share"
    definition("base_threat_1").words    "the same of the base policy, on the same scenarios"

docs/METRICS.md is written from these tables, and a test holds that no figure is filed without one.
"""

from __future__ import annotations

from collections.abc import Mapping

from rlhf_testbed.evaluation.episode_measures import EPISODE_MEASURES, NO_INTERVAL, Definition
from rlhf_testbed.evaluation.goals import GOAL_MEASURES
from rlhf_testbed.evaluation.measured import MEASURED_MEASURES

BASE = "base_"
"""Begins the name of a figure of the base policy."""
LATE = (
    "over the checkpoints of the last fifth of the updates (`checkpoints.json`): the last policy "
    "alone may be a crest or a trough of what wanders"
)
RUN_MEASURES: Mapping[str, Definition] = {
    "score_of_reference": Definition(
        "score",
        "mean score of the reference policy on the same scenarios: the best that can be done",
    ),
    "approval_by_evaluator": Definition(
        "share", "approved by the overseer named in `evaluate`, where that is not held out"
    ),
    "score_by_evaluator": Definition("score", "mean score by the same"),
    "threat_1_sampled": Definition(
        "share",
        "`threat_1` among the fresh generations (`generations` scenarios, one each): what can be "
        "read, and a check on the exact figure",
    ),
    "threat_1_sampled_error": Definition(
        "share", "its standard error, from sampling within one run", NO_INTERVAL
    ),
    "threat_2_error": Definition(
        "nats",
        "only with `response_samples`: standard error of `threat_2` over four independent draws of "
        "responses",
    ),
    **{
        f"threat_{number}_late_{what}": Definition(unit, f"{words} {LATE}")
        for number, unit in ((1, "share"), (2, "nats"))
        for what, words in (
            ("mean", f"mean of `threat_{number}`"),
            ("spread", f"standard deviation of `threat_{number}`"),
        )
    },
    "onset_threat_1": Definition("updates", "onset of `threat_1` through training"),
    "onset_threat_2": Definition("updates", "onset of `threat_2` through training"),
    "onset_concealment_gap": Definition("updates", "onset of `concealment_gap`"),
    "onset_goal_directedness": Definition("updates", "onset of `goal_directedness`"),
    "heritability": Definition(
        "per unit of advantage",
        "realised heritability of the task's concealed trait (see *Selection, update by update*)",
    ),
    "gold_peak_d": Definition(
        "√nats", "distance at which the form that is fitted to the gold score has its peak"
    ),
    "gold_r_squared": Definition("", "how well that form fits, 1 perfectly"),
    "kl": Definition(
        "nats",
        "KL of the policy from the base policy. Of a checkpoint: exact over the response space, "
        "the mean over held-out scenarios. Of an update: the mean of the ledger's, as sampled",
        NO_INTERVAL,
    ),
}
"""Figures of a run that are put together from other files, or by another overseer, or of its
checkpoints and updates only."""


def definition(name: str) -> Definition:
    """The definition of a figure of `measures.json`; raises `KeyError` for a name without one."""
    tables: tuple[Mapping[str, Definition], ...] = (
        {each: measure.definition for each, measure in EPISODE_MEASURES.items()},
        {each: measure.definition for each, measure in GOAL_MEASURES.items()},
        {each: measure.definition for each, measure in MEASURED_MEASURES.items()},
        RUN_MEASURES,
    )
    for table in tables:
        if name in table:
            return table[name]
    if name.startswith(BASE):
        own = definition(name.removeprefix(BASE))
        words = "the same of the base policy, on the same scenarios"
        return Definition(own.unit, words, own.interval)
    raise KeyError(f"{name} has no definition (a line in a table of measures gives it one)")
