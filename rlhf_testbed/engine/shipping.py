"""Files and folders on their way between machines that share no folder.

    packed = pack({Path("runs/corridor/both/seed-3"): Path("stand-in/both/seed-3")})
    unpack(packed)

What is unpacked appears whole, or not at all; what was there is replaced by it.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from rlhf_testbed.shared.files import written_whole

Packed: TypeAlias = tuple[tuple[Path, bytes], ...]
"""Places, and the tar archives of what belongs there."""


@dataclass(frozen=True)
class Shared:
    """A folder that jobs file in, as the machine names it that the experiment is on."""

    folder: Path
    absolute: Path
    token: str
    """A file in it, by which another machine tells that it sees the same folder."""
    variable: str = ""
    """Of the environment, by which jobs find the folder, where that is how they do."""

    @property
    def seen(self) -> bool:
        """Whether it is the same folder here."""
        return (self.absolute / self.token).is_file()


class StandIns:
    """Folders of this machine that stand in for those of the experiment's that it does not see.

    One that jobs name by a relative path or find by a variable is below `scratch`; one that they
    name by an absolute path can only be at that path.
    """

    def __init__(self, folders: Sequence[Shared], scratch: Path) -> None:
        self.scratch, self._folders = scratch, folders
        self._roots = {one: self._root(one) for one in folders if not one.seen}

    @property
    def working_folder(self) -> Path | None:
        """Where jobs must run, for relative paths to be below `scratch`; None: wherever they do."""
        return self.scratch if any(not one.folder.is_absolute() for one in self._roots) else None

    @property
    def variables(self) -> dict[str, str]:
        """What jobs must find in their environment, here as everywhere."""
        named = [one for one in self._folders if one.variable]
        return {one.variable: str(self._roots.get(one, one.absolute)) for one in named}

    def here(self, path: Path) -> Path | None:
        """Where the experiment's path is on this machine; None where that is the same place."""
        for one, root in self._roots.items():
            if one.folder in (path, *path.parents):
                return root / path.relative_to(one.folder)
        return None

    def there(self, path: Path) -> Path | None:
        """The experiment's path that a job on this machine told of; None where it is the same."""
        absolute = self.scratch / path
        for one, root in self._roots.items():
            if root in (absolute, *absolute.parents):
                return one.folder / absolute.relative_to(root)
        return None

    def _root(self, one: Shared) -> Path:
        return self.scratch / (one.variable or one.folder)


def pack(places: Mapping[Path, Path]) -> Packed:
    """What lies here, by the places where it belongs; where nothing lies, nothing is packed."""
    return tuple((to, _archived(path)) for to, path in places.items() if path.exists())


def unpack(packed: Packed, keep: bool = False) -> None:
    """Puts what was packed where it belongs. `keep`: what is there stays.

    Raises `UsageError` where a place can't be written.
    """
    for place, archive in packed:
        if not (keep and place.exists()):
            _placed(place, archive)


def _archived(path: Path) -> bytes:
    told = io.BytesIO()
    with tarfile.open(fileobj=told, mode="w") as archive:
        archive.add(path, arcname="it", filter=_finished)
    return told.getvalue()


def _finished(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leaves out what is just being written."""
    return None if entry.name.endswith(".part") else entry


def _placed(place: Path, archive: bytes) -> None:
    """Unpacks beside a place, then renames; a folder that is there steps aside for it."""
    with written_whole(place) as aside:
        beside = aside.with_name(f"{aside.name}.tar")
        try:
            with tarfile.open(fileobj=io.BytesIO(archive)) as told:
                told.extractall(beside, filter="data")
            os.rename(beside / "it", aside)
            if place.is_dir():
                os.rename(place, beside / "it")
        finally:
            shutil.rmtree(beside, ignore_errors=True)
