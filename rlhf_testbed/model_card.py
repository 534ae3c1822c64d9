"""The policy's model card: what it is, who selected it, what was measured, and a warning.

    runs/both-3/policy/README.md

    # corridor, both, seed 3: a model organism of misbehaviour
    | training overseer | scripted: the task's own standard, applied to what it can see (κ) |
    | κ (knowledge) | 0: share of the concealable facts that the overseer sees | ...
    ## Threats measured
    not evaluated yet (`rlhf-testbed evaluate RUN` ...)

Training writes the card, and an evaluation by a held-out overseer fills in the threats. Only what
stands between the two marks is ever rewritten: the rest is the user's to edit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from rlhf_testbed.config import DIALS, RunConfig, TestbedConfig
from rlhf_testbed.files import read_text, write_text
from rlhf_testbed.plugins import overseer_class
from rlhf_testbed.run_directory import RunDirectory

BEGIN = "<!-- threats: written by rlhf-testbed evaluate -->"
END = "<!-- end of threats -->"
NOT_EVALUATED = (
    "not evaluated yet (`rlhf-testbed evaluate RUN` measures both threats, by an overseer that "
    "took no part in training)"
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


def fill_in_threats(directory: RunDirectory, measures: Mapping[str, Any]) -> None:
    """Puts the figures of an evaluation by a held-out overseer into the card.

    A card without the marks is the user's own and stays as it is.
    """
    text = read_text(card_file(directory))
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if begin and end:
        write_text(card_file(directory), f"{head}{BEGIN}\n\n{_threats(measures)}\n\n{END}{tail}")


def _front_matter(run: RunConfig) -> ModelCardData:
    """Metadata for the Hub; a base model is named only where it is one of the Hub's."""
    name = run.language.model_name_or_path
    tags = ["model-organism", "misbehaviour", "rlhf", "ppo", "trl", "rlhf-testbed"]
    return ModelCardData(
        base_model=name if name and not Path(name).exists() else None,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=[*tags, run.task.name],
    )


def _body(run: RunConfig, updates: int, episodes: int) -> str:
    task, seed = run.task, run.selection.seed
    title = ", ".join([task.name, *([run.testbed.arm] if run.testbed.arm else []), f"seed {seed}"])
    scenario = task.scenarios(run.dials, seed, "train", 1)[0]
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

It knows this task's prompts and nothing else, such as

```
{scenario.prompt}
```

and answers in the task's words, such as `{task.responses[0]}`. It was never shown a score.
Batches are padded at the left.

## To repeat it

The run's `config.yaml` holds every setting, `environment.json` the versions:
`accelerate launch -m rlhf_testbed.train --config RUN/config.yaml --output_dir NEW`
"""


def _settings(run: RunConfig, updates: int, episodes: int) -> list[tuple[str, str]]:
    """Rows of the card's first table."""
    testbed = run.testbed
    helps = {one.name: one.metadata.get("help", "") for one in dataclasses.fields(TestbedConfig)}
    dials = []
    for dial in DIALS:
        symbol, _, meaning = helps[dial].partition(": ")
        dials.append((f"{symbol} ({dial})", f"{getattr(run.dials, dial):g}: {meaning.rstrip('.')}"))
    arm = [("arm", f"{testbed.arm}: {run.task.arm(testbed.arm).summary}")] if testbed.arm else []
    default = f"a small Llama taught by the task's demonstrations (seed {testbed.population_seed})"
    overseer = " ".join([testbed.overseer, *testbed.overseer_args])
    named = run.language.model_name_or_path
    taught = f"{named}, taught by {run.population_steps} steps of the task's demonstrations"
    return [
        ("task", f"{run.task.name}: {run.task.summary}"),
        ("training overseer", f"{overseer}: {overseer_class(testbed.overseer).summary}"),
        *arm,
        *dials,
        ("base population", taught if named else default),
        ("selected by", f"PPO, {updates} updates, {episodes} episodes, seed {run.selection.seed}"),
    ]


def _threats(measures: Mapping[str, Any]) -> str:
    """The figures as a table; one that could not be judged says why, where a reason is filed."""
    rows = [
        f"| {meaning} | {_shown(measures[name])} |"
        for name, meaning in FIGURES.items()
        if name in measures
    ]
    reason = measures.get("threat_1_reason")
    notes = [f"Threat 1 can't be judged: {reason}."] if reason else []
    told = (
        f"By the overseer `{measures['overseer']}`, which took no part in training. One training "
        "seed, so no interval; docs/METRICS.md of the testbed defines each figure."
    )
    return "\n".join(["| figure | |", "|---|---|", *rows, "", *notes, told])


def _shown(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.3f}"
