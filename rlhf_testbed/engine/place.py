"""A job as it is sent to another machine: pickled, with all of its process that it depends on.

    Sent.of(job)     made where the experiment is
    sent.here()      the same job there, in that working folder, with those modules to be found

Only the job's own process unpickles it: what it names may need those folders to be imported.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rlhf_testbed.engine.job import Job
from rlhf_testbed.shared.progress import Watcher


@dataclass(frozen=True)
class Sent:
    """A job, and where and how it would run on the machine that sent it."""

    title: str
    pickled: bytes
    """Function and arguments."""
    folder: str
    """Working folder."""
    modules: tuple[str, ...]
    """Where modules are looked for."""
    command: tuple[str, ...]
    """The command, which a run files."""
    variables: dict[str, str] = field(default_factory=dict)
    """Of the environment."""

    @classmethod
    def of(cls, job: Job) -> Sent:
        """A job as this process would run it."""
        return cls(
            title=job.title,
            pickled=pickle.dumps((job.function, job.arguments)),
            folder=os.getcwd(),
            modules=tuple(dict.fromkeys([os.getcwd(), *filter(None, sys.path)])),
            command=tuple(sys.argv),
        )

    def here(self, folder: Path | None = None, **variables: str) -> Job:
        """The job for this machine, in another folder where that it was sent from is not here."""
        moved = replace(self, folder=str(folder or self.folder), variables=variables)
        return Job(self.title, _in_place, (moved,))


def _in_place(watcher: Watcher, sent: Sent) -> Sequence[Path] | None:
    """One job: what was sent, done as if it were where it comes from."""
    os.chdir(sent.folder)
    os.environ.update(sent.variables)
    sys.argv = list(sent.command)
    known = set(sys.path)
    sys.path += [one for one in sent.modules if one not in known and os.path.isdir(one)]
    function, arguments = pickle.loads(sent.pickled)
    made: Sequence[Path] | None = function(watcher, *arguments)
    return made
