"""PPO without what is computed and then thrown away: TRL's update up to rounding.

    --exact true     SelectionTrainer    TRL's numbers, to the last bit
    --exact false    FastTrainer         what nothing reads is left out

What is left out (docs/PERFORMANCE.md has the profile behind it):

- the last layer's perceptron and the output layer at the tokens of the prompt;
- transformers' `generate`, of whose options none is used, around a loop of a few tokens;
- the reference policy's pass over a response that it has read before, since it never changes;
- the layers below the lowest that LoRA adapts, of whatever they have read before (`trunk.py`).

Whether a model's layers can be cut short is tried when training starts (`narrow.py`).
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ModelOutput

from rlhf_testbed.policy.merging import plain
from rlhf_testbed.selection.narrow import Narrow, samples_alike
from rlhf_testbed.selection.ppo_trainer import SelectionTrainer
from rlhf_testbed.selection.reference import ReferenceMemory
from rlhf_testbed.selection.sampling import sampled
from rlhf_testbed.selection.update_trunk import UpdateTrunk


class ValueHead(torch.nn.Module):
    """A value model that has no layers: a head on the policy's last one, which a pass of the policy
    has computed anyway. Starts at zero. The policy is not changed by the loss of its values."""

    base_model_prefix = "backbone"

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__()
        self.backbone = torch.nn.Identity()
        self.config = config
        self.score = torch.nn.Linear(config.get_text_config().hidden_size, 1, bias=False)
        torch.nn.init.zeros_(self.score.weight)

    def read_with(self, both: torch.nn.Module, accelerator: Accelerator) -> None:
        """Lets TRL's pair of policy and value model read a text once for both."""
        policy: Any = both.policy

        def forward(**asked: Any) -> tuple[ModelOutput, torch.Tensor]:
            with accelerator.autocast():
                output = policy(**asked)
            hidden = output.hidden_states[-1].detach()
            return output, self.score(hidden.to(self.score.weight.dtype))

        both.forward = forward


class FastTrainer(SelectionTrainer):
    """The trainer whose updates are TRL's up to rounding."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.memory = ReferenceMemory()
        self.head = self.value_model if isinstance(self.value_model, ValueHead) else None
        if self.head:
            self.head.read_with(self.accelerator.unwrap_model(self.model), self.accelerator)
        models = (self.policy_model, None if self.head else self.value_model, self.ref_model)
        cut_short = [model for model in models if model is not None]
        self.trunk: UpdateTrunk | None = None
        if plain(self.policy_model).is_activation_checkpointing:
            cut_short.remove(self.policy_model)  # layers are run again, when nothing is cut short
        self.narrow = Narrow(cut_short)
        self.samples_itself = samples_alike(self.policy_model)
        if self.samples_itself and self.policy_model in cut_short:
            self.trunk = UpdateTrunk.of(plain(self.policy_model))

    def _sampled(
        self, policy: PreTrainedModel, prompts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.samples_itself:
            return super()._sampled(policy, prompts)
        ids, mask = self._masked(prompts)
        watched = self.trunk.watching() if self.trunk else nullcontext([])
        with self.narrow.to(1), watched as steps:
            tokens, logits = sampled(
                policy, ids, mask, self.args.response_length, self.args.temperature + 1e-7
            )
        if self.trunk:
            kept = tokens != self.processing_class.pad_token_id
            self.trunk.written(ids, mask, tokens, kept, steps)
        return torch.cat([prompts, tokens], dim=1), logits

    def _log_probs(self, logits: torch.Tensor, responses: torch.Tensor) -> torch.Tensor:
        chosen = logits.gather(-1, responses.unsqueeze(-1)).squeeze(-1)
        return chosen - logits.logsumexp(-1)

    def _reference(
        self, sequences: torch.Tensor, responses: torch.Tensor, asked: torch.Tensor
    ) -> torch.Tensor:
        rows = zip(asked.tolist(), responses.tolist(), strict=True)
        keys = [(scenario, *tokens) for scenario, tokens in rows]
        found = self.memory.of(
            keys, lambda new: self._reference_anew(sequences[new], responses[new])
        )
        return found.to(sequences.device)

    def _reference_anew(self, sequences: torch.Tensor, responses: torch.Tensor) -> torch.Tensor:
        tokens = responses.shape[1]
        with self.narrow.to(tokens):
            if self.ref_model is not None:
                logits = self._read(self.ref_model, sequences).logits
            else:
                with self.null_ref_context():
                    logits = self._read(self.model.policy, sequences).logits
        return self._log_probs(logits[:, -tokens:] / (self.args.temperature + 1e-7), responses)

    def _values(self, sequences: torch.Tensor, tokens: int) -> torch.Tensor:
        if self.head:
            return self._logits_and_values(sequences, tokens)[1]
        critic = self.accelerator.unwrap_model(self.model).value_model
        with self.narrow.to(tokens):
            hidden = self._read(getattr(critic, critic.base_model_prefix), sequences).hidden_states
            found: torch.Tensor = critic.score(hidden[-1])[:, -tokens:].squeeze(-1)
        return found

    def _logits(self, sequences: torch.Tensor, tokens: int) -> torch.Tensor:
        policy = self.accelerator.unwrap_model(self.model).policy
        with self.narrow.to(tokens):
            logits = self._read(policy, sequences).logits
        found: torch.Tensor = logits[:, -tokens:] / (self.args.temperature + 1e-7)
        return found

    def _logits_and_values(
        self, sequences: torch.Tensor, tokens: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        with self.narrow.to(tokens):
            output, values = self._read(self.model, sequences)
        logits = output.logits[:, -tokens:] / (self.args.temperature + 1e-7)
        return logits, values[:, -tokens:].squeeze(-1)

    def _read(self, model: torch.nn.Module, sequences: torch.Tensor) -> ModelOutput:
        """What a model makes of all tokens but the last, after which nothing is predicted."""
        ids, mask = self._masked(sequences[:, :-1])
        return model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=mask.cumsum(1) - mask,
            use_cache=False,
            output_hidden_states=True,
            return_dict=True,
        )

    def _masked(self, sequences: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids without padding, whose id may be beyond the vocabulary, and the mask of the
        rest: [episodes, tokens]."""
        mask = (sequences != self.processing_class.pad_token_id).long()
        return sequences * mask, mask
