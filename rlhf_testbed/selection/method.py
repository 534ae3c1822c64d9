"""What a selection method is: how completions are sampled, and how verdicts select.

    class Mine(Method[Completions, Fitness]):
        summary = "..."
        settings = MySettings                     # a dataclass of settings, in the same file
        def sample(self, update): ...             # scenarios -> completions
        def fitness(self, completions, verdicts): # verdicts -> fitness
        def select(self, completions, fitness):   # fitness -> parameters, or which completions stay

`loop.py` calls them in this order, update by update. A method's file is imported to read its
settings, so it imports torch where it runs and not at its top. To add one: a file like this and a
line in `settings/methods.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from rlhf_testbed.overseers.base import TrainingOverseer
from rlhf_testbed.settings.fields import MethodSettings
from rlhf_testbed.tasks.base import Scenario, Verdict

if TYPE_CHECKING:
    import torch

    from rlhf_testbed.policy.language import Language
    from rlhf_testbed.policy.language_policy import LanguagePolicy
    from rlhf_testbed.policy.policy import Policy
    from rlhf_testbed.selection.soundness import Begun
    from rlhf_testbed.settings.run import RunConfig
    from rlhf_testbed.store.ledger import Row
    from rlhf_testbed.store.run_directory import RunDirectory


@dataclass(frozen=True)
class Completions:
    """What one update sampled, in this process. The scenario travels with its completion: place i
    of every field belongs to one episode."""

    scenarios: Sequence[Scenario]
    texts: Sequence[str]


@dataclass(frozen=True)
class Fitness:
    """What decides which completions are selected; place i of both is one episode."""

    values: Sequence[float]
    """As the ledger's `advantage`."""
    kl: Sequence[float]
    """KL of the policy that sampled from the base policy, in nats."""


@dataclass(frozen=True)
class State:
    """What a method needs to go on after an update as if it had never stopped. The generators are
    the loop's to keep."""

    tensors: Mapping[str, torch.Tensor]
    """On the CPU, by name; no two share memory."""
    position: Mapping[str, Any]
    """The rest, as JSON can hold it; of several processes each has its own."""


Sampled = TypeVar("Sampled", bound=Completions)
Judged = TypeVar("Judged", bound=Fitness)


@dataclass(frozen=True)
class Start:
    """What a method starts from."""

    run: RunConfig
    base: Path
    """Folder of the base policy."""
    overseer: TrainingOverseer
    scenarios: Sequence[Scenario]
    """The training scenarios."""
    name: str
    """Of the run, for trackers."""


class Method(ABC, Generic[Sampled, Judged]):
    """One way of selection. `updates`: how many there are; `checkpoint_every`: 0 keeps the last."""

    summary: ClassVar[str]
    settings: ClassVar[type[MethodSettings]]
    updates: int
    episodes_per_update: int
    """Over all processes."""
    checkpoint_every: int = 0
    no_effect: ClassVar[Mapping[str, str]] = {}
    """Settings that a library's trainer has and this method doesn't read, with the reason."""
    has_weights: ClassVar[bool] = True
    """Whether the selected policy has weights of its own."""
    preload: ClassVar[Sequence[str]] = ()
    """Modules that it imports when it runs and that take seconds: an experiment's jobs find them
    imported."""
    is_main: bool = True
    """Whether this process is the one of several that writes files."""
    tracker: str = "none"
    """The tracker that `tell` passes to, as `report_to` names it."""
    tracked_generations: int = 0
    """Generations of a table that it is shown now and then; 0: none."""

    @classmethod
    def names_of_trainer(cls) -> set[str]:
        """All settings of the library's trainer behind it; may import that."""
        return set()

    @abstractmethod
    def __init__(self, start: Start) -> None:
        """Prepares the first update, and seeds every generator."""

    @abstractmethod
    def sample(self, update: int) -> Sampled:
        """Samples the completions of one update."""

    @abstractmethod
    def fitness(self, completions: Sampled, verdicts: Sequence[Verdict]) -> Judged:
        """Turns the training overseer's verdicts into fitness. No model input ever holds one."""

    @abstractmethod
    def select(self, completions: Sampled, fitness: Judged) -> Mapping[str, float]:
        """Lets fitness select parameters, or completions; returns figures for the trackers."""

    @abstractmethod
    def save(self, directory: RunDirectory) -> None:
        """Files the selected policy."""

    def live(self) -> Language | None:
        """The policy as it is now, to be scored exactly; None where that can't be done."""
        return None

    def begun(self, completions: Sampled) -> Begun | None:
        """What `soundness.py` asks of the first update, before anything was selected; by default
        of a policy that is live, with nothing that was drawn."""
        from rlhf_testbed.selection.soundness import Begun

        live = self.live()
        return None if live is None else Begun(live, None, 0.0)

    def saved(self, directory: RunDirectory) -> Language | None:
        """The policy as `save` has filed it, loaded again; None where it has no weights."""
        return None

    def saved_adapter(self, directory: RunDirectory) -> Callable[[], Language] | None:
        """What loads the adapter of a policy that is filed merged and apart; else None."""
        return None

    def keep(self, folder: Path) -> None:
        """Files the policy as it is now, as a checkpoint."""
        raise NotImplementedError(f"{type(self).__name__} has no checkpoints")

    def state(self) -> State | None:
        """All that changes from update to update, in this process. None, unless a method says
        otherwise: a run of it that was stopped begins again."""
        return None

    def go_on(self, state: State) -> None:
        """Brings a method that was just made to a state, of the same settings."""

    def gathered(self, rows: list[Row]) -> list[Row]:
        """The rows of all processes, in one order for all."""
        return rows

    def tell(self, update: int, figures: Mapping[str, Any]) -> None:
        """Passes one update's figures to the trackers, where the method has any: numbers, and now
        and then a table as the tracker takes it (`tracked_table.py`)."""

    def remarks(self) -> list[str]:
        """What a reader of the finished run should know, in sentences."""
        return []

    def under_way(self) -> AbstractContextManager[object]:
        """Surrounds all updates."""
        return nullcontext()

    @classmethod
    @abstractmethod
    def policy(
        cls, run: RunConfig, directory: RunDirectory, base: LanguagePolicy, by: TrainingOverseer
    ) -> Policy:
        """The selected policy of a finished run; `by`: the overseer whose scores selected it."""

    @classmethod
    def checkpoints(
        cls, run: RunConfig, directory: RunDirectory, base: LanguagePolicy
    ) -> Iterator[tuple[int, Policy]]:
        """The kept policies before the last, by update, one at a time in memory."""
        yield from ()
