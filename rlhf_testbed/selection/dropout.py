"""Dropout switched off, wherever a model keeps its rate.

switch_dropout_off(model)    a model that samples what it scores
"""

from __future__ import annotations

import torch


def switch_dropout_off(model: torch.nn.Module | None) -> None:
    """Sets every rate of dropout to 0, those too that a model calls as functions (OPT's).

    TRL switches off the modules only: with functional dropout on, a policy would differ from its
    own reference before the first update.
    """
    for module in () if model is None else model.modules():
        for name, value in vars(module).items():
            if "dropout" in name and isinstance(value, float):
                setattr(module, name, 0.0)
