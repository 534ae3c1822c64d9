"""The overseers. To add one: one file beside this one, and one line here.

The scores of those in `OVERSEERS` may select parameters. Those in `HELD_OUT` only evaluate.
"""

from overseers.base import HeldOutOverseer, TrainingOverseer
from overseers.full_knowledge import FullKnowledge
from overseers.language_model import LanguageModel
from overseers.learned import Learned
from overseers.noisy import Noisy
from overseers.scripted import Scripted

OVERSEERS: dict[str, type[TrainingOverseer]] = {
    "scripted": Scripted,
    "noisy": Noisy,
    "learned": Learned,
    "language_model": LanguageModel,
}

HELD_OUT: dict[str, type[HeldOutOverseer]] = {
    "full_knowledge": FullKnowledge,
}
