"""A run directory: all that is needed to repeat a run and to judge it.

runs/both-3/
  config.yaml          resolved; `--config runs/both-3/config.yaml` repeats the run
  environment.json     versions, machine, command
  ledger/00001.parquet every generation, a file an update
  overseer/            a learned overseer's model; overseer.json says how well it learned
  policy/              the trained policy, with its tokenizer (safetensors) and model card
  kept/00005/          the policy after update 5, and so on (`keep_every`)
  adapter/             LoRA only: the adapter by itself
  finished.json        written last: updates, episodes, seconds
  evaluation/full_knowledge/   verdicts of a later overseer, and its measures
  export/inspect/, dataset/    what `rlhf-testbed export` wrote
"""

from __future__ import annotations

import os
import platform
import shlex
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from rlhf_testbed.errors import UsageError
from rlhf_testbed.files import file_name, write_json, write_text
from rlhf_testbed.shapes import FINISHED, SETTINGS, Shape, read_json, read_yaml

KNOWING = "full_knowledge"
"""The overseer whose evaluation holds both threats, as it is named."""
LIBRARIES = ("rlhf-testbed", "torch", "transformers", "trl", "datasets", "accelerate", "peft")


@dataclass(frozen=True)
class RunDirectory:
    """The files of one run."""

    path: Path

    @property
    def quoted(self) -> str:
        """Its path as a shell reads it: an arm with a varied dial has spaces in its folder."""
        return shlex.quote(str(self.path))

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.path / "config.yaml"

    @property
    def training_again(self) -> str:
        """The command that repeats its training."""
        config = shlex.quote(str(self.config))
        return f"accelerate launch -m rlhf_testbed.train --config {config} --output_dir NEW"

    @property
    def ledger(self) -> Path:
        """The folder of generations, a file an update."""
        return self.path / "ledger"

    @property
    def policy(self) -> Path:
        """The folder of the trained policy."""
        return self.path / "policy"

    @property
    def overseer(self) -> Path:
        """The folder of a learned overseer's model, where there is one."""
        return self.path / "overseer"

    @property
    def overseer_file(self) -> Path:
        """How well a learned overseer learned; written once its model is there."""
        return self.path / "overseer.json"

    @property
    def kept(self) -> dict[int, Path]:
        """The folders of the policies kept in training, by update, in order."""
        folders = sorted((self.path / "kept").glob("[0-9]*"))
        return {int(folder.name): folder for folder in folders if folder.name.isdecimal()}

    def kept_after(self, update: int) -> Path:
        """The folder of the policy kept after an update."""
        return self.path / "kept" / f"{update:05d}"

    @property
    def adapter(self) -> Path:
        """The folder of the LoRA adapter, where there is one."""
        return self.path / "adapter"

    @property
    def finished_file(self) -> Path:
        """Exists once training is done."""
        return self.path / "finished.json"

    @property
    def finished(self) -> bool:
        """Whether training is done."""
        return self.finished_file.exists()

    def evaluation(self, overseer: str) -> Path:
        """The folder of what a later overseer found."""
        return self.path / "evaluation" / file_name(overseer)

    def settings(self) -> dict[str, Any]:
        """The resolved settings, as flat YAML; raises `UsageError` where they can't be read."""
        return read_yaml(self.config, SETTINGS)

    @classmethod
    def create(cls, path: Path, settings: dict[str, Any]) -> RunDirectory:
        """Makes the folder; raises `UsageError` where there is one: nothing is overwritten."""
        try:
            path.mkdir(parents=True, exist_ok=False)
        except FileExistsError:
            raise UsageError(
                f"{path}: exists already, and nothing is overwritten (name another --output_dir)"
            ) from None
        except OSError as error:
            raise UsageError(f"{path}: can't be made: {error.strerror}") from None
        run = cls(path)
        run.ledger.mkdir()
        header = f"# The resolved settings of one run. To repeat it:\n#   {run.training_again}\n"
        write_text(run.config, header + yaml.safe_dump(settings, sort_keys=False))
        write_json(path / "environment.json", environment())
        return run

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """An existing run; raises `UsageError` when the folder is no run."""
        run = cls(path)
        if not run.config.is_file():
            raise UsageError(f"{path}: no such run (a run is a folder that holds a config.yaml)")
        return run

    def finish(self, summary: dict[str, Any]) -> None:
        """Marks the run as done."""
        write_json(self.finished_file, summary)

    def summary(self, shape: Shape = FINISHED) -> dict[str, Any]:
        """What `finish` wrote; raises `UsageError` for an unfinished run, or a file that is damaged
        or not of that shape."""
        if not self.finished:
            raise UsageError(f"{self.path}: training has not finished here (no finished.json)")
        return read_json(self.finished_file, shape)


def environment() -> dict[str, Any]:
    """Versions, machine and command of this process."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "command": this_command(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "memory (GiB)": round(memory, 1),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def this_command() -> str:
    """The command of this process, as it can be typed again wherever the package is installed."""
    module = sys.modules["__main__"].__spec__  # of `python -m`
    program = f"python -m {module.name}" if module else Path(sys.argv[0]).name
    return " ".join([program, *map(shlex.quote, sys.argv[1:])])
