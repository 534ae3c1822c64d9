"""From scores to advantages: KL penalty, returns, whitening; TRL's numbers, to the last bit.

    estimated(rollout, scores, args)    advantages [64, tokens], whitened; returns [64, tokens]

A score is counted at the token after a response's last one; the penalty for KL at every token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch

from rlhf_testbed.selection import masked
from rlhf_testbed.selection.ppo_tensors import Estimate, Rollout

PPOArguments: TypeAlias = Any
"""TRL's `PPOConfig`, which one module only imports."""


@torch.no_grad()
def estimated(rollout: Rollout, verdicts: Sequence[float], args: PPOArguments) -> Estimate:
    """Generalised advantage estimates from the scores [episodes] and the KL penalty a token."""
    tokens = rollout.responses.shape[1]
    scores = torch.tensor(verdicts, device=rollout.prompts.device)
    if args.missing_eos_penalty is not None:
        scores[~rollout.ended] -= args.missing_eos_penalty
    log_ratio = rollout.ref_log_probs - rollout.old_log_probs
    kl = -log_ratio if args.kl_estimator == "k1" else (log_ratio.exp() - 1) - log_ratio
    penalties = -args.kl_coef * kl
    booked = penalties.clone()
    ends = torch.where(rollout.last + 1 < tokens, rollout.last + 1, rollout.last)
    booked[torch.arange(len(booked), device=booked.device), ends] += scores
    if args.whiten_rewards:
        booked = masked.whitened(booked, rollout.value_mask, shift_mean=False)
        booked = booked.masked_fill(~rollout.value_mask, 0)
    advantages = advantages_of(booked, rollout.values, args.gamma, args.lam)
    whitened = masked.whitened(advantages, rollout.response_mask)
    whitened = whitened.masked_fill(~rollout.response_mask, 0)
    return Estimate(
        values=masked.row_means(whitened, rollout.response_mask).tolist(),
        kl=kl.sum(1).tolist(),
        advantages=whitened,
        returns=advantages + rollout.values,
        scores=scores,
        penalties=penalties,
    )


def advantages_of(
    booked: torch.Tensor, values: torch.Tensor, gamma: float, lam: float
) -> torch.Tensor:
    """Generalised advantage estimates [episodes, tokens] (Schulman et al. 2015, arXiv 1506.02438).

    `booked`: what is counted at each token; `values`: the value estimates before it; same shapes.

    >>> advantages_of(torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, 0.5]]), gamma=1.0, lam=0.5)
    tensor([[0.2500, 0.5000]])
    """
    tokens = booked.shape[1]
    found: list[torch.Tensor] = []
    advantage = torch.zeros_like(booked[:, 0])
    for token in reversed(range(tokens)):
        following = values[:, token + 1] if token < tokens - 1 else 0.0
        delta = booked[:, token] + gamma * following - values[:, token]
        advantage = delta + gamma * lam * advantage
        found.append(advantage)
    return torch.stack(found[::-1], dim=1)
