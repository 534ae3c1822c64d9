"""The settings that every method has which changes parameters: optimiser, schedule, LoRA, trackers.

    --learning_rate 8e-4 --lr_scheduler_type linear --use_peft true --checkpoint_every 5

Named as TRL and transformers name them.
"""

from __future__ import annotations

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

LORA = ("lora_target_modules", "lora_target_parameters", "lora_modules_to_save")
ONLY_LORA = ("lora_r", "lora_alpha", *LORA, "lora_layers", "use_rslora", "use_dora")


@dataclass
class TrainingSettings(MethodSettings):
    """How parameters change, with defaults that suit the small model on a CPU."""

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
    use_peft: bool = setting(False, "Train LoRA adapters instead of all weights.")
    lora_r: int = setting(16, "LoRA: rank.", COUNT)
    lora_alpha: int = setting(32, "LoRA: α.", COUNT)
    lora_target_modules: list[str] = setting(
        [], "LoRA: modules to adapt, or all-linear. Default: peft's own."
    )
    lora_target_parameters: list[str] = setting([], "LoRA: parameters to adapt.")
    lora_modules_to_save: list[str] = setting([], "LoRA: modules trained whole.")
    lora_layers: int | None = setting(
        None,
        "LoRA: adapt so many layers only, counted from the last. What those below make of a text "
        "is then computed once. Default: all.",
        COUNT,
    )
    use_rslora: bool = setting(False, "LoRA: scale by α/√r (rsLoRA) instead of α/r.")
    use_dora: bool = setting(False, "LoRA: adapt magnitudes apart from directions (DoRA).")
    gradient_checkpointing: bool = setting(
        False, "Compute activations anew where a gradient asks for them: less memory, more time."
    )
    checkpoint_every: int = setting(
        5,
        "Updates from one checkpoint to the next, for figures through training; 0 keeps the last "
        "policy only.",
        NATURAL,
    )
    report_to: Literal["none", "trackio", "tensorboard", "wandb"] = setting(
        "none", "Tracker that every update's figures go to."
    )
    run_name: str | None = setting(
        None, "Name of the run in a tracker. Default: TASK-ARM-SEED, with the dials that are set."
    )
    project: str = setting("huggingface", "Project of a run in trackio.")
    tracked_generations: int = setting(
        16,
        "Generations in the table that a tracker is shown at each checkpoint; 0: no tables.",
        NATURAL,
    )

    def fixed_length(self) -> str:
        """Only a constant learning rate does not depend on how many updates there will be."""
        if self.lr_scheduler_type.startswith("constant"):
            return ""
        return f"lr_scheduler_type = {self.lr_scheduler_type} brings the learning rate to its end"

    def check(self, where: Where, batch: int) -> None:
        """Raises `UsageError` for settings that contradict each other, or that have no effect."""
        if not self.use_peft:
            for name in ONLY_LORA:
                if getattr(self, name) != getattr(type(self)(), name):
                    raise UsageError(f"{where(name)}: {name} has no effect without use_peft")
        if self.report_to != "none" and find_spec(self.report_to) is None:
            raise UsageError(
                f"{where('report_to')}: report_to = {self.report_to} is not installed "
                "(pip install 'rlhf-testbed[trackers]')"
            )
