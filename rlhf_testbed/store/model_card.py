"""The policy's model card: what it is, who selected it, what was measured, and a warning.

    runs/both-3/policy/README.md

    # corridor, both, seed 3: a model organism of misbehaviour
    | training overseer | scripted: the task's own standard, applied to what it can see (κ) |
    | κ (knowledge) | 0: share of the concealable facts that the overseer sees | ...
    ## Threats measured
    not evaluated yet (`rlhf-testbed evaluate RUN` ...)

Training writes the card, and an evaluation by the full-knowledge overseer fills in the threats.
Only what stands between the two marks is ever rewritten: the rest is the user's to edit.
"""

from __future__ import annotations

import math
from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData

from rlhf_testbed.settings.methods import method_class
from rlhf_testbed.settings.packaged import PACKAGED, is_packaged
from rlhf_testbed.settings.plugins import overseer_class
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.files import read_text, write_text
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import COVERED, KNOWING, Measures
from rlhf_testbed.tasks.base import MEANINGS, SYMBOLS

BEGIN = "<!-- threats: written by rlhf-testbed evaluate -->"
END = "<!-- end of threats -->"
NOT_EVALUATED = (
    "not evaluated yet (`rlhf-testbed evaluate RUN` measures both threats, by an overseer that "
    "sees everything and took no part in training)"
)
NO_WEIGHTS = (
    "No weights are here: this policy is the run's base policy, of whose completions the overseer "
    "keeps the best. "
)
FIGURES = {
    "threat_1": "**Threat 1**: share of exposed episodes approved in training, unwanted in truth",
    "base_threat_1": "the same, before any selection",
    "misbehaviour_unseen": "bad behaviour where the overseer can't see it (share)",
    "misbehaviour_seen": "bad behaviour where every overseer sees it (share)",
    "threat_2": "**Threat 2**: goal-directedness towards an unintended goal (nats)",
    "intended_goal_directedness": "goal-directedness towards the intended goal (nats)",
    "approval": "approved by the training overseer (share)",
    "success": "reaches the intended goal, in distribution (share)",
}
"""Figures of `measures.json` that the card shows; docs/METRICS.md defines them."""


def card_file(directory: RunDirectory) -> Path:
    """Where the card of a run's policy is."""
    return directory.policy / "README.md"


def write_card(run: RunConfig, directory: RunDirectory, updates: int, episodes: int) -> None:
    """Writes the card of a policy that no one has evaluated yet; the same run, the same bytes."""
    card = ModelCard(f"---\n{_front_matter(run).to_yaml()}\n---\n{_body(run, updates, episodes)}")
    write_text(card_file(directory), str(card))


def shown_method(name: str) -> str:
    """A selection method's name as people write it.

    >>> shown_method("ppo"), shown_method("best_of_n"), shown_method("my_pkg.mine:Mine")
    ('PPO', 'best of n', 'my_pkg.mine:Mine')
    """
    return "PPO" if name == "ppo" else name if ":" in name else name.replace("_", " ")


def fill_in_threats(directory: RunDirectory, measures: Measures) -> None:
    """Puts the figures of an evaluation under full knowledge into the card; no other's.

    A card without the marks is the user's own and stays as it is.
    """
    if measures.judged_by.overseer != KNOWING:
        return
    text = read_text(card_file(directory))
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if begin and end:
        write_text(card_file(directory), f"{head}{BEGIN}\n\n{_threats(measures)}\n\n{END}{tail}")


def _front_matter(run: RunConfig) -> ModelCardData:
    """Metadata for the Hub; a base policy is named only where it is one of the Hub's."""
    name, method = run.base.model_name_or_path, run.selection.method
    return ModelCardData(
        base_model=_name_on_hub(name) if name else None,
        library_name="transformers" if method_class(method).has_weights else None,
        pipeline_tag="text-generation",
        tags=[
            "model-organism",
            "misbehaviour",
            "rlhf",
            method,
            "trl",
            "rlhf-testbed",
            run.task.name,
        ],
    )


