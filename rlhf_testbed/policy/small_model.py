"""What the small default model is: its shape, the values that its weights may have, its words.

The first two are part of what a base policy is known by (`base_key.py`). Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from rlhf_testbed.tasks.base import Demonstration

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


def vocabulary(shown: Iterable[Demonstration], responses: Iterable[str]) -> set[str]:
    """The words that it knows: those of its demonstrations and of the response space.

    All others are one to it, *unknown*: of numbers that were never shown it can't tell two apart.

    >>> sorted(vocabulary([Demonstration("room 0 4", "left")], ["left", "right"]))
    ['0', '4', 'left', 'right', 'room']
    """
    words = {word for pair in shown for text in pair for word in text.split()}
    return words | {word for response in responses for word in response.split()}
