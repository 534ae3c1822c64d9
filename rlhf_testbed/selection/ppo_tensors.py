"""What PPO holds of one update, in tensors: what was sampled, and what the scores say of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from rlhf_testbed.selection.method import Completions, Fitness


@dataclass(frozen=True)
class Rollout(Completions):
    """What was sampled in one update. Shapes: [episodes, tokens] unless noted."""

    prompts: torch.Tensor
    """[episodes, prompt tokens], padded at the left."""
    sequences: torch.Tensor
    """Prompts and responses: [episodes, prompt tokens + tokens]."""
    responses: torch.Tensor
    """As sampled: what comes after the end of a response is left in."""
    old_log_probs: torch.Tensor
    ref_log_probs: torch.Tensor
    values: torch.Tensor
    last: torch.Tensor
    """[episodes]: index of each response's last token."""
    ended: torch.Tensor
    """[episodes]: whether the response has an end."""

    @property
    def response_mask(self) -> torch.Tensor:
        """True up to a response's last token."""
        return up_to(self.last, self.responses)

    @property
    def value_mask(self) -> torch.Tensor:
        """True up to the token after a response's last one, where its score is booked."""
        return up_to(self.last + 1, self.responses)


@dataclass(frozen=True)
class Estimate(Fitness):
    """What the scores say of each token. Shapes [episodes, tokens]."""

    advantages: torch.Tensor
    """Whitened."""
    returns: torch.Tensor
    scores: torch.Tensor
    """[episodes]: after TRL's penalty for a missing end."""
    penalties: torch.Tensor
    """The KL penalty of each token."""


class Part(NamedTuple):
    """The tensors of a `Rollout`, of one slice of its episodes."""

    prompts: torch.Tensor
    sequences: torch.Tensor
    responses: torch.Tensor
    cut: torch.Tensor
    """`responses`, with padding after the end of the text."""
    old_log_probs: torch.Tensor
    ref_log_probs: torch.Tensor
    values: torch.Tensor
    last: torch.Tensor


def up_to(last: torch.Tensor, responses: torch.Tensor) -> torch.Tensor:
    """True at each token up to the index `last` [episodes]: [episodes, tokens]."""
    rows, tokens = responses.shape
    positions = torch.arange(tokens, device=responses.device).repeat(rows, 1)
    return positions <= last.unsqueeze(1)


def finite(model: torch.nn.Module) -> bool:
    """Whether every parameter that is trained is a finite number."""
    trained = (each for each in model.parameters() if each.requires_grad)
    return all(bool(torch.isfinite(each).all()) for each in trained)
