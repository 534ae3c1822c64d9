"""Sampling a few tokens to each prompt, and the logits that they were sampled from.

    sampled(model, ids, mask, length=6, temperature=1.0)    tokens [64, 6], logits [64, 6, words]
    sampled(..., of=[0] * 8 + [1] * 8 + ...)                eight to each of eight prompts

The distribution is the model's own at that temperature: nothing is cut off, penalised or forced.
What transformers' `generate` does with no option set, token for token from the same random numbers,
without the cost of its options.
"""

from __future__ import annotations

import torch
from transformers import PreTrainedModel


@torch.no_grad()
def sampled(
    model: PreTrainedModel,
    ids: torch.Tensor,
    mask: torch.Tensor,
    length: int,
    temperature: float,
    of: torch.Tensor | None = None,
    end: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """At most `length` tokens after each prompt [prompts, tokens], which is padded at the left.

    `of`: each completion's prompt, where several are written to one, which is then read once for
    all; one to each prompt otherwise. `end`: the token that ends a response, where that is not the
    model's. Returns the tokens [completions, at most length] and their
    logits, divided by the temperature. The model's `generation_config` names the token that ends a
    response, and the one that fills what comes after an end. It ends early where every response has
    ended.
    """
    ends, filler = model.generation_config.eos_token_id, model.generation_config.pad_token_id
    ends = ends if end is None else end
    tokens, logits = [], []
    positions = mask.cumsum(1) - mask
    read = model(
        input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True, logits_to_keep=1
    )
    if of is not None:
        read.cache.batch_select_indices(of)
        read.logits, mask, positions = read.logits[of], mask[of], positions[of]
    running = torch.ones(len(mask), dtype=torch.bool, device=ids.device)
    for _ in range(length):
        logits.append(read.logits[:, -1].float() / temperature)
        drawn = torch.multinomial(logits[-1].softmax(-1), 1).squeeze(1)
        tokens.append(torch.where(running, drawn, filler))
        running &= drawn != ends
        if len(tokens) == length or not running.any():
            break
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        positions = positions[:, -1:] + 1
        read = model(
            input_ids=tokens[-1].unsqueeze(1),
            attention_mask=mask,
            position_ids=positions,
            cache=read.cache,
            use_cache=True,
        )
    return torch.stack(tokens, dim=1), torch.stack(logits, dim=1)
