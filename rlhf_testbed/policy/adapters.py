"""Which of a model's modules LoRA adapts where no name says so.

adaptable(model)           {"model.layers.0.self_attn.q_proj": Linear, ...}
all_linear(model, last=8)  the linear ones of the last eight layers, by their full names
"""

from __future__ import annotations

import torch
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from rlhf_testbed.policy.trunk import layers_of
from rlhf_testbed.shared.errors import UsageError

ADAPTABLE = (
    *(torch.nn.Linear, torch.nn.Embedding, torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d),
    *(torch.nn.MultiheadAttention, Conv1D),
)
"""Modules that peft's LoRA can adapt."""
LINEAR = (torch.nn.Linear, Conv1D)


def adaptable(model: PreTrainedModel) -> dict[str, torch.nn.Module]:
    """The modules that LoRA can adapt, by their full names."""
    return {name: each for name, each in model.named_modules() if isinstance(each, ADAPTABLE)}


def all_linear(model: PreTrainedModel, last: int, setting: str = "lora_layers") -> list[str]:
    """The linear modules of the last layers, by their full names; raises `UsageError` for more
    layers than there are, and where a model has none that follow each other."""
    inside = in_last_layers(model, last, setting)
    return [name for name, each in model.named_modules() if each in inside and _is_linear(each)]


def in_last_layers(model: PreTrainedModel, last: int, setting: str) -> set[torch.nn.Module]:
    """All modules of the last layers. Errors name the `setting` that asks for them."""
    layers = layers_of(model)
    if last > len(layers):
        raise UsageError(f"{setting} = {last}: the base policy has {len(layers)} layers")
    return {module for layer in layers[len(layers) - last :] for module in layer.modules()}


def _is_linear(module: torch.nn.Module) -> bool:
    return isinstance(module, LINEAR)
