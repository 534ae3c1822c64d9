"""Bounds on a step of PPO, which TRL's own loop has none of.

    Bounds(max_grad_norm=1.0, target_kl=0.05)
      clip    a gradient of norm 7 is scaled down to 1 (torch's clip_grad_norm_)
      allowed a step that takes the policy further than 0.05 nats a token from the one that sampled
              is shortened, and the update takes no other

One step by itself can be far too large: where all episodes of an update score alike, whitening
makes noise as large as any signal, and Adam is slow to notice. A gradient's norm doesn't tell, so
the step is measured once it was taken, as in trust-region methods (Schulman et al. 2015, arXiv
1502.05477). Off where training is to equal TRL's (`exact`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from accelerate import Accelerator

from rlhf_testbed.selection import masked


class Bounds(NamedTuple):
    """How large a step may be; 0: as large as it comes."""

    max_grad_norm: float = 0.0
    """Norm over all parameters together, those of the value model too."""
    target_kl: float = 0.0
    """Nats a token."""

    def clip(self, accelerator: Accelerator, model: torch.nn.Module) -> None:
        """Scales the gradients down, once all that make a step are there."""
        if self.max_grad_norm and accelerator.sync_gradients:
            accelerator.clip_grad_norm_(model.parameters(), self.max_grad_norm)

    @torch.no_grad()
    def allowed(
        self, accelerator: Accelerator, difference: torch.Tensor, kept: torch.Tensor
    ) -> float:
        """The share of the last step that is allowed: 1, unless the policy went too far by it.

        KL grows with the square of a small step, of which √(bound / KL) would end at the bound; a
        large one takes several tries.
        `difference`: log-probability now less that when it was sampled, of the tokens that the
        mask `kept` names: [episodes, tokens] both. The same in every process.
        """
        if not self.target_kl:
            return 1.0
        kl = float(accelerator.gather(divergence(difference, kept).reshape(1)).mean())
        return math.sqrt(self.target_kl / kl) if kl > self.target_kl else 1.0


NO_BOUNDS = Bounds()


def divergence(difference: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """KL a token of the policy that sampled from the one now, in nats: a scalar.

    Schulman's third estimator (joschu.net/blog/kl-approx.html): the mean of r - 1 - log r, which
    is never below 0; r is the probability now over that when it was sampled.

    >>> divergence(torch.tensor([[0.0, 0.6931472]]), torch.tensor([[False, True]]))
    tensor(0.3069)
    """
    return masked.mean(difference.exp() - 1 - difference, kept)


@torch.no_grad()
def parameters_of(model: torch.nn.Module) -> list[torch.Tensor]:
    """A copy of the parameters that training changes."""
    return [each.detach().clone() for each in model.parameters() if each.requires_grad]


@torch.no_grad()
def shorten(model: torch.nn.Module, before: Sequence[torch.Tensor], share: float) -> None:
    """Takes a step back so far that `share` of it is left; `before`: the parameters before it."""
    trained = [each for each in model.parameters() if each.requires_grad]
    for now, then in zip(trained, before, strict=True):
        now.lerp_(then, 1 - share)


def drop_gradients(accelerator: Accelerator, model: torch.nn.Module) -> None:
    """Forgets the gradients of a step that is not taken, and how many were gathered for it."""
    model.zero_grad()
    accelerator.step = 0
