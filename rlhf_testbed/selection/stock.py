"""TRL's own `train()` on a run of ours, for comparison: the same policy to the last bit.

It has no place for a scenario beside a completion, and asks a network for scores. So here, and
nowhere else, the scenario is found again by its prompt's token ids.
"""

from __future__ import annotations

from types import SimpleNamespace

import torch

from rlhf_testbed.judging.episode import judge_all
from rlhf_testbed.policy.base_policy import load_base_policy
from rlhf_testbed.selection.method import Start
from rlhf_testbed.selection.ppo_build import build_trainer
from rlhf_testbed.selection.ppo_trainer import SelectionTrainer


class OverseerModule(torch.nn.Module):
    """An overseer in the form that TRL's own `train()` asks for: a network with a score head."""

    base_model_prefix = "backbone"

    def __init__(self, start: Start) -> None:
        super().__init__()
        self.overseer = start.overseer
        self.language = load_base_policy(start.base)
        self.scenarios = {tuple(self.language.prompt_ids(s.prompt)): s for s in start.scenarios}
        self.context_length = max(map(len, self.scenarios))

    def backbone(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_: object
    ) -> SimpleNamespace:
        """Hidden states [episodes, tokens, 1] that hold each episode's score at every token."""
        pad_id = self.language.tokenizer.pad_token_id
        rows = input_ids.masked_fill(attention_mask == 0, pad_id).tolist()
        asked = [
            self.scenarios[tuple(token for token in row[: self.context_length] if token != pad_id)]
            for row in rows
        ]
        texts = [self.language.text(row[self.context_length :]) for row in rows]
        episodes = judge_all(self.overseer, asked, texts)
        scores = torch.tensor([episode.verdict.score for episode in episodes])
        return SimpleNamespace(hidden_states=[scores.view(-1, 1, 1).expand(*input_ids.shape, 1)])

    def score(self, hidden_state: torch.Tensor) -> torch.Tensor:
        """The score is the hidden state."""
        return hidden_state


def stock_trainer(start: Start) -> SelectionTrainer:
    """A trainer for which `train()` is TRL's own."""
    return build_trainer(start, OverseerModule(start))
