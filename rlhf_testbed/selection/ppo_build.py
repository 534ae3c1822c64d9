"""From a run's settings to TRL's PPO trainer: configuration, LoRA, value model."""

from __future__ import annotations

import torch
from peft import LoraConfig
from transformers import AutoModelForSequenceClassification, PreTrainedModel, set_seed

from rlhf_testbed.policy.base_policy import load_base_policy
from rlhf_testbed.policy.language_policy import longest_response
from rlhf_testbed.selection.method import Start
from rlhf_testbed.selection.ppo_settings import PPOSettings
from rlhf_testbed.selection.ppo_trainer import PPOConfig, SelectionTrainer
from rlhf_testbed.settings.run import RunConfig

TAKEN = (
    "learning_rate lr_scheduler_type warmup_steps optim weight_decay adam_beta1 adam_beta2 "
    "adam_epsilon gradient_accumulation_steps num_mini_batches num_ppo_epochs "
    "local_rollout_forward_batch_size kl_coef kl_estimator cliprange cliprange_value vf_coef gamma "
    "lam whiten_rewards temperature stop_token_id missing_eos_penalty report_to project"
).split()
"""Settings that TRL's `PPOConfig` takes as they are."""


class NoScores(torch.nn.Module):
    """Stands where TRL's trainer wants a network that scores; the overseer is asked in the loop."""


def build_trainer(start: Start, scores: torch.nn.Module | None = None) -> SelectionTrainer:
    """The trainer of a run; seeds every generator.

    `scores`: what TRL's own `train()` asks for scores, for comparison only.
    """
    run = start.run
    settings = run.method
    assert isinstance(settings, PPOSettings)  # `ppo.py` names both
    set_seed(run.seed)
    language = load_base_policy(
        start.base, attn_implementation=run.base.attn_implementation, dtype=run.base.dtype
    )
    length = run.selection.response_length or longest_response(language, run.task)
    trainer = SelectionTrainer(
        ppo_config(run, settings, length, start.name),
        language,
        start.scenarios,
        value_model(str(start.base), settings.value_layers),
        lora_config(settings),
        scores or NoScores(),
    )
    trainer.checkpoint_every = settings.checkpoint_every
    return trainer


def ppo_config(run: RunConfig, settings: PPOSettings, length: int, run_name: str) -> PPOConfig:
    """The settings in TRL's own form; what is not named here keeps TRL's default."""
    return PPOConfig(
        output_dir=str(run.output_dir),
        seed=run.seed,
        use_cpu=run.selection.use_cpu or not torch.accelerator.is_available(),
        total_episodes=run.selection.total_episodes,
        per_device_train_batch_size=run.selection.per_device_train_batch_size,
        response_length=length,
        stop_token=None if settings.stop_token_id is not None else "eos",
        run_name=settings.run_name or run_name,
        num_sample_generations=0,
        save_strategy="no",
        bf16=False,
        **{name: getattr(settings, name) for name in TAKEN},
    )


def lora_config(settings: PPOSettings) -> LoraConfig | None:
    """LoRA as the settings have it; TRL's PPO switches dropout off, so there is none."""
    if not settings.use_peft:
        return None
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.lora_r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=0.0,
        target_modules=settings.lora_target_modules or None,
        target_parameters=settings.lora_target_parameters or None,
        modules_to_save=settings.lora_modules_to_save or None,
        use_rslora=settings.use_rslora,
        use_dora=settings.use_dora,
    )


def value_model(folder: str, layers: int | None) -> PreTrainedModel:
    """A value model that starts as the base policy's first `layers` layers, with a zero head.

    Zero, so that the first update's estimates are not the noise of a random head.
    """
    depth = {} if layers is None else {"num_hidden_layers": layers}
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=1, attn_implementation="eager", **depth
    )
    torch.nn.init.zeros_(model.score.weight)
    return model
