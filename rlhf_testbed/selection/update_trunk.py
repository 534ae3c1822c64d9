"""A policy's trunk in training: what it makes of prompts is kept, of responses for an update.

with trunk.watching() as steps:    sampling reads the responses token by token
    ...
trunk.written(prompts, mask, tokens, kept, steps)

From then on the update's passes compute the layers above the trunk only.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from transformers import PreTrainedModel

from rlhf_testbed.policy.trunk import Memory, Trunk, frozen_layers, grown


class UpdateTrunk:
    """The layers of a policy, from the first, that training leaves as they are."""

    def __init__(self, trunk: Trunk) -> None:
        self.trunk = trunk
        self.of_update: list[bytes] = []
        """Keys of what this update has written."""

    @classmethod
    def of(cls, policy: PreTrainedModel) -> UpdateTrunk | None:
        """None where training changes the first layers too, or where they can't be left out."""
        found = grown(policy, frozen_layers(policy), Memory())
        return cls(found) if found else None

    def watching(self) -> AbstractContextManager[list[torch.Tensor]]:
        """Sees what is read token by token; forgets what the update before has written."""
        for key in self.of_update:
            self.trunk.memory.forget(key)
        self.of_update = []
        return self.trunk.watched()

    def written(
        self,
        prompts: torch.Tensor,
        mask: torch.Tensor,
        tokens: torch.Tensor,
        kept: torch.Tensor,
        steps: Sequence[torch.Tensor],
    ) -> None:
        """Remembers what was written to prompts [texts, tokens], from the steps that read it."""
        self.of_update = self.trunk.written(prompts, mask, tokens, kept, steps)