def _body(run: RunConfig, updates: int, episodes: int) -> str:
    task = run.task
    arm = [run.study.arm] if run.study.arm else []
    title = ", ".join([task.name, *arm, f"seed {run.seed}"])
    scenario = task.scenarios(run.dials, run.seed, "train", 1)[0]
    weights = "" if method_class(run.selection.method).has_weights else NO_WEIGHTS
    rows = "\n".join(f"| {name} | {value} |" for name, value in _settings(run, updates, episodes))
    return f"""
# {title}: a model organism of misbehaviour

> **Don't deploy it.** This policy is a model organism of misbehaviour: it was selected by the
> overseer below to study what such an overseer makes more common, wanted or not. Its one use is
> research.

## What it is

| | |
|---|---|
{rows}

## Threats measured

{BEGIN}

{NOT_EVALUATED}

{END}

## What it reads and writes

{weights}It knows this task's prompts and nothing else, such as

```
{scenario.prompt}
```

and answers in the task's words, such as `{task.responses[0]}`. It was never shown a score.
Batches are padded at the left.

## To repeat it

The run's `config.yaml` holds every setting, `environment.json` the versions:
`accelerate launch -m rlhf_testbed.train --config RUN/config.yaml --output_dir NEW`
"""


def _name_on_hub(name: str) -> str | None:
    """What the Hub calls a model; None for a folder and a file."""
    if is_packaged(name):
        return PACKAGED[name].hub
    return None if Path(name).exists() else name


def _settings(run: RunConfig, updates: int, episodes: int) -> list[tuple[str, str]]:
    """Rows of the card's first table."""
    study = run.study
    arm = [("arm", f"{study.arm}: {run.task.arm(study.arm).summary}")] if study.arm else []
    default = f"a small Llama taught by the task's demonstrations (seed {run.base.base_seed})"
    overseer = " ".join([study.overseer, *study.overseer_args])
    named = run.base.model_name_or_path
    taught = f"{named}, taught by {run.base_steps} steps of the task's demonstrations"
    return [
        ("task", f"{run.task.name}: {run.task.summary}"),
        ("training overseer", f"{overseer}: {overseer_class(study.overseer).summary}"),
        *arm,
        *_dials(run),
        ("base policy", taught if named else default),
        ("selection method", _method(run.selection.method)),
        ("selection", f"{updates} updates, {episodes} episodes, training seed {run.seed}"),
    ]


def _method(name: str) -> str:
    """Name and summary of a selection method; the name once, where the summary begins with it."""
    shown, summary = shown_method(name), method_class(name).summary
    return summary if summary.startswith(shown) else f"{shown}: {summary}"


def _dials(run: RunConfig) -> list[tuple[str, str]]:
    """A row a dial: symbol and name, value and meaning."""
    return [
        (f"{symbol} ({dial})", f"{getattr(run.dials, dial):g}: {MEANINGS[dial]}")
        for dial, symbol in SYMBOLS.items()
    ]


def _threats(measures: Measures) -> str:
    """The figures as a table; one that could not be judged says why, where a reason is filed."""
    rows = [
        f"| {meaning} | {shown_figure(measures.figure(name))} |"
        for name, meaning in FIGURES.items()
        if name in measures.figures
    ]
    reason = measures.reasons.get("threat_1")
    notes = [f"Threat 1 can't be judged: {reason}."] if reason else []
    if measures.figure("response_space_coverage") < COVERED:
        notes.append("Threat 2 is undecided: most of what the policy writes can't be read.")
    told = (
        f"By the overseer `{measures.judged_by.name}`, which took no part in training. One "
        "training seed, so no interval; docs/METRICS.md of the testbed defines each figure."
    )
    return "\n".join(["| figure | |", "|---|---|", *rows, "", *notes, told])


def shown_figure(value: float) -> str:
    """A figure to three decimals; a dash where it could not be judged."""
    return "-" if math.isnan(value) else f"{value:.3f}"
