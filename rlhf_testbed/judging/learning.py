"""What a learned overseer's model is worth: the record that lies beside it.

runs/both-3/overseer.json    {"comparisons": 1011, "accuracy": 0.93, ...}
"""

from __future__ import annotations

from typing import ClassVar

from rlhf_testbed.shared.record import Figure, Record


class OverseerWorth(Record):
    """How well a learned overseer learned its teacher, and its calibration."""

    file: ClassVar[str] = "overseer.json"

    overseer: str
    comparisons: int
    ties: int
    training_accuracy: Figure
    held_out_comparisons: int
    accuracy: Figure
    approval_agreement: Figure
    scale: float
    offset: float
    threshold: float
    seed: int
