"""The base policy: a language model that has learned a task's mixture of behaviours.

Selection can only make more common what is already there, so what the base policy's demonstrators
pursue (ρ) is a dial of an experiment. It is the first of these:

    shipped with the package     for our tasks, with default settings; `--base_policy build`: never
    built here before            with the same settings, task and library versions
    built now                    one to three minutes on one core, and kept for later

What tells one from another is in `base_key.py`, where they are in `base_shelves.py`. What a run
started from is told by the hash of the files themselves (`store/base_kept.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from rlhf_testbed.policy.base_about import About, BaseSettings, content_hash
from rlhf_testbed.policy.base_key import (
    demonstrations,
    digest,
    full_digest,
    libraries,
    quick_key,
)
from rlhf_testbed.policy.base_shelves import (
    Shelved,
    place_in_cache,
    remember,
    remembered,
    shipped,
    taken,
)
from rlhf_testbed.policy.language import Language, load_language, rounded, small_language
from rlhf_testbed.policy.small_model import vocabulary
from rlhf_testbed.policy.suitable import refuse_alike
from rlhf_testbed.policy.teaching import Learning, learn
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import written_whole
from rlhf_testbed.shared.progress import LiveLine, Watcher
from rlhf_testbed.shared.record import write
from rlhf_testbed.tasks.base import Demonstration

THREADS_WITH_LORA = 2
"""A model that is large enough for LoRA makes work for two, and its runs can't begin before it."""


class Recipe(NamedTuple):
    """All that a base policy is made from."""

    title: str
    language: Language
    """Not taught yet."""
    demonstrations: Sequence[Demonstration]
    learning: Learning
    about: About
    """As far as it is known before anything is taught."""


def ensure_base_policy(run: RunConfig, watcher: Watcher | None = None) -> Path:
    """The folder of the run's base policy; taught first where there is none yet.

    Progress goes to `watcher`, by default to a live line. Raises `UsageError`.
    """
    place = place_of(run)
    return place if place.is_dir() else _cached(run, place, watcher)


def place_of(run: RunConfig) -> Path:
    """Where the run's base policy is, or is to be built; raises `UsageError`."""
    settings = BaseSettings.of(run)
    quick = quick_key(settings, run.task)
    if found := _known(run, quick):
        return found
    shown = demonstrations(settings, run.task, settings.demonstrations)
    full = full_digest(settings, run.task, shown)
    remember(quick, full)
    return taken(_shelf(run), full=full) or place_in_cache(full)


def is_there(run: RunConfig) -> bool:
    """Whether the run's base policy is known to be there; nothing is drawn to find out."""
    known = _known(run, quick_key(BaseSettings.of(run), run.task))
    return known is not None and known.is_dir()


def _known(run: RunConfig, quick: str) -> Path | None:
    """Where the base policy with that quick key is, as far as it was found out before."""
    shelf = _shelf(run)
    if found := taken(shelf, quick=quick):
        return found
    full = remembered(quick)
    return None if full is None else taken(shelf, full=full) or place_in_cache(full)


def _shelf(run: RunConfig) -> list[Shelved]:
    return shipped() if run.base.base_policy == "auto" else []


def recipe(run: RunConfig) -> Recipe:
    """What the run's base policy is made from. Nothing is taught.

    Raises `UsageError` for demonstrations that are none, and for a model that can't be taught.
    """
    settings, task = BaseSettings.of(run), run.task
    shown = demonstrations(settings, task, settings.demonstrations)
    language = _untaught(run, shown)
    refuse_alike(language, task.responses, "responses")
    about = About(
        settings=settings,
        quick=quick_key(settings, task),
        full=full_digest(settings, task, shown),
        demonstrations=digest(shown),
        libraries=libraries(),
    )
    learning = Learning(
        steps=settings.steps,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        seed=settings.base_seed,
        lora_r=settings.lora_r or 0,
        lora_layers=settings.lora_layers,
        patience=settings.patience or 0,
        threads=THREADS_WITH_LORA if settings.lora_r else 1,
    )
    title = f"base policy for {run.study.task} (once; cached)"
    return Recipe(title, language, shown, learning, about)


def build(wanted: Recipe, folder: Path, watcher: Watcher) -> About:
    """Teaches a base policy and files it in a folder, which must not exist; returns what it says.

    The small model's weights are rounded once it is taught, so that it can ship; others are not.
    """
    language, loss = learn(wanted.language, wanted.demonstrations, wanted.learning, watcher)
    if wanted.about.settings.model is None:
        rounded(language.model)
    with written_whole(folder) as aside:
        language.model.save_pretrained(aside)
        language.tokenizer.save_pretrained(aside)
        about = wanted.about.model_copy(update={"hash": content_hash(aside), "loss": loss})
        write(aside / About.file, about)
    return about


def _cached(run: RunConfig, folder: Path, watcher: Watcher | None) -> Path:
    """The folder in the cache, built first, unless somebody else does just that."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{folder.parent}: can't be made: {error.strerror} (RLHF_TESTBED_CACHE names another)"
        ) from None
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            wanted = recipe(run)
            with nullcontext(watcher) if watcher else LiveLine(wanted.title) as told:
                build(wanted, folder, told)
    return folder


def load_base_policy(folder: Path, **kwargs: object) -> Language:
    """The base policy in a folder; raises `UsageError` where that is damaged."""
    try:
        return load_language(str(folder), **{"attn_implementation": "eager", **kwargs})
    except UsageError as error:
        raise UsageError(f"base policy: {error}: delete {folder}, and it is built anew") from None


def _untaught(run: RunConfig, demonstrations: Sequence[Demonstration]) -> Language:
    name = run.base.model_name_or_path
    if name is None:
        words = vocabulary(demonstrations, run.task.responses)
        return small_language(words, run.base.base_seed)
    language = load_language(name, revision=run.base.model_revision, dtype=run.base.dtype)
    if not run.base.chat_template:  # and so the base policy's own tokenizer has none
        language.tokenizer.chat_template = None
    return language
