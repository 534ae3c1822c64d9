"""What the small default model is: its shape, and the values that its weights may have.

Both are part of what a base policy is known by (`base_key.py`). Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SHAPE: Final[Mapping[str, int | bool]] = {
    "hidden_size": 96,
    "intermediate_size": 256,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
    "tie_word_embeddings": True,
}
"""A Llama of 0.35 M parameters, by the names of its settings in transformers."""

GRID: Final = "bfloat16"
"""Once taught, each weight is rounded to a value of this type, and kept in single precision. Half
of the bytes are then zero, so that git and wheels keep the shipped ones in half the space."""
