"""The overseers. To add one: one file beside this one, and one line here.

The scores of those in `OVERSEERS` may select parameters. Those in `HELD_OUT` only evaluate.
"""

from rlhf_testbed.overseers.base import HeldOutOverseer, TrainingOverseer
from rlhf_testbed.overseers.endpoint import Endpoint
from rlhf_testbed.overseers.full_knowledge import FullKnowledge
from rlhf_testbed.overseers.language_model import LanguageModel
from rlhf_testbed.overseers.learned import Learned
from rlhf_testbed.overseers.noisy import Noisy
from rlhf_testbed.overseers.scripted import Scripted

OVERSEERS: dict[str, type[TrainingOverseer]] = {
    "scripted": Scripted,
    "noisy": Noisy,
    "learned": Learned,
    "language_model": LanguageModel,
    "endpoint": Endpoint,
}

HELD_OUT: dict[str, type[HeldOutOverseer]] = {
    "full_knowledge": FullKnowledge,
}
