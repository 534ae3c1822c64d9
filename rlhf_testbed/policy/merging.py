"""A LoRA policy merged into one model that reads and writes as the adapter does.

    merged(policy)    of a model whose input and output embeddings are one matrix, and of which
                      LoRA adapts one or both: two matrices, since they differ now

Merged as they are, each adapter would be added to the one matrix that both ends share, and the
policy on disk would be another one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import PreTrainedModel

from rlhf_testbed.policy.language import Language


def merged(policy: PeftModel) -> PreTrainedModel:
    """The policy without its adapter, whose weights are changed instead; `policy` is used up."""
    _untie(policy.get_base_model())
    found: PreTrainedModel = policy.merge_and_unload()
    return found


def plain(policy: torch.nn.Module) -> PreTrainedModel:
    """The model itself, with the adapter's layers in it where there are any."""
    found: PreTrainedModel = policy.get_base_model() if isinstance(policy, PeftModel) else policy
    return found


def adapted(base: Language, adapter: Path) -> Language:
    """A base policy, which is used up, with the adapter of a folder in it."""
    with_adapter = PeftModel.from_pretrained(base.model, str(adapter)).eval()
    return Language(plain(with_adapter), base.tokenizer)


def _untie(model: Any) -> None:
    """Gives the output embeddings a matrix of their own where LoRA adapts either end."""
    inner, outer = model.get_input_embeddings(), model.get_output_embeddings()
    adapted = any(isinstance(end, BaseTunerLayer) for end in (inner, outer))
    if not adapted or outer is None or outer.weight is not inner.weight:
        return
    plain = outer.get_base_layer() if isinstance(outer, BaseTunerLayer) else outer
    plain.weight = torch.nn.Parameter(plain.weight.detach().clone(), requires_grad=False)
    for config in (model.config, model.config.get_text_config()):
        config.tie_word_embeddings = False
