"""What every method that changes parameters shares: how its policy and its checkpoints are loaded.

runs/both-3/policy/              the selected policy, merged where there was an adapter
runs/both-3/adapter/             of LoRA the adapter alone
runs/both-3/checkpoints/00005/   policies on the way; of LoRA adapters
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlhf_testbed.selection.method import Judged, Method, Sampled, Start
from rlhf_testbed.selection.training_settings import TrainingSettings
from rlhf_testbed.shared.errors import UsageError

if TYPE_CHECKING:
    from rlhf_testbed.overseers.base import TrainingOverseer
    from rlhf_testbed.policy.language import Language
    from rlhf_testbed.policy.language_policy import LanguagePolicy
    from rlhf_testbed.policy.policy import Policy
    from rlhf_testbed.settings.run import RunConfig
    from rlhf_testbed.store.run_directory import RunDirectory


class TrainedMethod(Method[Sampled, Judged]):
    """A method whose selected policy has weights of its own."""

    def track(self, start: Start) -> None:
        """Takes over what the trackers are to be shown."""
        settings = start.run.method
        assert isinstance(settings, TrainingSettings)  # those of each such method are
        self.tracker = settings.report_to
        self.tracked_generations = 0 if self.tracker == "none" else settings.tracked_generations

    def saved(self, directory: RunDirectory) -> Language | None:
        """The selected policy, merged where there was an adapter."""
        return None if self.live() is None else _loaded(directory.policy)

    def saved_adapter(self, directory: RunDirectory) -> Callable[[], Language] | None:
        """Of LoRA the adapter on the base policy."""
        if not directory.adapter.is_dir():
            return None
        return lambda: _adapted(directory.adapter, directory)

    @classmethod
    def policy(
        cls, run: RunConfig, directory: RunDirectory, base: LanguagePolicy, by: TrainingOverseer
    ) -> Policy:
        """The saved policy."""
        if not directory.policy.is_dir():
            raise UsageError(f"{directory.policy}: is not there, though training has finished here")
        return _policy(_loaded(directory.policy), base)

    @classmethod
    def checkpoints(
        cls, run: RunConfig, directory: RunDirectory, base: LanguagePolicy
    ) -> Iterator[tuple[int, Policy]]:
        """Each checkpoint, loaded when it is its turn."""
        tokenizer = base.language.tokenizer
        for update, folder in directory.checkpoints.items():
            if (folder / "adapter_config.json").is_file():
                yield update, _policy(_adapted(folder, directory), base)
            else:
                yield update, _policy(_loaded(folder, like=tokenizer), base)


def _policy(language: Language, base: LanguagePolicy) -> Policy:
    from rlhf_testbed.policy.language_policy import LanguagePolicy
    from rlhf_testbed.policy.trunk import share_trunk

    share_trunk(base.language.model, language.model)
    return LanguagePolicy(language, base.longest)


def _loaded(folder: Path, **kwargs: Any) -> Language:
    from rlhf_testbed.policy.language import load_language

    return load_language(str(folder), attn_implementation="eager", **kwargs)


def _adapted(folder: Path, directory: RunDirectory) -> Language:
    """An adapter on the run's own base policy, whose hash is known.

    The adapter's file names a folder, too, but that may hold another policy by now.
    """
    from rlhf_testbed.policy.base_policy import load_base_policy
    from rlhf_testbed.policy.merging import adapted
    from rlhf_testbed.store.base_kept import base_folder

    return adapted(load_base_policy(base_folder(directory)), folder)
