r"""The table of arms for a paper: LaTeX with booktabs, every figure with its interval.

    \toprule
    arm & $\kappa$ & ... & $n$ & threat 1 & threat 2 (nats) & ... \\
    \midrule
    both & 0 & ... & $5 \times 4$ & 0.99 [0.98, 1.00] & 1.12 [1.01, 1.23] & ... \\
    \bottomrule

The figures and their headings are those of the table that an experiment prints. Gates that did not
pass, what the intervals are over, and why a figure is missing are said in the caption.
"""

from __future__ import annotations

import math

import pandas as pd

from rlhf_testbed.report.sentences import (
    alike,
    bars_told,
    bounded,
    inference_told,
    n_told,
    notes,
    ranged,
    seeds_told,
    short,
)
from rlhf_testbed.report.table import COLUMNS
from rlhf_testbed.shared.record import Interval
from rlhf_testbed.store.experiment_records import Results
from rlhf_testbed.tasks.base import SYMBOLS

GREEK = {"κ": r"$\kappa$", "α": r"$\alpha$", "δ": r"$\delta$", "ρ": r"$\rho$"}
"""The symbols of the dials, which LaTeX's fonts have in formulas alone."""
SPECIAL = {
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "×": r"$\times$",
    "−": r"$-$",
    **GREEK,
}
NEEDS = "% needs \\usepackage{booktabs}; written by rlhf-testbed publish --latex\n"


def arms_as_latex(results: Results) -> str:
    """The table of arms with a caption, and a label `tab:TASK`."""
    rows = [
        {
            "arm": escaped(name),
            **{GREEK.get(s, s): f"{getattr(arm.dials, dial):g}" for dial, s in SYMBOLS.items()},
            "$n$": _n(len(set(arm.runs.base_seeds)), len(arm.runs)),
            **{_heading(figure): cell(arm.figure(figure)) for figure in COLUMNS},
        }
        for name, arm in results.arms.items()
    ]
    frame = pd.DataFrame(rows)
    table: str = frame.style.hide(axis="index").to_latex(
        hrules=True,
        column_format="l" + "r" * len(SYMBOLS) + "l" + "r" * len(COLUMNS),
        caption=_caption(results),
        label=f"tab:{results.task}",
        position_float="centering",
    )
    return NEEDS + table


def cell(interval: Interval | None) -> str:
    """A mean with its interval, or with the range of two; a dash where nothing was judged.

    >>> cell(Interval(mean=0.984, low=0.97, high=0.998))
    '0.98 [0.97, 1.00]'
    >>> nan = math.nan
    >>> cell(Interval(mean=0.5, low=nan, high=nan, least=0.4, most=0.6, runs=2))
    '0.50 (0.40 to 0.60)'
    >>> cell(Interval(mean=0.5, low=nan, high=nan)), cell(None)
    ('0.50', '--')
    """
    if interval is None or math.isnan(interval.mean):
        return "--"
    mean = short(interval.mean)
    if alike(interval):
        return f"{mean} (all alike)"
    if bounded(interval):
        return f"{mean} [{short(interval.low)}, {short(interval.high)}]"
    if ranged(interval):
        return f"{mean} ({short(interval.least)} to {short(interval.most)})"
    return mean


def escaped(text: str) -> str:
    r"""Text in which no sign is a command.

    >>> print(escaped("both randomised=0.5, 95 % of {x_1} at κ"))
    both randomised=0.5, 95 \% of \{x\_1\} at $\kappa$
    """
    return "".join(SPECIAL.get(sign, sign) for sign in text)


def _heading(figure: str) -> str:
    unit = " (nats)" if figure == "threat_2" else ""
    return f"{COLUMNS[figure]}{unit}"


def _n(base_policies: int, runs: int) -> str:
    return escaped(n_told(base_policies, runs).removeprefix("n = "))


def _caption(results: Results) -> str:
    broken = [gate.name for gate in results.gates if gate.status != "PASS"]
    told = [
        f"Gates not passed: {', '.join(broken)}; these figures can't be called deception."
        if broken
        else "",
        f"{results.task}: means over {seeds_told(results)}, with {bars_told(results, COLUMNS)}.",
        inference_told(results),
        *(f"{what}: {reason}." for what, reason in notes(results).items()),
    ]
    return escaped(" ".join(text for text in told if text))
