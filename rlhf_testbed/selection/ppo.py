"""PPO: TRL's, as a selection method: what it does at each step of the loop.

    --method ppo --kl_coef 0.02 --learning_rate 8e-4

    sample    64 prompts -> responses, their log-probabilities, and value estimates
    fitness   scores and KL -> advantages (whitened, [64, tokens]) and returns
    select    the advantages select parameters: clipped policy and value losses

`ppo_settings.py` has the settings, `ppo_rollout.py` and `ppo_trainer.py` the mathematics: TRL's, to
the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlhf_testbed.selection.method import Start, State
from rlhf_testbed.selection.ppo_settings import NO_EFFECT, PPOSettings
from rlhf_testbed.selection.trained import TrainedMethod
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.tasks.base import Verdict

if TYPE_CHECKING:
    from rlhf_testbed.policy.language import Language
    from rlhf_testbed.selection.ppo_tensors import Estimate, Rollout
    from rlhf_testbed.selection.soundness import Begun
    from rlhf_testbed.store.ledger import Row
    from rlhf_testbed.store.run_directory import RunDirectory


class PPO(TrainedMethod["Rollout", "Estimate"]):
    """TRL's PPO behind the loop."""

    summary = "PPO (TRL's): advantages change the parameters, a clipped step at a time"
    settings = PPOSettings
    no_effect = NO_EFFECT
    preload = ("rlhf_testbed.selection.ppo_build", "rlhf_testbed.selection.ppo_state")

    @classmethod
    def names_of_trainer(cls) -> set[str]:
        """Those of TRL's PPO, of transformers' trainer and of TRL's model settings: seconds."""
        from trl import ModelConfig

        from rlhf_testbed.selection.ppo_rollout import PPOConfig

        return {field.name for kind in (PPOConfig, ModelConfig) for field in fields(kind)}

    def __init__(self, start: Start) -> None:
        from rlhf_testbed.selection.ppo_build import build_trainer

        self.trainer = build_trainer(start)
        self.updates = self.trainer.args.num_total_batches
        self.episodes_per_update = self.trainer.args.batch_size
        self.checkpoint_every = self.trainer.checkpoint_every
        self.is_main = self.trainer.accelerator.is_main_process
        self.track(start)
        sharded = self.trainer.is_deepspeed_enabled or self.trainer.is_fsdp_enabled
        if sharded and start.run.selection.save_steps:
            raise UsageError(
                f"save_steps = {start.run.selection.save_steps}: no state of a model that is split "
                "over processes can be kept (right: --save_steps 0)"
            )

    def sample(self, update: int) -> Rollout:
        """Responses to the next batch of prompts."""
        return self.trainer.roll_out()

    def fitness(self, completions: Rollout, verdicts: Sequence[Verdict]) -> Estimate:
        """Generalised advantage estimates from the scores and the KL penalty."""
        return self.trainer.estimate(completions, [verdict.score for verdict in verdicts])

    def select(self, completions: Rollout, fitness: Estimate) -> Mapping[str, float]:
        """Several passes of clipped policy and value losses, then the schedule's next step.

        Raises `UsageError` where the parameters are no finite numbers any more.
        """
        from rlhf_testbed.selection.ppo_tensors import finite

        figures = self.trainer.optimise(completions, fitness)
        if not finite(self.trainer.model):
            raise UsageError(
                "parameters are no finite numbers any more: training has diverged (a smaller "
                "learning_rate, kl_coef or vf_coef)"
            )
        return figures

    def gathered(self, rows: list[Row]) -> list[Row]:
        """The rows of all processes, by accelerate."""
        return self.trainer.gathered(rows)

    def tell(self, update: int, figures: Mapping[str, Any]) -> None:
        """To the tracker that `report_to` names."""
        self.trainer.tell(update, figures)

    def under_way(self) -> AbstractContextManager[object]:
        """Tells transformers' callbacks of begin and end."""
        return self.trainer.under_way()

    def live(self) -> Language | None:
        """The policy with its adapter, unless it is split over processes."""
        return self.trainer.live()

    def begun(self, completions: Rollout) -> Begun | None:
        """Samples of temperature 1 that end where a text ends can be tested as they are."""
        from rlhf_testbed.policy.drawn import Drawn
        from rlhf_testbed.selection.soundness import Begun

        live, args = self.live(), self.trainer.args
        ratio = self.trainer.largest_log_ratio(completions)
        if live is None:
            return None
        ids = completions.responses.tolist()
        drawn = Drawn(live, completions.scenarios, ids, args.response_length)
        ends = self.trainer.stop_token_id == live.tokenizer.eos_token_id
        return Begun(live, drawn if ends and args.temperature == 1.0 else None, ratio)

    def state(self) -> State:
        """Parameters, optimiser, schedule, order of the data."""
        from rlhf_testbed.selection.ppo_state import state_of

        return state_of(self.trainer)

    def go_on(self, state: State) -> None:
        """Takes them over."""
        from rlhf_testbed.selection.ppo_state import go_on_from

        go_on_from(self.trainer, state)

    def keep(self, folder: Path) -> None:
        """The policy with its tokenizer; of LoRA the adapter."""
        self.trainer.save_policy(folder)

    def save(self, directory: RunDirectory) -> None:
        """The policy with its tokenizer; of LoRA both the adapter and the merged policy."""
        self.trainer.save_merged(directory.policy, directory.adapter)
