"""The settings of PPO, named as TRL names them, and TRL's settings that its PPO never reads.

--learning_rate 8e-4 --kl_coef 0.02
--max_grad_norm 1 --target_kl 0.05    bounds on a step, which TRL's PPO has none of
--bf16 true                           has no effect here: TRL's PPO leaves mixed precision to ...
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from rlhf_testbed.settings.fields import (
    COUNT,
    NATURAL,
    POSITIVE,
    SHARE,
    MethodSettings,
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
    "gradient_checkpointing": "TRL's PPO never reads it",
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
LORA = ("lora_target_modules", "lora_target_parameters", "lora_modules_to_save")


@dataclass
class PPOSettings(MethodSettings):
    """TRL's PPO settings, with defaults that suit the small model on a CPU."""

    learning_rate: float = setting(8e-4, "Peak learning rate.", POSITIVE)
    lr_scheduler_type: Literal[
        "linear", "cosine", "constant", "constant_with_warmup", "polynomial"
    ] = setting("linear", "Schedule of the learning rate.")
    warmup_steps: int = setting(0, "Updates until the learning rate reaches its peak.", NATURAL)
    optim: Literal["adamw_torch_fused", "adamw_torch", "adafactor", "sgd"] = setting(
        "adamw_torch_fused", "Optimiser."
    )
    weight_decay: float = setting(0.0, "Weight decay.", NATURAL)
    adam_beta1: float = setting(0.9, "AdamW's β₁.", SHARE)
    adam_beta2: float = setting(0.999, "AdamW's β₂.", SHARE)
    adam_epsilon: float = setting(1e-8, "AdamW's ε.", POSITIVE)
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
        1, "Layers of the value model, which starts as the first layers of the base policy.", COUNT
    )
    use_peft: bool = setting(False, "Train LoRA adapters instead of all weights.")
    lora_r: int = setting(16, "LoRA: rank.", COUNT)
    lora_alpha: int = setting(32, "LoRA: α.", COUNT)
    lora_target_modules: list[str] = setting([], "LoRA: modules to adapt. Default: peft's own.")
    lora_target_parameters: list[str] = setting([], "LoRA: parameters to adapt.")
    lora_modules_to_save: list[str] = setting([], "LoRA: modules trained whole.")
    use_rslora: bool = setting(False, "LoRA: scale by α/√r (rsLoRA) instead of α/r.")
    use_dora: bool = setting(False, "LoRA: adapt magnitudes apart from directions (DoRA).")
    checkpoint_every: int = setting(
        5,
        "Updates from one checkpoint to the next, for figures through training; 0 keeps the last "
        "policy only.",
        NATURAL,
    )
    exact: bool = setting(
        False, "Compute as TRL's own loop does, to the last bit; slower, and equal up to rounding."
    )
    report_to: Literal["none", "trackio", "tensorboard", "wandb"] = setting(
        "none", "Tracker that every update's figures go to."
    )
    run_name: str | None = setting(
        None, "Name of the run in a tracker. Default: TASK-ARM-SEED, with the dials that are set."
    )
    project: str = setting("huggingface", "Project of a run in trackio.")

    def __post_init__(self) -> None:
        """Settles the bounds that were not given: TRL's own loop has none."""
        for name, bound in zip(BOUNDS, (MAX_GRAD_NORM, TARGET_KL), strict=True):
            if getattr(self, name) is None:
                setattr(self, name, 0.0 if self.exact else bound)

    def batch(self, episodes: int) -> int:
        """Episodes that one process collects before it selects."""
        return episodes * self.gradient_accumulation_steps

    def fixed_length(self) -> str:
        """Only a constant learning rate does not depend on how many updates there will be."""
        if self.lr_scheduler_type.startswith("constant"):
            return ""
        return f"lr_scheduler_type = {self.lr_scheduler_type} brings the learning rate to its end"

    def check(self, where: Where, batch: int) -> None:
        """Raises `UsageError` for settings that contradict each other, or that have no effect."""
        self._check_batch(where, batch)
        for name in BOUNDS:
            if self.exact and getattr(self, name):
                raise UsageError(
                    f"{where(name)}: {name} = {getattr(self, name):g} can't be had with exact: "
                    "TRL's own loop has no such bound (right: 0)"
                )
        if not self.use_peft:
            for name in ("lora_r", "lora_alpha", *LORA, "use_rslora", "use_dora"):
                if getattr(self, name) != getattr(type(self)(), name):
                    raise UsageError(f"{where(name)}: {name} has no effect without use_peft")
        if self.report_to != "none" and find_spec(self.report_to) is None:
            raise UsageError(
                f"{where('report_to')}: report_to = {self.report_to} is not installed "
                "(pip install 'rlhf-testbed[trackers]')"
            )

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
