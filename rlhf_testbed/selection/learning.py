"""What GRPO, RLOO and expert iteration share: a learner, its batches, its states, its files.

    class Mine(LearningMethod[MyFitness]):
        def fitness(self, drawn, verdicts): ...       verdicts -> fitness
        def losses(self, drawn, fitness): ...         each loss in turn is one step

An update samples `num_generations` completions to each of some scenarios.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlhf_testbed.selection.method import Judged, Start, State
from rlhf_testbed.selection.scenario_order import scenario_at, update_seed
from rlhf_testbed.selection.trained import TrainedMethod
from rlhf_testbed.selection.training_settings import TrainingSettings
from rlhf_testbed.settings.fields import COUNT, NATURAL, Where, setting
from rlhf_testbed.shared.errors import UsageError

if TYPE_CHECKING:
    import torch

    from rlhf_testbed.policy.language import Language
    from rlhf_testbed.selection.learner import Drawn
    from rlhf_testbed.selection.soundness import Begun
    from rlhf_testbed.store.ledger import Row
    from rlhf_testbed.store.run_directory import RunDirectory


@dataclass
class LearningSettings(TrainingSettings):
    """What the methods of this file share."""

    num_generations: int = setting(8, "Completions to each scenario of an update.", COUNT)
    num_iterations: int = setting(2, "Steps on the episodes of each update.", COUNT)
    max_grad_norm: float = setting(
        1.0, "Largest norm of a step's gradient, above which it is scaled down; 0: none.", NATURAL
    )

    def scenarios(self, batch: int) -> int:
        """Different scenarios in a batch of so many episodes."""
        return max(1, batch // self.num_generations)

    def check(self, where: Where, batch: int) -> None:
        """Raises `UsageError` where an update is no whole number of scenarios, too."""
        if batch % self.num_generations:
            raise UsageError(
                f"{where('num_generations')}: num_generations = {self.num_generations} does not "
                f"divide an update of {batch} episodes (per_device_train_batch_size)"
            )
        super().check(where, batch)


class LearningMethod(TrainedMethod["Drawn", Judged]):
    """A method that changes parameters by a loss of its own."""

    preload = ("rlhf_testbed.selection.learner",)

    @classmethod
    def names_of_trainer(cls) -> set[str]:
        """Those of transformers' trainer and of TRL's model settings: seconds."""
        from dataclasses import fields

        from transformers import TrainingArguments
        from trl import ModelConfig

        return {field.name for kind in (TrainingArguments, ModelConfig) for field in fields(kind)}

    def __init__(self, start: Start) -> None:
        from rlhf_testbed.selection.learner import Learner

        settings, selection = start.run.method, start.run.selection
        assert isinstance(settings, LearningSettings)  # each method's class names them
        self.run, self.own = start.run, settings
        self.checkpoint_every = settings.checkpoint_every
        processes = _processes(start)
        self.episodes_per_update = selection.per_device_train_batch_size * processes
        self.updates = -(-selection.total_episodes // self.episodes_per_update)
        steps = self.updates * settings.num_iterations
        self.learner = Learner(start, settings, steps, settings.max_grad_norm)
        self.is_main = self.learner.accelerator.is_main_process
        self.track(start)

    def sample(self, update: int) -> Drawn:
        """`num_generations` completions to each of the next scenarios, this process's share."""
        accelerator, each = self.learner.accelerator, self.own.num_generations
        count = self.episodes_per_update // each // accelerator.num_processes
        first = ((update - 1) * accelerator.num_processes + accelerator.process_index) * count
        chosen = [
            scenario_at(self.learner.scenarios, self.run.seed, at)
            for at in range(first, first + count)
        ]
        places = [place for place in chosen for _ in range(each)]
        return self.learner.sample(places, update_seed(self.run.seed, update))

    def losses(self, drawn: Drawn, fitness: Judged) -> Iterator[torch.Tensor]:
        """Yields the loss of each step in turn: the last one was taken before the next is asked."""
        raise NotImplementedError

    def select(self, completions: Drawn, fitness: Judged) -> Mapping[str, float]:
        """Steps on the losses; raises `UsageError` where parameters are no numbers any more."""
        from rlhf_testbed.selection.ppo_tensors import finite

        found = []
        for loss in self.losses(completions, fitness):
            self.learner.step(loss)
            found.append(float(loss.detach()))
        if not finite(self.learner.model):
            raise UsageError(
                "parameters are no finite numbers any more: training has diverged (a smaller "
                "learning_rate)"
            )
        return {"loss": sum(found) / len(found)} if found else {}

    def gathered(self, rows: list[Row]) -> list[Row]:
        """The rows of all processes, by accelerate."""
        from accelerate.utils import gather_object

        found: list[Row] = gather_object(rows)
        return found

    def under_way(self) -> AbstractContextManager[object]:
        """Tells the tracker of begin and end."""
        return self.learner.tracked()

    def tell(self, update: int, figures: Mapping[str, Any]) -> None:
        """To the tracker that `report_to` names."""
        self.learner.tell(update, figures)

    def live(self) -> Language:
        """The policy with its adapter."""
        return self.learner.live()

    def begun(self, completions: Drawn) -> Begun:
        """What was drawn can be tested as it is."""
        import torch

        from rlhf_testbed.policy.drawn import Drawn as Samples
        from rlhf_testbed.selection.soundness import Begun

        learner, live = self.learner, self.live()
        with torch.no_grad():
            ratio = (learner.log_probs(completions) - completions.log_probs).abs().max()
        ids = completions.responses.tolist()
        samples = Samples(live, completions.scenarios, ids, learner.length)
        return Begun(live, samples, float(learner.accelerator.gather(ratio.reshape(1)).max()))

    def state(self) -> State:
        """Parameters, optimiser, schedule; which scenarios come is told by the update."""
        return self.learner.state()

    def go_on(self, state: State) -> None:
        """Takes them over."""
        self.learner.go_on(state)

    def keep(self, folder: Path) -> None:
        """The policy with its tokenizer; of LoRA the adapter."""
        self.learner.keep(folder)

    def save(self, directory: RunDirectory) -> None:
        """The policy with its tokenizer; of LoRA both the adapter and the merged policy."""
        self.learner.save(directory.policy, directory.adapter)


def scores_of(verdicts: Sequence[Any], like: torch.Tensor) -> torch.Tensor:
    """The scores of an update's verdicts [episodes], where `like` is."""
    return like.new_tensor([verdict.score for verdict in verdicts])


def _processes(start: Start) -> int:
    from rlhf_testbed.selection.processes import processes

    count: int = processes(start.run.selection.use_cpu).num_processes
    return count
