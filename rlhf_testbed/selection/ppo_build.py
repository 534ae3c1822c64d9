"""From a run's settings to TRL's PPO trainer: configuration and value model."""

from __future__ import annotations

import torch
from transformers import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    set_seed,
)

from rlhf_testbed.policy.base_policy import load_base_policy
from rlhf_testbed.policy.language_policy import longest_response
from rlhf_testbed.policy.suitable import refuse_alike, refuse_short_context
from rlhf_testbed.selection.lora import faults_of_lora_told, lora_config, recompute_activations
from rlhf_testbed.selection.method import Start
from rlhf_testbed.selection.ppo_bounds import Bounds
from rlhf_testbed.selection.ppo_fast import FastTrainer, ValueHead
from rlhf_testbed.selection.ppo_rollout import PPOConfig
from rlhf_testbed.selection.ppo_settings import PPOSettings
from rlhf_testbed.selection.ppo_trainer import SelectionTrainer
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.errors import UsageError

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
    prompt = max(len(language.prompt_ids(scenario.prompt)) for scenario in start.scenarios)
    refuse_short_context(language.model, prompt + length)
    refuse_alike(language, [scenario.prompt for scenario in start.scenarios], "prompts")
    if settings.gradient_checkpointing:
        recompute_activations(language.model)
    exact = settings.exact or scores is not None
    with faults_of_lora_told():
        trainer = (SelectionTrainer if exact else FastTrainer)(
            ppo_config(run, settings, length, start.name),
            language,
            start.scenarios,
            value_model(str(start.base), settings.value_layers),
            lora_config(settings, language.model),
            scores or NoScores(),
        )
    trainer.checkpoint_every = settings.checkpoint_every
    if not exact:
        trainer.bounds = Bounds(settings.max_grad_norm or 0.0, settings.target_kl or 0.0)
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


class ValueModel(torch.nn.Module):
    """A model's layers with a head of one number, in the form that TRL's trainer asks for.

    For architectures of which transformers has no class that does it.
    """

    base_model_prefix = "backbone"

    def __init__(self, backbone: PreTrainedModel) -> None:
        super().__init__()
        self.backbone = backbone
        self.config = backbone.config
        size = backbone.config.get_text_config().hidden_size
        self.score = torch.nn.Linear(size, 1, bias=False, dtype=backbone.dtype)


def value_model(folder: str, layers: int | None) -> PreTrainedModel | ValueModel | ValueHead:
    """A value model that starts as the base policy's first `layers` layers, with a zero head.

    Zero, so that the first update's estimates are not the noise of a random head. Of no layers: the
    head alone, which reads the policy's last one. Raises `UsageError` for more layers than there
    are.
    """
    config = AutoConfig.from_pretrained(folder)
    if layers == 0:
        return ValueHead(config)
    there = config.get_text_config().num_hidden_layers
    if layers is not None and layers > there:
        raise UsageError(f"value_layers = {layers}: the base policy has {there} layers")
    depth = {} if layers is None else {"num_hidden_layers": layers}
    told = {"attn_implementation": "eager", **depth}
    if type(config) in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, **told)
    if type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING or not hasattr(model, "score"):
        model = ValueModel(AutoModel.from_pretrained(folder, **told))
    torch.nn.init.zeros_(model.score.weight)
    return model
