"""From scores to advantages among the completions to one scenario; TRL's numbers.

grouped([1., 0., 1., 1.], num_generations=2, scale="none")    [0.5, -0.5, 0., 0.]
left_out([1., 0., 1., 1.], num_generations=2)                 [1., -1., 0., 0.]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch

SMALL = 1e-4
"""Added to a standard deviation before it divides, as TRL does."""
Scale: TypeAlias = Literal["group", "batch", "none"]
Gather: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""From one process's values to those of all."""


def grouped(
    scores: torch.Tensor, num_generations: int, scale: Scale, gather: Gather
) -> torch.Tensor:
    """GRPO's advantages [episodes] (Shao et al. 2024, arXiv 2402.03300).

    A score less the mean of its group, divided by the standard deviation of the group, of the
    batch, or of nothing. Scores that are all alike give 0.

    >>> grouped(torch.tensor([1.0, 0.0, 1.0, 1.0]), 2, "none", lambda each: each)
    tensor([ 0.5000, -0.5000,  0.0000,  0.0000])
    """
    groups = scores.view(-1, num_generations)
    centred = groups - groups.mean(1, keepdim=True)
    if scale == "group":
        centred = centred / (groups.std(1, keepdim=True) + SMALL)
    elif scale == "batch":
        centred = centred / (gather(scores).std() + SMALL)
    return centred.reshape(-1)


def left_out(
    scores: torch.Tensor, num_generations: int, normalised: bool, gather: Gather
) -> torch.Tensor:
    """RLOO's advantages [episodes] (Ahmadian et al. 2024, arXiv 2402.14740).

    A score less the mean of the others in its group; normalised: to mean 0 and deviation 1 over the
    batch.

    >>> left_out(torch.tensor([1.0, 0.0, 1.0, 1.0]), 2, False, lambda each: each)
    tensor([ 1., -1.,  0.,  0.])
    """
    groups = scores.view(-1, num_generations)
    others = (groups.sum(1, keepdim=True) - groups) / (num_generations - 1)
    found = (groups - others).reshape(-1)
    if normalised:
        every = gather(found)
        found = (found - every.mean()) / (every.std() + SMALL)
    return found
