"""Base policies built on their own: one of any settings, or the set that ships with the package.

    rlhf-testbed base build corridor --unintended_share 0.3 --base_seed 0 --output_dir DIR
    make bases

Each is built by a job of its own, and says how able it is.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from rlhf_testbed.engine.job import Job
from rlhf_testbed.evaluation.ability import ability
from rlhf_testbed.policy.base_about import About, BaseSettings
from rlhf_testbed.policy.base_key import demonstrations, full_digest, quick_key
from rlhf_testbed.policy.base_policy import build, load_base_policy, recipe
from rlhf_testbed.policy.base_shelves import SHIPPED
from rlhf_testbed.policy.language_policy import LanguagePolicy
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.settings.plugins import faults_told
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.callbacks import quiet
from rlhf_testbed.shared.progress import Watcher
from rlhf_testbed.shared.record import read, write

PRELOADED = ["rlhf_testbed.experiment.bases"]


SHIPPED_SET: Mapping[str, Mapping[float, Sequence[int]]] = {
    "corridor": {0.3: range(5)},
    "inspection": {0.12: range(5)},
    "briefing": {0.35: range(5)},
}
"""Base seeds by task and ρ: five for the ρ that all arms of a task have."""


def shipped_jobs(folder: Path = SHIPPED) -> list[Job]:
    """A job for each base policy of the shipped set, into its folder."""
    return [
        build_job(["--task", task, *_words(share, seed)], folder / f"{task}-{share:g}-seed-{seed}")
        for task, shares in SHIPPED_SET.items()
        for share, seeds in shares.items()
        for seed in seeds
    ]


def build_job(arguments: Sequence[str], folder: Path) -> Job:
    """A job that builds one base policy, from the arguments of a run that starts from it."""
    return Job(f"base policy {folder.name}", bring_up_to_date, (arguments, folder))


def bring_up_to_date(watcher: Watcher, arguments: Sequence[str], folder: Path) -> None:
    """One job: builds a base policy in a folder, unless one is there that is made of the same.

    Of one that is, only the quick key is written anew: a task's source may change while its
    demonstrations stay. Another one that is in the way is replaced.
    """
    quiet()
    run = parse_run(arguments)
    if folder.is_dir():
        about, settings = read(folder / About.file, About), BaseSettings.of(run)
        quick = quick_key(settings, run.task)
        if about.quick == quick:
            return
        shown = demonstrations(settings, run.task, settings.demonstrations)
        if about.full == full_digest(settings, run.task, shown):
            renewed = about.model_copy(update={"quick": quick, "settings": settings})
            write(folder / About.file, renewed)
            return
    aside = folder.with_name(f".{folder.name}.new")
    build_able(run, aside, watcher)
    if folder.is_dir():
        shutil.rmtree(folder)
    aside.rename(folder)


def build_able(run: RunConfig, folder: Path, watcher: Watcher) -> About:
    """Builds a run's base policy in a folder, measures how able it is, and files that."""
    about = build(recipe(run), folder, watcher)
    with faults_told(str(folder), run.task):
        policy = LanguagePolicy.of(load_base_policy(folder), run.task)
        found = ability(run.task, policy, run.dials.unintended_share)
    able = about.model_copy(update={"ability": found})
    write(folder / About.file, able)
    return able


def _words(share: float, seed: int) -> list[str]:
    return ["--unintended_share", f"{share:g}", "--base_seed", str(seed)]
