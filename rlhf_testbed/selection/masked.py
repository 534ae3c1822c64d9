"""Means and whitening over the tokens that a mask keeps, defined also where there are few.

    whitened([[2., 4.], [6., 0.]], mask of the first three)    [[-1., 0.], [1., ...]]

The same numbers as TRL's `masked_mean` and `masked_whiten`, to the last bit, wherever those are
numbers (`tests/test_masked.py`). Where they are not: an empty mask has mean 0 and selects nothing,
and one value alone is neither above nor below its mean.
"""

from __future__ import annotations

import torch

SMALL = 1e-8
"""Added to a variance before its root is taken, as TRL does."""


def mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The mean of what the mask keeps: a scalar, 0 for an empty mask."""
    count = mask.sum()
    total = (values * mask).sum()
    return total / count if count else total


def row_means(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The mean of what is kept of each row [rows]; 0 for a row of which nothing is."""
    found = (values * mask).sum(dim=1) / mask.sum(dim=1)
    return torch.where(mask.any(dim=1), found, torch.zeros_like(found))


def whitened(values: torch.Tensor, mask: torch.Tensor, shift_mean: bool = True) -> torch.Tensor:
    """Values scaled to variance 1 over the mask, and to mean 0 unless `shift_mean` is false.

    Values that are all alike become 0 (or stay at their mean); so does one value by itself. What
    the mask leaves out is scaled along and means nothing.
    """
    count, centre = mask.sum(), mean(values, mask)
    variance = mean((values - centre) ** 2, mask)
    if count > 1:
        variance = variance * (count / (count - 1))
    scaled = (values - centre) * torch.rsqrt(variance + SMALL)
    return scaled if shift_mean else scaled + centre
