"""Reading a prompt once for all of its completions, with gradients.

    read(model, ids, mask, of=[0, 0, 1, 1], responses)    logits [4, tokens, words] of two prompts

GRPO and its kin write several completions to each prompt, and prompts are longer than responses: of
64 sequences of 17 + 6 tokens, 8 prompts, a third of the tokens is left to be read. What the model
keeps of a prompt (keys and values) is repeated for each completion, and gradients flow back through
it. `reads_alike` tries a model on two short prompts; one that gives other logits or gradients is
read in whole sequences instead.
"""

from __future__ import annotations

from typing import Any

import torch

from rlhf_testbed.selection.narrow import Narrow, same, short_prompts

TRIED = 4
"""Trained tensors, from the first, whose gradients are compared."""


def kept(
    model: Any, ids: torch.Tensor, mask: torch.Tensor, of: torch.Tensor, narrow: Narrow
) -> tuple[Any, torch.Tensor]:
    """What a model keeps of prompts [prompts, tokens], padded at the left, for each completion.

    `of`: each completion's prompt [completions]. Returns the cache and the logits of the first
    token, [completions, 1, words].
    """
    with narrow.to(1):
        read = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=mask.cumsum(1) - mask,
            use_cache=True,
        )
    read.cache.batch_select_indices(of)
    return read.cache, read.logits[of, -1:]


def read(
    model: Any,
    ids: torch.Tensor,
    mask: torch.Tensor,
    of: torch.Tensor,
    responses: torch.Tensor,
    narrow: Narrow,
) -> torch.Tensor:
    """Logits of responses [completions, tokens] to their prompts: [completions, tokens, words]."""
    cache, first = kept(model, ids, mask, of, narrow)
    if responses.shape[1] == 1:
        return first
    given = responses[:, :-1]
    whole = torch.cat([mask[of], torch.ones_like(given)], dim=1)
    positions = (whole.cumsum(1) - whole)[:, -given.shape[1] :]
    after = model(
        input_ids=given, attention_mask=whole, position_ids=positions, cache=cache, use_cache=True
    )
    return torch.cat([first, after.logits], dim=1)


def reads_alike(model: Any, narrow: Narrow) -> bool:
    """Whether `read` gives a model's own logits and gradients, tried on two prompts twice each."""
    ids, mask = short_prompts(model)
    of = torch.tensor([0, 0, 1, 1], device=ids.device)
    responses = torch.tensor([[1, 2, 1], [2, 1, 1], [1, 1, 2], [2, 2, 1]], device=ids.device)
    sequences = torch.cat([ids[of], responses], dim=1)[:, :-1]
    real = torch.cat([mask[of], torch.ones_like(responses)], dim=1)[:, :-1]
    trained = [each for each in model.parameters() if each.requires_grad][:TRIED]
    with torch.enable_grad():
        whole = model(
            input_ids=sequences,
            attention_mask=real,
            position_ids=real.cumsum(1) - real,
            use_cache=False,
        ).logits[:, -responses.shape[1] :]
        try:
            found = read(model, ids, mask, of, responses, narrow)
            there, here = (
                torch.autograd.grad(each.float().logsumexp(-1).sum(), trained, allow_unused=True)
                for each in (whole, found)
            )
        except Exception:  # whatever a model of another make says to being read in two parts
            return False
    pairs = zip(there, here, strict=True)
    alike = all(
        (one is None) == (other is None) and (one is None or same(one, other))
        for one, other in pairs
    )
    return alike and same(whole, found)
