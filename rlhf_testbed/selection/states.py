"""States from which a run goes on as if it had never stopped, byte for byte.

    runs/both-3/state/00040/
      state.json           StateFile: whose it is, every generator, the method in numbers
      state.safetensors    the method's tensors

    --save_steps 10           a state every ten updates
    --save_total_limit 2      of which the newest two are kept

Written aside and renamed, so that a state is whole or not there. Read only where it is of the same
run: settings, sources, base policy and versions. No pickle is ever read: one could run code.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from accelerate import PartialState
from accelerate.utils import gather_object
from safetensors.torch import load_file, save_file

from rlhf_testbed.selection.generators import generators, set_generators
from rlhf_testbed.selection.method import Method, State
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import written_whole
from rlhf_testbed.shared.record import read, write
from rlhf_testbed.shared.versions import LIBRARIES
from rlhf_testbed.store import ledger
from rlhf_testbed.store.provenance import sources
from rlhf_testbed.store.run_directory import RunDirectory
from rlhf_testbed.store.run_records import BaseKept, OneProcess, StateFile

TENSORS = "state.safetensors"


class Begun(NamedTuple):
    """How far a training is."""

    updates: int
    seconds: float


NOT_BEGUN = Begun(0, 0.0)


@dataclass(frozen=True)
class States:
    """The states of one run."""

    run: RunConfig
    directory: RunDirectory

    def keep(self, method: Method[Any, Any], update: int, seconds: float) -> None:
        """Keeps a state after an update, if it is time; all processes must call this."""
        every = self.run.selection.save_steps
        if every and (update % every == 0 or update == method.updates):
            state = method.state()
            if state is None:
                return
            own = OneProcess(generators=generators(), position=dict(state.position))
            processes = gather_object([own])
            if method.is_main:
                self._write(update, seconds, processes, state)

    def restore(self, method: Method[Any, Any]) -> Begun:
        """Brings a new method to the newest state, and the run's files with it.

        Not begun where there is no state. Raises `UsageError` for a state that is damaged or of
        another run, and has then changed nothing.
        """
        update, seconds = max(self._there(), default=0), 0.0
        if update:
            told = self._checked(update)
            seconds = told.seconds
            own = told.processes[PartialState().process_index]
            tensors = load_file(self._folder(update) / TENSORS)
            method.go_on(State(tensors, own.position))
            set_generators(own.generators)
        if method.is_main:
            self._drop_after(update)
        return Begun(update, seconds)

    def newest(self) -> int:
        """The update of the newest state, 0 where there is none; raises `UsageError` as above."""
        update = max(self._there(), default=0)
        if update:
            self._checked(update)
        return update

    def refuse_other_number(self) -> None:
        """Raises `UsageError` where the newest state is of another number of processes than here.

        Each has generators and a share of the data of its own.
        """
        if there := self._there():
            told = read(self._folder(there[-1]) / StateFile.file, StateFile)
            self._refuse_other_number(len(told.processes))

    def clear(self) -> None:
        """Deletes all states of a run that has finished and can't be made longer."""
        if self._parent.is_dir():
            shutil.rmtree(self._parent)

    @property
    def _parent(self) -> Path:
        return self.directory.path / "state"

    def _folder(self, update: int) -> Path:
        return self._parent / f"{update:05d}"

    def _there(self) -> list[int]:
        """The updates with a state. One without its `state.json` was being deleted."""
        found = self._parent.glob(f"[0-9]*/{StateFile.file}")
        return sorted(int(file.parent.name) for file in found)

    def _write(
        self, update: int, seconds: float, processes: list[OneProcess], state: State
    ) -> None:
        with written_whole(self._folder(update)) as aside:
            aside.mkdir()
            save_file(dict(state.tensors), aside / TENSORS)
            told = StateFile(
                update=update,
                seconds=seconds,
                of=self._of,
                processes=processes,
                tensors=_digest(aside / TENSORS),
            )
            write(aside / StateFile.file, told)
        for old in self._there()[: -self.run.selection.save_total_limit]:
            _delete(self._folder(old))

    @cached_property
    def _of(self) -> dict[str, Any]:
        """What a state belongs to, by name: whatever changes the run that goes on from it."""
        told = {name: version(name) for name in LIBRARIES}
        told |= {f"source of {name}": source for name, source in sources(self.run).items()}
        told["base policy"] = self.directory.read(BaseKept).hash
        return told | {"number of processes": PartialState().num_processes} | self.run.flat()

    def _checked(self, update: int) -> StateFile:
        """The record of a state that is whole and of this run; else raises `UsageError`."""
        folder = self._folder(update)
        for file in sorted(folder.iterdir()):
            if file.name not in (StateFile.file, TENSORS):
                raise UsageError(
                    f"{folder}: holds {file.name}, which no state has (right: {StateFile.file} and "
                    f"{TENSORS}; nothing else is read, pickles least of all, which can run code)"
                )
        told = read(folder / StateFile.file, StateFile)
        if told.update != update or _digest(folder / TENSORS) != told.tensors:
            raise UsageError(
                f"{folder}: damaged: {TENSORS} is not what was written (delete {folder}, and the "
                "run goes on from the state before it, or from its beginning)"
            )
        self._refuse_other_number(len(told.processes))
        for name, there, here in self._differences(told.of):
            raise UsageError(
                f"{folder}: is of another run: {name} is {there} there, {here} here (nothing was "
                "changed; train anew with another --output_dir)"
            )
        return told

    def _refuse_other_number(self, there: int) -> None:
        here = PartialState().num_processes
        if there != here:
            launched = f"torchrun --nproc_per_node {there} -m rlhf_testbed.train"
            count, start = f"{there} processes", launched
            if there == 1:
                count, start = "one process", "rlhf-testbed train"
            raise UsageError(
                f"{self.directory.path}: was trained by {count}, {here} here "
                f"(right: {start} --resume {self.directory.quoted}; nothing was changed)"
            )

    def _differences(self, there: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
        here, lengthens = self._of, not self.run.method.fixed_length()
        for name in {**here, **there}:
            free = lengthens and name == "total_episodes"
            if not free and here.get(name) != there.get(name):
                yield name, there.get(name, "not set"), here.get(name, "not set")

    def _drop_after(self, update: int) -> None:
        """Drops what the run wrote after an update, and what a kill left half done."""
        ledger.keep_up_to(self.directory.ledger, update)
        later = [folder for at, folder in self.directory.checkpoints.items() if at > update]
        for parent in (self._parent, self.directory.path / "checkpoints"):
            later += parent.glob(".*.part")
        whole = self._there()
        later += [each for each in self._parent.glob("[0-9]*") if int(each.name) not in whole]
        for folder in later:
            shutil.rmtree(folder)


def _delete(folder: Path) -> None:
    """Deletes a state, its record first: what is left of it then is none."""
    (folder / StateFile.file).unlink()
    shutil.rmtree(folder)


def _digest(file: Path) -> str:
    if not file.is_file():
        return "missing"
    return hashlib.sha256(file.read_bytes()).hexdigest()
