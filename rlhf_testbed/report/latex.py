r"""The table of arms for a paper: LaTeX with booktabs, every figure with its interval below it.

    \toprule
    arm & $\kappa$ & ... & threat 1 & threat 2 (nats) & ... \\
    \midrule
    both & 0 & ... & \begin{tabular}[t]{@{}r@{}}0.99 \\ \scriptsize [0.98,1.00]\end{tabular} ... \\
    \bottomrule

It is as wide as a column of text. The figures and their headings are those of the table that an
experiment prints. Gates that did not pass, what the intervals are over, and why a figure is missing
are said in the caption; how many runs an arm has, too, unless arms differ in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

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
BETWEEN = "\\addlinespace"
SMALL = "\\par\\smallskip\n\\footnotesize\n\\setlength{\\tabcolsep}{2pt}"
"""What makes the table fit a column of text, and keeps it off its caption."""
NEEDS = "% needs \\usepackage{booktabs}; written by rlhf-testbed publish --latex\n"


def arms_as_latex(results: Results) -> str:
    """The table of arms with a caption, and a label `tab:TASK`."""
    counts = [_n(len(set(arm.runs.base_seeds)), len(arm.runs)) for arm in results.arms.values()]
    differ = len(set(counts)) > 1
    rows = [
        {
            "arm": arm_cell(name),
            **{GREEK.get(s, s): f"{getattr(arm.dials, dial):g}" for dial, s in SYMBOLS.items()},
            **({"$n$": n} if differ else {}),
            **{_heading(figure): cell(arm.figure(figure)) for figure in COLUMNS},
        }
        for n, (name, arm) in zip(counts, results.arms.items(), strict=True)
    ]
    frame = pd.DataFrame(rows)
    table: str = frame.style.hide(axis="index").to_latex(
        hrules=True,
        column_format="@{}l" + "r" * (len(frame.columns) - 1) + "@{}",
        caption=_caption(results),
        label=f"tab:{results.task}",
        position_float="centering",
    )
    head, rule, body = table.partition("\\midrule\n")
    head = head.replace("\\begin{tabular}", f"{SMALL}\n\\begin{{tabular}}", 1)
    return NEEDS + head + rule + body.replace(" \\\\\n", f" \\\\\n{BETWEEN}\n", len(rows) - 1)


def cell(interval: Interval | None) -> str:
    r"""A mean above its interval, or above the range of two; a dash where nothing was judged.

    >>> print(cell(Interval(mean=0.984, low=0.97, high=0.998)))
    \begin{tabular}[t]{@{}r@{}}0.98 \\ \scriptsize [0.97,1.00]\end{tabular}
    >>> nan = math.nan
    >>> print(cell(Interval(mean=0.5, low=nan, high=nan, least=0.4, most=0.6, runs=2)))
    \begin{tabular}[t]{@{}r@{}}0.50 \\ \scriptsize 0.40 to 0.60\end{tabular}
    >>> cell(Interval(mean=0.5, low=nan, high=nan)), cell(None)
    ('0.50', '--')
    """
    if interval is None or math.isnan(interval.mean):
        return "--"
    mean = short(interval.mean)
    below = ""
    if alike(interval):
        below = "all alike"
    elif bounded(interval):
        below = f"[{short(interval.low)},{short(interval.high)}]"
    elif ranged(interval):
        below = f"{short(interval.least)} to {short(interval.most)}"
    return stacked("r", [mean, rf"\scriptsize {below}"] if below else [mean])


def arm_cell(name: str) -> str:
    """An arm's name, with what is varied in it below, a line each."""
    first, *varied = escaped(name).split(" ")
    return stacked("l", [first, *(rf"\scriptsize {one}" for one in varied)])


def stacked(side: str, lines: Sequence[str]) -> str:
    r"""Lines above each other in one cell, set to a side.

    >>> print(stacked("l", ["both", "seed=3"]))
    \begin{tabular}[t]{@{}l@{}}both \\ seed=3\end{tabular}
    """
    inside = r" \\ ".join(lines)
    begin = rf"\begin{{tabular}}[t]{{@{{}}{side}@{{}}}}"
    return rf"{begin}{inside}\end{{tabular}}" if len(lines) > 1 else inside


def escaped(text: str) -> str:
    r"""Text in which no sign is a command.

    >>> print(escaped("both randomised=0.5, 95 % of {x_1} at κ"))
    both randomised=0.5, 95 \% of \{x\_1\} at $\kappa$
    """
    return "".join(SPECIAL.get(sign, sign) for sign in text)


def _heading(figure: str) -> str:
    unit = ["(nats)"] if figure == "threat_2" else []
    return stacked("r", [COLUMNS[figure], *unit])


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
