"""The base policy that belongs to a run: kept beside it where it is small, and known by its hash.

    runs/corridor/base/3f9c0d6a1b2e4c58/    shared by the runs of an experiment
    runs/corridor/both/seed-3/base.json     {"hash": "3f9c0d6a1b2e4c58",
                                             "folder": "../../base/3f9c0d6a1b2e4c58"}

No figure is ever computed against another base policy: one that is gone or has changed is refused.
"""

from __future__ import annotations

import os
import shutil
from contextlib import nullcontext
from pathlib import Path

from filelock import FileLock

from rlhf_testbed.policy.base_about import content_hash, size
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import written_whole
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import BaseKept

SMALL = 64 * 2**20
"""Bytes up to which a base policy is copied beside its runs; a larger one is named where it is."""


def keep_base(made: Path, directory: RunDirectory, shared: Path | None = None) -> Path:
    """Names the base policy of a run, and keeps a small one beside it; returns its folder.

    `made`: where the base policy was made; `shared`: a folder that several runs keep theirs in.
    """
    found = content_hash(made)
    small = size(made) <= SMALL
    folder = made.resolve()
    if small:
        folder = (shared / found if shared else directory.base).resolve()
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / ".lock") if shared else nullcontext():
            if not folder.is_dir():
                with written_whole(folder) as aside:
                    shutil.copytree(made, aside)
    kept = os.path.relpath(folder, directory.path.resolve()) if small else str(folder)
    directory.write(BaseKept(hash=found, folder=kept))
    return folder


def base_folder(directory: RunDirectory) -> Path:
    """The folder of a run's base policy; raises `UsageError` where it is gone or has changed."""
    kept = directory.read(BaseKept)
    folder = (directory.path / kept.folder).resolve()
    told = f"{directory.path}: its base policy {kept.hash}"
    again = f"nothing is measured against another one ({directory.training_again})"
    if not folder.is_dir():
        raise UsageError(f"{told} is not at {folder} any more, and {again}")
    if (found := content_hash(folder)) != kept.hash:
        raise UsageError(f"{told} has changed: {folder} now has the hash {found}, and {again}")
    return folder
