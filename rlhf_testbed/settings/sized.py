"""Defaults that depend on how large a model is: what suits 0.35 M parameters suits no other.

    --model smollm2-135m-instruct    134.5 M: LoRA on all linear layers, learning_rate 2e-3, ...
    --use_peft false                 any of them can be set otherwise

Settled when a run is parsed, so that its resolved settings name all of them.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, Final

from transformers.utils import is_torch_bf16_gpu_available

from rlhf_testbed.settings.model_size import parameters
from rlhf_testbed.settings.run import RunConfig

LARGE_FROM: Final = 50_000_000
"""Parameters from which a model is a large one."""
LARGE: Final[Mapping[str, Any]] = {
    "attn_implementation": "sdpa",
    "demonstrations": 2400,
    "base_steps": 150,
    "base_batch_size": 16,
    "base_learning_rate": 2e-3,
    "base_lora_r": 16,
    "base_patience": 3,
    "use_peft": True,
    "lora_target_modules": ["all-linear"],
    "learning_rate": 3e-4,
    "value_layers": 0,
}
"""Of large models, as found on SmolLM2-135M (docs/LOG.md), but for a learning rate of selection
that errs on the low side."""
BOUNDED: Final[Mapping[str, Any]] = {"learning_rate": 2e-3, "target_kl": 0.05}
"""The same where the method bounds a step: LoRA's are then as large as the bound lets them be."""
ON_A_GPU: Final[Mapping[str, Any]] = {"dtype": "bfloat16", "gradient_checkpointing": True}
"""Of large models besides, where there is a GPU that computes in bfloat16."""
SETTLED: Final[Mapping[tuple[str, str], str]] = {
    ("use_peft", "false"): "lora_target_modules",
    ("exact", "true"): "value_layers",
}
"""What another setting, once given, settles: all weights need no LoRA, TRL's own loop no head."""


def told_of_size(run: RunConfig) -> str:
    """What was settled by how large the run's model is, in a line; empty for a small one."""
    name, settings = run.base.model_name_or_path, run.flat()
    size = parameters(name, run.base.model_revision) if name else 0
    if size is not None and size < LARGE_FROM:
        return ""
    asked = {each: settings[each] for each in (*LARGE, "target_kl", *ON_A_GPU) if each in settings}
    words = {n: " ".join(v) if isinstance(v, list) else str(v) for n, v in asked.items()}
    told = [f"{each} {value}" for each, value in words.items()]
    much = "of unknown size" if size is None else f"of {size / 1e6:.0f} M parameters"
    return f"model {name} {much}: {', '.join(told)} (docs/MODELS.md)"


def sized_defaults(given: Mapping[str, Any], known: Container[str]) -> dict[str, Any]:
    """The defaults of a run that differ because its model is large; none where it is not.

    `given`: the settings that were asked for, as they were written; `known`: the names of those
    that the run has. Files are looked at only where a default is left to settle. Raises
    `UsageError` as `parameters` does.
    """
    model = given.get("model_name_or_path")
    if not model:
        return {}
    settled = {
        other for (name, value), other in SETTLED.items() if str(given.get(name)).lower() == value
    }
    large = {**LARGE, **BOUNDED} if _bounded(given, known) else LARGE
    asked = {**large, **ON_A_GPU}
    left = [name for name in asked if name in known and name not in {*given, *settled}]
    revision = str(given.get("model_revision") or "main")
    if not left:
        return {}
    size = parameters(str(model), revision)
    if size is not None and size < LARGE_FROM:  # what is not here yet is hardly ever small
        return {}
    here = asked if is_torch_bf16_gpu_available() else large
    return {name: here[name] for name in left if name in here}


def _bounded(given: Mapping[str, Any], known: Container[str]) -> bool:
    """Whether a run's method bounds the steps of its adapters; TRL's own loop does not."""
    words = {name: str(given.get(name)).lower() for name in ("exact", "use_peft")}
    return "target_kl" in known and words["exact"] != "true" and words["use_peft"] != "false"
