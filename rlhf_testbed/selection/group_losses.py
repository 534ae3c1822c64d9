"""The parts of GRPO's and RLOO's losses, as TRL has them.

each = clipped(log_ratio, advantages, 0.2, 0.2) + 0.02 * k3(now, reference)
averaged(each, kept, "dapo", length, accelerator)    a scalar
"""

from __future__ import annotations

import torch
from accelerate import Accelerator


def clipped(
    log_ratio: torch.Tensor, advantages: torch.Tensor, low: float, high: float
) -> torch.Tensor:
    """PPO's clipped surrogate, negated: the shape of its arguments, broadcast.

    >>> clipped(torch.tensor([0.0, 1.0]), torch.tensor([2.0, 2.0]), 0.2, 0.2)
    tensor([-2.0000, -2.4000])
    """
    ratio = log_ratio.exp()
    return -torch.min(ratio * advantages, ratio.clamp(1 - low, 1 + high) * advantages)


def k3(now: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Schulman's third estimator of KL a token (joschu.net/blog/kl-approx.html), in nats.

    >>> k3(torch.tensor([0.0]), torch.tensor([0.0]))
    tensor([0.])
    """
    difference = reference - now
    return difference.exp() - difference - 1


def averaged(
    each: torch.Tensor, kept: torch.Tensor, how: str, length: int, accelerator: Accelerator
) -> torch.Tensor:
    """The loss of tokens [episodes, tokens] as one number: TRL's `loss_type`.

    grpo: the mean over episodes of each one's mean; bnpo: over this process's tokens; dapo: over
    the tokens of all processes; dr_grpo: the sum over what `length` tokens each would be.
    """
    total = (each * kept).sum()
    if how == "grpo":
        return ((each * kept).sum(1) / kept.sum(1).clamp(min=1)).mean()
    if how == "bnpo":
        return total / kept.sum().clamp(min=1)
    if how == "dr_grpo":
        return total / (len(each) * length)
    tokens = accelerator.reduce(kept.sum().float(), reduction="sum")
    found: torch.Tensor = total / (tokens.clamp(min=1) / accelerator.num_processes)
    return found
