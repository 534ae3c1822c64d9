"""TRL's PPO trainer, its `train()` taken apart into steps.

One update of 64 episodes, as `ppo.py` calls it:

    roll_out    64 prompts -> responses, their log-probabilities, and the value estimates
    estimate    scores and KL -> advantages (whitened, [64, tokens]) and returns
    optimise    the advantages select parameters: clipped policy and value losses

Numbers are those of TRL 1.12's own `train()` to the last bit (`tests/test_ppo.py` compares them).
What differs: each completion keeps its scenario, and the garbage collector no longer walks over
every module twice an update, which took a third of the time or more.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from peft import PeftModel

from rlhf_testbed.policy.language import Language
from rlhf_testbed.policy.merging import merged, plain
from rlhf_testbed.selection import masked
from rlhf_testbed.selection.ppo_bounds import NO_BOUNDS, drop_gradients, parameters_of, shorten
from rlhf_testbed.selection.ppo_estimates import estimated
from rlhf_testbed.selection.ppo_rollout import INVALID_LOGPROB, RolloutTrainer
from rlhf_testbed.selection.ppo_tensors import Estimate, Rollout
from rlhf_testbed.store.ledger import Row

MOST_TRIES = 10
"""Times that a step is shortened, at most."""


class SelectionTrainer(RolloutTrainer):
    """TRL's PPOTrainer, whose `train()` is taken apart into the steps of the loop."""

    bounds = NO_BOUNDS
    before_step: Sequence[torch.Tensor] = ()
    """The parameters before the last step; empty where no bound asks for them."""

    def estimate(self, rollout: Rollout, verdicts: Sequence[float]) -> Estimate:
        """Generalised advantage estimates from the scores [episodes] and the KL penalty a token."""
        return estimated(rollout, verdicts, self.args)

    def optimise(self, rollout: Rollout, estimate: Estimate) -> dict[str, float]:
        """Several passes of clipped policy and value losses; returns the update's figures."""
        found: list[dict[str, torch.Tensor]] = []
        for chosen in self._chosen():
            with self.accelerator.accumulate(self.model):
                step = self._step(chosen, rollout, estimate, may_stop=bool(found))
            if step is None:
                drop_gradients(self.accelerator, self.model)
                break
            found.append(step)
        else:
            self._bound_last(rollout)
        losses = {
            name: self._mean(torch.stack([losses[name] for losses in found])) for name in found[0]
        }
        figures = {**self._objective(rollout, estimate), **losses}
        figures["lr"] = self.lr_scheduler.get_last_lr()[0]
        self.lr_scheduler.step()
        return figures

    def _chosen(self) -> Iterator[np.ndarray]:
        """The places of the episodes of each forward pass, over all passes of an update."""
        size, at_once = self.args.local_mini_batch_size, self.args.per_device_train_batch_size
        for _ in range(self.args.num_ppo_epochs):
            order = np.random.permutation(self.args.local_batch_size)
            for start in range(0, len(order), size):
                mini = order[start : start + size]
                for first in range(0, len(mini), at_once):
                    yield mini[first : first + at_once]

    def _step(
        self, chosen: np.ndarray, rollout: Rollout, estimate: Estimate, may_stop: bool
    ) -> dict[str, torch.Tensor] | None:
        """One optimiser step on the chosen episodes; none where the one before went too far."""
        args, responses = self.args, rollout.responses[chosen]
        kept, valued = rollout.response_mask[chosen], rollout.value_mask[chosen]
        logits, values = self._logits_and_values(rollout.sequences[chosen], responses.shape[1])
        new = torch.masked_fill(self._log_probs(logits, responses), ~kept, INVALID_LOGPROB)
        values = values.masked_fill(~valued, 0)
        old_values, returns = rollout.values[chosen], estimate.returns[chosen]
        clipped = values.clamp(old_values - args.cliprange_value, old_values + args.cliprange_value)
        worse = torch.max(torch.square(values - returns), torch.square(clipped - returns))
        value_loss = 0.5 * masked.mean(worse, valued)
        difference = new - rollout.old_log_probs[chosen]
        if may_stop:
            share = self.bounds.allowed(self.accelerator, difference.detach(), kept)
            if share < 1:
                self._bound_last(rollout, share)
                return None
        ratio, advantages = torch.exp(difference), estimate.advantages[chosen]
        plain = -advantages * ratio
        bounded = -advantages * ratio.clamp(1.0 - args.cliprange, 1.0 + args.cliprange)
        policy_loss = masked.mean(torch.max(plain, bounded), kept)
        self.accelerator.backward(policy_loss + args.vf_coef * value_loss)
        self.bounds.clip(self.accelerator, self.model)
        if self.bounds.target_kl and self.accelerator.sync_gradients:
            self.before_step = parameters_of(self.model)
        self.optimizer.step()
        self.optimizer.zero_grad()
        with torch.no_grad():
            entropy = torch.distributions.Categorical(logits=logits, validate_args=False).entropy()
            return {
                "loss/policy_avg": policy_loss.detach(),
                "loss/value_avg": value_loss.detach(),
                "policy/approxkl": masked.mean(0.5 * difference**2, kept),
                "policy/entropy": masked.mean(entropy, kept),
                "policy/ratio": masked.mean(ratio, kept),
                "policy/approxkl_avg": 0.5 * (difference**2).mean(),
                "policy/clipfrac_avg": masked.mean((bounded > plain).float(), kept),
                "policy/entropy_avg": entropy.mean(),
                "val/ratio": ratio.mean(),
            }

    @torch.no_grad()
    def _bound_last(self, rollout: Rollout, share: float | None = None) -> None:
        """Shortens the last step until the policy is within the bound again, if it is beyond.

        `share` of it: what is allowed, where that is known already.
        """
        share = self._allowed(rollout) if share is None else share
        for _ in range(MOST_TRIES):
            if share == 1:
                break
            shorten(self.model, self.before_step, share)
            share = self._allowed(rollout)

    def _allowed(self, rollout: Rollout) -> float:
        """The share of the last step that is allowed, by all episodes of the update."""
        if not (self.bounds.target_kl and self.before_step):
            return 1.0
        tokens, size = rollout.responses.shape[1], self.args.per_device_train_batch_size
        parts = zip(rollout.sequences.split(size), rollout.responses.split(size), strict=True)
        new = [self._log_probs(self._logits(some, tokens), responses) for some, responses in parts]
        kept = rollout.response_mask
        difference = torch.cat(new).masked_fill(~kept, INVALID_LOGPROB) - rollout.old_log_probs
        return self.bounds.allowed(self.accelerator, difference, kept)

    def _objective(self, rollout: Rollout, estimate: Estimate) -> dict[str, float]:
        """What the update's episodes were judged by, under TRL's names."""
        entropy = (-rollout.old_log_probs * rollout.response_mask).sum(1)
        penalty, score = estimate.penalties.sum(1).mean(), estimate.scores.mean()
        return {
            "objective/kl": self._mean(estimate.scores.new_tensor(estimate.kl).mean()),
            "objective/entropy": self._mean(entropy.mean()),
            "objective/non_score_reward": self._mean(penalty),
            "objective/rlhf_reward": self._mean(penalty + score),
            "objective/scores": self._mean(score),
        }

    def tell(self, update: int, figures: Mapping[str, Any]) -> None:
        """Passes an update's figures to the trackers, and lets the callbacks see the step."""
        self.state.epoch = self.state.episode / self.train_dataset_len
        self.state.global_step = update
        self.log({**figures, "episode": self.state.episode})
        self.control = self.callback_handler.on_step_end(self.args, self.state, self.control)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """All updates: callbacks are told of begin and end, the garbage collector is at rest."""
        self.model.train()
        state, args = self.state, self.args
        state.max_steps = args.num_total_batches
        state.num_train_epochs = args.total_episodes / self.train_dataset_len
        state.compute_steps(args, state.max_steps)
        self.control = self.callback_handler.on_train_begin(args, state, self.control)
        if self.is_deepspeed_enabled:
            self.deepspeed = self.model_wrapped = self.model
        gc.collect()
        gc.freeze()
        try:
            yield
        finally:
            gc.unfreeze()
        self.control = self.callback_handler.on_train_end(args, state, self.control)

    def gathered(self, rows: list[Row]) -> list[Row]:
        """The rows of all processes."""
        found: list[Row] = gather_object(rows)
        return found

    def live(self) -> Language | None:
        """The policy as it is; None where it is split over processes."""
        if self.is_deepspeed_enabled or self.is_fsdp_enabled:
            return None
        policy = self.accelerator.unwrap_model(self.model).policy
        return Language(plain(policy), self.processing_class)

    @torch.no_grad()
    def largest_log_ratio(self, rollout: Rollout) -> float:
        """The largest |log probability ratio| of a token, read as a step reads it: of the first
        episodes, over all processes. 0 before any step but for rounding."""
        args = self.args
        few = slice(min(args.per_device_train_batch_size, args.local_rollout_forward_batch_size))
        responses = rollout.responses[few]
        logits, _ = self._logits_and_values(rollout.sequences[few], responses.shape[1])
        responses = responses.clamp(max=logits.shape[-1] - 1)
        difference = self._log_probs(logits, responses) - rollout.old_log_probs[few]
        difference = difference.masked_fill(~rollout.response_mask[few], 0.0).abs().max()
        return float(self.accelerator.gather(difference.reshape(1)).max())

    def save_policy(self, folder: Path) -> None:
        """Saves the policy (of LoRA the adapter) with its tokenizer."""
        self.policy_model.save_pretrained(folder)
        self.processing_class.save_pretrained(folder)

    def save_merged(self, folder: Path, adapter: Path) -> None:
        """Saves the policy with its tokenizer; of LoRA the adapter too, and the policy merged."""
        policy = self.policy_model
        if isinstance(policy, PeftModel):
            policy.save_pretrained(adapter)
            policy = merged(policy)
        policy.save_pretrained(folder)
        self.processing_class.save_pretrained(folder)

    def _mean(self, value: torch.Tensor) -> float:
        """Mean over processes."""
        return float(self.accelerator.gather_for_metrics(value).mean().item())
