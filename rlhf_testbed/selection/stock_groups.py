"""TRL's own GRPO and RLOO trainers on a run of ours, for comparison: the same parameters.

    stock_group_trainer(start).train()                    samples for itself
    stock_group_trainer(start, [ours, ours, ...]).train() is given what our updates sampled

It has no place for a scenario beside a completion but a column of its data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from transformers import set_seed
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from rlhf_testbed.judging.episode import judge_all
from rlhf_testbed.policy.base_policy import load_base_policy
from rlhf_testbed.policy.language_policy import longest_response
from rlhf_testbed.selection.grpo import GRPOSettings
from rlhf_testbed.selection.learner import Drawn
from rlhf_testbed.selection.learning import LearningSettings
from rlhf_testbed.selection.method import Start
from rlhf_testbed.selection.rloo import RLOOSettings
from rlhf_testbed.selection.scenario_order import scenario_at

SHARED = (
    "learning_rate lr_scheduler_type warmup_steps optim weight_decay adam_beta1 adam_beta2 "
    "adam_epsilon max_grad_norm num_generations num_iterations beta epsilon"
).split()
"""Settings that both of TRL's configs take as they are."""
OWN = {
    GRPOSettings: ("epsilon_high", "scale_rewards", "loss_type", "use_bias_correction_kl"),
    RLOOSettings: ("normalize_advantages",),
}


def stock_group_trainer(start: Start, given: Sequence[Drawn] = ()) -> Any:
    """A trainer for which `train()` is TRL's own; `given`: completions, an update each."""
    run, settings = start.run, start.run.method
    assert isinstance(settings, GRPOSettings | RLOOSettings)
    set_seed(run.seed)
    language = load_base_policy(start.base, attn_implementation=run.base.attn_implementation)
    batch = run.selection.per_device_train_batch_size
    updates = -(-run.selection.total_episodes // batch)
    grpo = isinstance(settings, GRPOSettings)
    config = (GRPOConfig if grpo else RLOOConfig)(
        output_dir=str(run.output_dir),
        use_cpu=True,
        seed=run.seed,
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=1,
        steps_per_generation=1,
        max_steps=updates * settings.num_iterations,
        max_completion_length=longest_response(language, run.task),
        temperature=1.0,
        disable_dropout=True,
        shuffle_dataset=False,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        bf16=False,
        gradient_checkpointing=False,
        **{name: getattr(settings, name) for name in (*SHARED, *OWN[type(settings)])},
    )
    trainer = (GRPOTrainer if grpo else RLOOTrainer)(
        model=language.model,
        reward_funcs=lambda prompts, completions, place, **_: [
            episode.verdict.score
            for episode in judge_all(
                start.overseer, [start.scenarios[at] for at in place], completions
            )
        ],
        args=config,
        train_dataset=_rows(start, settings, updates * batch),
        processing_class=language.tokenizer,
    )
    if given:
        _give(trainer, given, with_log_probs=grpo)
    return trainer


def _rows(start: Start, settings: LearningSettings, episodes: int) -> Dataset:
    """The scenarios in the order in which our updates take them."""
    count = episodes // settings.num_generations
    places = [scenario_at(start.scenarios, start.run.seed, at) for at in range(count)]
    rows = [{"prompt": start.scenarios[at].prompt, "place": at} for at in places]
    return Dataset.from_list(rows)


def _give(trainer: Any, given: Sequence[Drawn], with_log_probs: bool) -> None:
    """Hands a trainer what our updates sampled, instead of what it would sample itself."""
    updates = iter(given)

    def sampled(*_: object) -> Any:
        drawn = next(updates)
        ids = [
            row[: int(size)]
            for row, size in zip(drawn.responses.tolist(), drawn.kept.sum(1).tolist(), strict=True)
        ]
        return (ids, None) if with_log_probs else ids

    trainer._generate_single_turn = sampled
