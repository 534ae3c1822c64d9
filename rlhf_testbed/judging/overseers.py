"""The overseers of a run, with the models of those that read.

    training_overseer(run)                                    whose scores select parameters
    later_overseer("scripted", run, knowledge=1.0, entries=[])   who judges what it generated

Nothing here imports torch until an overseer needs a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rlhf_testbed.judging.endpoint import asking
from rlhf_testbed.overseers.base import HeldOutOverseer, Overseer, Sight, TrainingOverseer
from rlhf_testbed.overseers.endpoint import Endpoint
from rlhf_testbed.overseers.language_model import LanguageModel
from rlhf_testbed.overseers.learned import Learned
from rlhf_testbed.settings.options import options_of
from rlhf_testbed.settings.overseers import COMMAND_LINE, make_overseer
from rlhf_testbed.settings.plugins import overseer_class
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.tasks.base import Task


def training_overseer(run: RunConfig, *, with_model: bool = True) -> TrainingOverseer:
    """The run's own overseer, with its sight and options, and its model if it needs one.

    Raises `UsageError` where there is no such model.
    """
    study = run.study
    overseer = make_overseer(
        study.overseer, run.task, Sight(run.dials.knowledge), study.overseer_args
    )
    if with_model:
        give_model(overseer, run.output_dir)
    if not isinstance(overseer, TrainingOverseer):
        raise TypeError(f"{type(overseer).__name__} is held out: it can't take part in training")
    return overseer


def give_model(overseer: Overseer, folder: Path) -> None:
    """Gives an overseer that reads its model, in a run's folder; raises `UsageError` for none."""
    if isinstance(overseer, Learned):
        from rlhf_testbed.judging import preference_model

        preference_model.load(overseer, folder)
    if isinstance(overseer, LanguageModel):
        from rlhf_testbed.judging import language_judge

        overseer.give_model(language_judge.yes_or_no(overseer.model), threshold=0.5)
    if isinstance(overseer, Endpoint):
        overseer.give_judge(asking.asker(overseer, asking.rubric_of(overseer, folder), folder))


def refuse_unready(run: RunConfig) -> None:
    """Raises `UsageError` for what would stop the training overseer at its first verdict, before
    there is a base policy."""
    overseer = training_overseer(run, with_model=False)
    if isinstance(overseer, Endpoint):
        asking.refuse_unready(overseer, run.output_dir)


def options_for(
    name: str, run: RunConfig, knowledge: float | None, entries: Sequence[str] | None
) -> tuple[float | None, list[str]]:
    """Knowledge and options of a later overseer: those given, else the run's own.

    Of the run's own options only those that it has: `scripted` then judges as the teacher of a
    learned overseer did. A held-out overseer sees everything: raises `UsageError` where knowledge
    is given.
    """
    kind = overseer_class(name, f"{COMMAND_LINE}: overseer")
    if entries is None:
        known = options_of(kind)
        entries = [e for e in run.study.overseer_args if e.partition("=")[0] in known]
    if issubclass(kind, HeldOutOverseer):
        if knowledge is not None:
            raise UsageError(f"{COMMAND_LINE}: --knowledge: {name} sees everything (leave it out)")
        return None, list(entries)
    return (run.dials.knowledge if knowledge is None else knowledge), list(entries)


def later_overseer(
    name: str,
    run: RunConfig,
    knowledge: float | None,
    entries: Sequence[str],
    folder: Path | None = None,
) -> Overseer:
    """An overseer that judges a run's generations, with its model; raises `UsageError`.

    `folder`: where its evaluation is filed. One that asks a server files there what that took.
    """
    sight = Sight(1.0 if knowledge is None else knowledge)
    overseer = make_overseer(name, run.task, sight, entries)
    if isinstance(overseer, Endpoint):
        place = folder or run.output_dir
        overseer.give_judge(asking.asker(overseer, asking.rubric_of(overseer), place))
    else:
        give_model(overseer, run.output_dir)
    return overseer


def limited_overseer(
    name: str, task: Task, knowledge: float, entries: Sequence[str], folder: Path
) -> TrainingOverseer:
    """An overseer as training would have it, with its model, where there is no run.

    `folder`: one that asks a server files there what that took. Raises `UsageError`, also for one
    that is held out, and one whose model only a run has.
    """
    if not 0 <= knowledge <= 1:
        raise UsageError(f"{COMMAND_LINE}: knowledge = {knowledge:g} is not in [0, 1]")
    overseer = make_overseer(name, task, Sight(knowledge), entries)
    if not isinstance(overseer, TrainingOverseer):
        raise UsageError(
            f"{COMMAND_LINE}: overseer = {name} is held out (right: a limited one, like scripted; "
            "full knowledge judges in any case)"
        )
    if isinstance(overseer, Learned):
        raise UsageError(
            f"{COMMAND_LINE}: overseer = {name} is a model that a run keeps (right: rlhf-testbed "
            "evaluate RUN)"
        )
    give_model(overseer, folder)
    return overseer
