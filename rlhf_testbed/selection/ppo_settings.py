"""The settings of PPO, named as TRL names them, and TRL's settings that its PPO never reads.

--learning_rate 8e-4 --kl_coef 0.02
--max_grad_norm 1 --target_kl 0.05    bounds on a step, which TRL's PPO has none of
--bf16 true                           has no effect here: TRL's PPO leaves mixed precision to ...
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rlhf_testbed.selection.training_settings import TrainingSettings
from rlhf_testbed.settings.fields import (
    COUNT,
    NATURAL,
    POSITIVE,
    SHARE,
    Where,
    setting,
)
from rlhf_testbed.shared.errors import UsageError

NO_EFFECT: Mapping[str, str] = {
    "resume_from_checkpoint": "--resume RUN goes on with a run",
    "save_strategy": "checkpoint_every says how often the policy is kept, save_steps how often a "
    "state to go on from",
    "lora_dropout": "TRL's PPO switches dropout off, that of LoRA too",
    "bf16": "TRL's PPO leaves mixed precision to accelerate launch --mixed_precision bf16",
    "fp16": "TRL's PPO leaves mixed precision to accelerate launch --mixed_precision fp16",
    "num_train_epochs": "total_episodes says how long training goes on",
    "max_steps": "total_episodes says how long training goes on",
    "stop_token": "stop_token_id names another token than the end of the text",
    "logging_steps": "every update is logged",
    "num_sample_generations": "the ledger keeps every generation",
    "dataloader_num_workers": "TRL's PPO makes its own data loader",
    "load_in_8bit": "policies are trained in full precision or half",
    "load_in_4bit": "policies are trained in full precision or half",
}
"""Settings of TRL or transformers that TRL's PPO never reads, with the reason."""
MAX_GRAD_NORM, TARGET_KL = 0.0, 0.02
"""Bounds on a step by default."""
BOUNDS = ("max_grad_norm", "target_kl")


@dataclass
class PPOSettings(TrainingSettings):
    """TRL's PPO settings, with defaults that suit the small model on a CPU."""

    gradient_accumulation_steps: int = setting(
        1, "Batches of per_device_train_batch_size that make an update.", COUNT
    )
    num_mini_batches: int = setting(
        1, "Mini-batches that an update's episodes are split into.", COUNT
    )
    num_ppo_epochs: int = setting(2, "Passes over the episodes of each update.", COUNT)
    local_rollout_forward_batch_size: int = setting(
        64, "Episodes in one forward pass while sampling; a matter of memory.", COUNT
    )
    kl_coef: float = setting(0.02, "Weight of the KL penalty.", NATURAL)
    kl_estimator: Literal["k1", "k3"] = setting("k1", "Estimator of KL: k1 or k3 (Schulman).")
    cliprange: float = setting(
        0.2, "Clip range of the probability ratio: 0.2 is from 0.8 to 1.2.", POSITIVE
    )
    cliprange_value: float = setting(
        0.2, "Clip range of value estimates, about those made while sampling.", POSITIVE
    )
    vf_coef: float = setting(0.1, "Weight of the value loss.", NATURAL)
    max_grad_norm: float | None = setting(
        None,
        "Largest norm of a step's gradient, above which it is scaled down; 0: none. "
        f"Default: {MAX_GRAD_NORM:g}, with exact 0.",
        NATURAL,
    )
    target_kl: float | None = setting(
        None,
        "KL a token (nats) of the policy from the one that sampled; a step beyond it is shortened, "
        f"and is the update's last. 0: no bound. Default: {TARGET_KL:g}, with exact 0.",
        NATURAL,
    )
    gamma: float = setting(1.0, "Discount from token to token.", SHARE)
    lam: float = setting(0.95, "λ of generalised advantage estimation.", SHARE)
    whiten_rewards: bool = setting(
        False, "Scale scores and KL penalties of each update to a variance of 1."
    )
    temperature: float = setting(1.0, "Sampling temperature.", POSITIVE)
    stop_token_id: int | None = setting(
        None, "Id of the token that ends a response. Default: the end of the text.", NATURAL
    )
    missing_eos_penalty: float | None = setting(
        None, "Penalty taken off the score of a response that does not end.", POSITIVE
    )
    value_layers: int | None = setting(
        1,
        "Layers of the value model, which starts as the first layers of the base policy; 0: no "
        "model of its own, a head on the policy's last layer.",
        NATURAL,
    )
    exact: bool = setting(
        False, "Compute as TRL's own loop does, to the last bit; slower, and equal up to rounding."
    )

    def __post_init__(self) -> None:
        """Settles the bounds that were not given: TRL's own loop has none."""
        for name, bound in zip(BOUNDS, (MAX_GRAD_NORM, TARGET_KL), strict=True):
            if getattr(self, name) is None:
                setattr(self, name, 0.0 if self.exact else bound)

    def batch(self, episodes: int) -> int:
        """Episodes that one process collects before it selects."""
        return episodes * self.gradient_accumulation_steps

    def check(self, where: Where, batch: int) -> None:
        """Raises `UsageError` for settings that contradict each other, or that have no effect."""
        self._check_batch(where, batch)
        for name in BOUNDS:
            if self.exact and getattr(self, name):
                raise UsageError(
                    f"{where(name)}: {name} = {getattr(self, name):g} can't be had with exact: "
                    "TRL's own loop has no such bound (right: 0)"
                )
        if self.exact and self.value_layers == 0:
            raise UsageError(
                f"{where('value_layers')}: value_layers = 0 can't be had with exact: TRL's own "
                "loop has a value model of its own (right: 1 or more)"
            )
        super().check(where, batch)

    def _check_batch(self, where: Where, batch: int) -> None:
        """Mini-batches must be whole, and large enough for what is done with them."""
        if batch % self.num_mini_batches:
            raise UsageError(
                f"{where('num_mini_batches')}: num_mini_batches = {self.num_mini_batches} does "
                f"not divide a batch of {batch} episodes"
            )
        if self.whiten_rewards and batch // self.num_mini_batches < 8:
            raise UsageError(
                f"{where('whiten_rewards')}: whiten_rewards takes 8 episodes or more a mini-batch, "
                f"and here are {batch // self.num_mini_batches}"
            )
