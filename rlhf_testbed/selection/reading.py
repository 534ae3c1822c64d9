"""Logits of completions by a model, with gradients: each prompt read once for all written to it.

    written = Written(prompts [8, 17], mask, of=[0] * 8 + [1] * 8 + ..., responses [64, 6])
    shared(model, written, narrow)    logits [64, 6, words]
    whole(model, written, narrow)     the same from whole sequences

GRPO and its kin write several completions to each prompt, and prompts are longer than responses: of
64 sequences of 17 + 6 tokens to 8 prompts a third is left to be read. What the model keeps of a
prompt (keys and values) is repeated for each completion, and gradients flow back through it.
`alike` tries a model on two short prompts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from rlhf_testbed.selection.narrow import Narrow, same, short_prompts

TRIED = 4
"""Trained tensors, from the first, whose gradients are compared."""


@dataclass(frozen=True)
class Written:
    """Completions to prompts, in tokens."""

    prompts: torch.Tensor
    """Different ones, padded at the left: [prompts, prompt tokens]."""
    mask: torch.Tensor
    """1 where these have a token, 0 where they are padded."""
    of: torch.Tensor
    """Each completion's prompt: [completions]."""
    responses: torch.Tensor
    """[completions, tokens]; what comes after an end is read like the rest."""

    def some(self, places: list[int]) -> Written:
        """The completions at these places alone."""
        return replace(self, of=self.of[places], responses=self.responses[places])


def shared(model: Any, written: Written, narrow: Narrow) -> torch.Tensor:
    """Logits of the responses [completions, tokens, words], each prompt read once."""
    mask, of = written.mask, written.of
    with narrow.to(1):
        read = model(
            input_ids=written.prompts,
            attention_mask=mask,
            position_ids=mask.cumsum(1) - mask,
            use_cache=True,
        )
    found: torch.Tensor = read.logits[of, -1:].float()
    given = written.responses[:, :-1]
    if not given.shape[1]:
        return found
    read.cache.batch_select_indices(of)
    real = torch.cat([mask[of], torch.ones_like(given)], dim=1)
    after = model(
        input_ids=given,
        attention_mask=real,
        position_ids=(real.cumsum(1) - real)[:, -given.shape[1] :],
        cache=read.cache,
        use_cache=True,
    )
    return torch.cat([found, after.logits.float()], dim=1)


def whole(model: Any, written: Written, narrow: Narrow) -> torch.Tensor:
    """Logits of the responses [completions, tokens, words], from whole sequences."""
    of, responses = written.of, written.responses
    real = torch.cat([written.mask[of], torch.ones_like(responses)], dim=1)[:, :-1]
    with narrow.to(responses.shape[1]):
        read = model(
            input_ids=torch.cat([written.prompts[of], responses], dim=1)[:, :-1],
            attention_mask=real,
            position_ids=real.cumsum(1) - real,
            use_cache=False,
        )
    found: torch.Tensor = read.logits[:, -responses.shape[1] :].float()
    return found


def alike(model: Any, narrow: Narrow) -> bool:
    """Whether both give the same logits and gradients, tried on two prompts with two each."""
    prompts, mask = short_prompts(model)
    of = torch.tensor([0, 0, 1, 1], device=prompts.device)
    responses = torch.tensor([[1, 2, 1], [2, 1, 1], [1, 1, 2], [2, 2, 1]], device=prompts.device)
    written = Written(prompts, mask, of, responses)
    trained = [each for each in model.parameters() if each.requires_grad][:TRIED]
    with torch.enable_grad():
        one = whole(model, written, narrow)
        try:
            other = shared(model, written, narrow)
            gradients = [
                torch.autograd.grad(logits.logsumexp(-1).sum(), trained, materialize_grads=True)
                for logits in (one, other)
            ]
        except Exception:  # whatever a model of another make says to being read in two parts
            return False
    return same(one, other) and all(map(same, *gradients))
