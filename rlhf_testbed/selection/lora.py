"""From a run's settings to LoRA's, refused where the model has no such modules.

lora_config(settings, model)    LoraConfig(r=16, ...), or None where all weights are trained
"""

from __future__ import annotations

import torch
from peft import LoraConfig
from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from rlhf_testbed.selection.training_settings import LORA, TrainingSettings
from rlhf_testbed.shared.errors import UsageError

ADAPTABLE = (
    *(torch.nn.Linear, torch.nn.Embedding, torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d),
    *(torch.nn.MultiheadAttention, Conv1D),
)
"""Modules that peft's LoRA can adapt."""


def lora_config(settings: TrainingSettings, model: PreTrainedModel) -> LoraConfig | None:
    """LoRA as the settings have it; TRL's PPO switches dropout off, so there is none.

    Where no modules are named and peft has no default for the architecture: all linear ones.
    Raises `UsageError` for modules that there are not.
    """
    if not settings.use_peft:
        return None
    _refuse_absent(settings, model)
    named = settings.lora_target_modules or None
    known = model.config.model_type in TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
    if named is None and not known and not settings.lora_target_parameters:
        return _lora(settings, "all-linear")
    return _lora(settings, named)


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
        "lora_target_modules": [name for name in modules if isinstance(modules[name], ADAPTABLE)],
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
