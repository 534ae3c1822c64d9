"""From a run's settings to LoRA's, refused where the model has no such modules.

lora_config(settings, model)    LoraConfig(r=16, ...), or None where all weights are trained
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from peft import LoraConfig
from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from transformers import PreTrainedModel

from rlhf_testbed.policy.adapters import adaptable, all_linear, in_last_layers
from rlhf_testbed.selection.training_settings import LORA, TrainingSettings
from rlhf_testbed.shared.errors import UsageError


def lora_config(settings: TrainingSettings, model: PreTrainedModel) -> LoraConfig | None:
    """LoRA as the settings have it; TRL's PPO switches dropout off, so there is none.

    Where no modules are named and peft has no default for the architecture: all linear ones.
    Raises `UsageError` for modules that there are not.
    """
    if not settings.use_peft:
        return None
    _refuse_absent(settings, model)
    named: list[str] | str | None = settings.lora_target_modules or None
    if named is None and not settings.lora_target_parameters:
        known = TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING.get(model.config.model_type, ())
        named = list(known) if known and _all_there(known, model) else "all-linear"
    if named == ["all-linear"]:
        named = "all-linear"
    if settings.lora_layers is not None and named is not None:
        named = _in_last(model, named, settings.lora_layers)
    return _lora(settings, named)


@contextmanager
def faults_of_lora_told() -> Iterator[None]:
    """Tells what peft refuses in one line, as a `UsageError`."""
    try:
        yield
    except ValueError as error:
        frames = traceback.extract_tb(error.__traceback__)
        if not any("peft" in Path(frame.filename).parts for frame in frames):
            raise
        raise UsageError(
            f"use_peft: LoRA can't adapt this model so: {' '.join(str(error).split()):.200} "
            "(right: other lora_target_modules, or use_peft: false)"
        ) from error


def _all_there(names: Iterable[str], model: PreTrainedModel) -> bool:
    """Whether each of those is the name of some module that LoRA can adapt."""
    there = {full.rpartition(".")[2] for full in adaptable(model)}
    return set(names) <= there


def recompute_activations(model: PreTrainedModel) -> None:
    """Lets a model compute its activations anew in each backward pass, instead of keeping them."""
    model.activation_checkpointing_enable({"use_reentrant": False})
    model.enable_input_require_grads()


def _in_last(model: PreTrainedModel, named: list[str] | str, last: int) -> list[str]:
    """The full names of those modules that are in the last layers."""
    if named == "all-linear":
        return all_linear(model, last)
    inside = in_last_layers(model, last, "lora_layers")
    found = [
        full
        for full, module in adaptable(model).items()
        if module in inside and any(f".{full}".endswith(f".{name}") for name in named)
    ]
    if not found:
        raise UsageError(
            f"lora_layers = {last}: none of lora_target_modules = {', '.join(named)} is in the "
            "last layers"
        )
    return found


def _lora(settings: TrainingSettings, modules: list[str] | str | None) -> LoraConfig:
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.lora_r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=0.0,
        target_modules=modules,
        target_parameters=settings.lora_target_parameters or None,
        modules_to_save=settings.lora_modules_to_save or None,
        use_rslora=settings.use_rslora,
        use_dora=settings.use_dora,
    )


def _refuse_absent(settings: TrainingSettings, model: PreTrainedModel) -> None:
    """Raises `UsageError` for what LoRA is to adapt or to keep whole and the model doesn't have."""
    modules = {name: module for name, module in model.named_modules() if name}
    there = {
        "lora_target_modules": list(adaptable(model)),
        "lora_target_parameters": [name for name, _ in model.named_parameters()],
        "lora_modules_to_save": list(modules),
    }
    assert set(there) == set(LORA)
    for setting, places in there.items():
        for name in getattr(settings, setting):
            meant = [each for each in modules if f".{each}".endswith(f".{name}")]
            found = [each for each in places if f".{each}".endswith(f".{name}")]
            if name != "all-linear" and (not found or not set(meant) <= set(found)):
                last = dict.fromkeys(each.rpartition(".")[2] for each in places)
                raise UsageError(
                    f"{setting} = {name} is nothing in the model that it can be "
                    f"(there are: {', '.join(last):.120})"
                )
