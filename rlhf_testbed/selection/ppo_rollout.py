"""TRL's PPO trainer up to where scores are asked for: data, models, sampling, log-probabilities.

    trainer.roll_out()    Rollout: 64 prompts with responses, log-probabilities and value estimates

TRL's PPO is imported here and nowhere else.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from datasets import Dataset
from peft import PeftConfig
from transformers import GenerationConfig, PreTrainedModel, PrinterCallback
from transformers.trainer import DEFAULT_PROGRESS_CALLBACK

# TRL's PPO lives under "experimental" and is pinned for that reason; its own default for gradient
# checkpointing, which its PPO never reads, makes transformers warn.
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*deprecated")

from trl.experimental.ppo import PPOConfig as PPOConfig
from trl.experimental.ppo import PPOTrainer
from trl.experimental.ppo.ppo_trainer import (
    INVALID_LOGPROB as INVALID_LOGPROB,
)
from trl.experimental.ppo.ppo_trainer import (
    batch_generation,
    first_true_indices,
    forward,
    get_reward,
    selective_log_softmax,
    truncate_response,
    unwrap_model_for_generation,
)

from rlhf_testbed.policy.language import Language
from rlhf_testbed.selection.dropout import switch_dropout_off
from rlhf_testbed.selection.ppo_tensors import Part, Rollout, up_to
from rlhf_testbed.tasks.base import Scenario


class RolloutTrainer(PPOTrainer):
    """TRL's PPOTrainer, as far as an update is sampled."""

    control: Any  # untyped in transformers

    def __init__(
        self,
        args: PPOConfig,
        language: Language,
        scenarios: Sequence[Scenario],
        value_model: PreTrainedModel,
        peft_config: PeftConfig | None,
        scores: torch.nn.Module,
    ) -> None:
        rows = [
            {"input_ids": language.prompt_ids(scenario.prompt), "scenario": at}
            for at, scenario in enumerate(scenarios)
        ]
        super().__init__(
            args,
            processing_class=language.tokenizer,
            model=language.model,
            ref_model=None,
            reward_model=scores,
            train_dataset=Dataset.from_list(rows),
            value_model=value_model,
            peft_config=peft_config,
        )
        for model in (self.policy_model, self.ref_model, self.value_model):
            switch_dropout_off(model)
        for printer in (PrinterCallback, DEFAULT_PROGRESS_CALLBACK):
            self.remove_callback(printer)
        self.language = language
        self.scenarios = scenarios
        self.checkpoint_every = 0
        self.batches = self._batches()
        self.pass_began, self.batches_taken = torch.get_rng_state(), 0
        self.sampling = {
            "max_new_tokens": args.response_length,
            "temperature": args.temperature + 1e-7,
            "top_k": 0.0,
            "top_p": 1.0,
            "do_sample": True,
        }

    @torch.no_grad()
    def roll_out(self) -> Rollout:
        """Samples a response to each prompt of the next batch; log-probabilities and values."""
        batch = next(self.batches)
        self.state.episode += self.args.batch_size
        prompts, asked = batch["input_ids"].to(self.accelerator.device), batch["scenario"]
        with unwrap_model_for_generation(
            self.model,
            self.accelerator,
            gather_deepspeed3_params=self.args.ds3_gather_for_generation,
            generation_kwargs=self.sampling,
        ) as unwrapped:
            sequences, logits = self._sampled(unwrapped.policy, prompts)
        step, told = self.args.local_rollout_forward_batch_size, (prompts, sequences, logits, asked)
        parts = [
            self._assess(*(each[start : start + step] for each in told))
            for start in range(0, len(prompts), step)
        ]
        return self._rollout(
            Part(*(torch.cat(tensors) for tensors in zip(*parts, strict=True))),
            [self.scenarios[at] for at in asked.tolist()],
        )

    def _sampled(
        self, policy: PreTrainedModel, prompts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Prompts with sampled responses, and the logits [episodes, tokens, words] behind them,
        divided by the temperature."""
        sequences, logits = batch_generation(
            policy,
            prompts,
            self.args.local_rollout_forward_batch_size,
            self.processing_class.pad_token_id,
            GenerationConfig(**self.sampling),
        )
        return sequences, logits

    def _rollout(self, found: Part, scenarios: Sequence[Scenario]) -> Rollout:
        """The tensors with their scenarios and texts, which stop at a response's end."""
        return Rollout(
            scenarios=scenarios,
            texts=[self.language.text(ids) for ids in found.cut.tolist()],
            ended=(found.cut == self.stop_token_id).any(dim=-1),
            **{name: value for name, value in found._asdict().items() if name != "cut"},
        )

    def _assess(
        self,
        prompts: torch.Tensor,
        sequences: torch.Tensor,
        logits: torch.Tensor,
        asked: torch.Tensor,
    ) -> Part:
        """Log-probabilities, those of the reference, and values of one slice of a rollout.

        `asked` [episodes]: the indices of the scenarios.
        """
        pad_id, context = self.processing_class.pad_token_id, prompts.shape[1]
        responses = sequences[:, context:]
        cut = truncate_response(self.stop_token_id, pad_id, responses)
        last = first_true_indices(cut == pad_id) - 1
        outside = ~up_to(last, responses)
        # Padding, whose log-probability is masked, may be beyond the vocabulary.
        responses = responses.clamp(max=logits.shape[-1] - 1)
        log_probs = self._log_probs(logits, responses)
        ref_log_probs = self._reference(sequences, responses, asked)
        values = self._values(sequences, responses.shape[1])
        return Part(
            prompts=prompts,
            sequences=sequences,
            responses=responses,
            cut=cut,
            old_log_probs=log_probs.masked_fill(outside, INVALID_LOGPROB),
            ref_log_probs=ref_log_probs.masked_fill(outside, INVALID_LOGPROB),
            values=values.masked_fill(~up_to(last + 1, responses), 0),
            last=last,
        )

    def _log_probs(self, logits: torch.Tensor, responses: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of the responses' tokens: [episodes, tokens]."""
        found: torch.Tensor = selective_log_softmax(logits, responses)
        return found

    def _reference(
        self, sequences: torch.Tensor, responses: torch.Tensor, asked: torch.Tensor
    ) -> torch.Tensor:
        """The same by the reference policy, which never changes."""
        pad_id, tokens = self.processing_class.pad_token_id, responses.shape[1]
        if self.ref_model is not None:
            logits = forward(self.ref_model, sequences, pad_id).logits
        else:
            with self.null_ref_context():
                logits = forward(self.model.policy, sequences, pad_id).logits
        logits = logits[:, -tokens - 1 : -1]
        logits /= self.args.temperature + 1e-7
        return self._log_probs(logits, responses)

    def _values(self, sequences: torch.Tensor, tokens: int) -> torch.Tensor:
        """Value estimates before each of the last `tokens` tokens: [episodes, tokens]."""
        critic = self.accelerator.unwrap_model(self.model).value_model
        values, _, _ = get_reward(
            critic, sequences, self.processing_class.pad_token_id, sequences.shape[1] - tokens
        )
        found: torch.Tensor = values[:, -tokens - 1 : -1].squeeze(-1)
        return found

    def _logits(self, sequences: torch.Tensor, tokens: int) -> torch.Tensor:
        """The policy's logits alone, as of `_logits_and_values`."""
        policy = self.accelerator.unwrap_model(self.model).policy
        pad_id = self.processing_class.pad_token_id
        logits = forward(policy, sequences, pad_id).logits
        found: torch.Tensor = logits[:, -tokens - 1 : -1] / (self.args.temperature + 1e-7)
        return found

    def _logits_and_values(
        self, sequences: torch.Tensor, tokens: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits [episodes, tokens, words], divided by the temperature, and values [episodes,
        tokens] before each of the last `tokens` tokens, with gradients."""
        output, values = forward(self.model, sequences, self.processing_class.pad_token_id)
        logits = output.logits[:, -tokens - 1 : -1]
        logits /= self.args.temperature + 1e-7
        return logits, values[:, -tokens - 1 : -1].squeeze(-1)

    def take_up(self, pass_began: torch.Tensor, batches_taken: int) -> None:
        """Goes to the place in a pass over the data that began with that state of torch's
        generator, which the order of its batches comes from."""
        torch.set_rng_state(pass_began)
        self.batches = self._batches()
        for _ in range(batches_taken):
            next(self.batches)

    def _batches(self) -> Iterator[dict[str, Any]]:
        while True:
            self.pass_began, self.batches_taken = torch.get_rng_state(), 0
            for batch in self.dataloader:
                self.batches_taken += 1
                yield batch
