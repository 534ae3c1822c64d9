"""A run directory: all that is needed to repeat a run and to judge it.

runs/both-3/
  config.yaml          every setting; `--config runs/both-3/config.yaml` repeats the run
  environment.json     versions, machine, command, commit, hashes of sources
  base.json, base/     the base policy: its hash, and where it is small itself
  ledger/00001-00064.parquet   every generation, in order of updates (see `store/ledger.py`)
  overseer/            a learned overseer's model; overseer.json says how well it learned
  policy/              the selected policy (safetensors, tokenizer) and its model card
  checkpoints/00005/   the policy after update 5, and so on (`checkpoint_every`)
  state/00040/         where training was after update 40, to go on from (`save_steps`)
  earlier/00060/       what a run had before it was made longer
  adapter/             LoRA only: the adapter by itself
  finished.json        written last: updates, episodes, seconds
  fresh/held_out.parquet, base.parquet   after training: by the selected policy, by the base policy
  evaluation/full_knowledge/             a later overseer's verdicts on all of it, and its measures
  export/inspect/, dataset/              what `rlhf-testbed export` wrote

The runs of an experiment share their base policies, in `base/` beside the arms.
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import yaml

from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.files import pasted, read_yaml, write_text
from rlhf_testbed.shared.record import Kind, Record, read, write
from rlhf_testbed.store.provenance import environment
from rlhf_testbed.store.run_records import (
    KNOWING,
    BaseKept,
    Finished,
    JudgedBy,
    Measures,
)

Stage: TypeAlias = Literal["training", "held_out", "base"]
"""Where generations come from: training; after it the selected policy on held-out scenarios; the
base policy on the same ones."""
FOLDER = re.compile(r"seed-(\d+)(?:-base-(\d+))?")
"""What an experiment calls the folder of a run: its seed and, where it isn't that of the settings,
the base policy's."""
STAGES: tuple[Stage, ...] = ("training", "held_out", "base")


@dataclass(frozen=True)
class RunDirectory:
    """The files of one run."""

    path: Path

    @property
    def quoted(self) -> str:
        """The path as a shell reads it: an arm with a varied dial has spaces in its folder."""
        return pasted(self.path)

    @property
    def config(self) -> Path:
        """The file of all settings."""
        return self.path / "config.yaml"

    @property
    def training_again(self) -> str:
        """The command that repeats the training."""
        config = pasted(self.config)
        return f"accelerate launch -m rlhf_testbed.train --config {config} --output_dir NEW"

    @property
    def evaluating(self) -> str:
        """The command that evaluates the run."""
        return f"rlhf-testbed evaluate {self.quoted}"

    @property
    def ledger(self) -> Path:
        """The folder of the generations of training."""
        return self.path / "ledger"

    @property
    def policy(self) -> Path:
        """The folder of the selected policy."""
        return self.path / "policy"

    @property
    def base(self) -> Path:
        """The folder of the base policy, where it is kept by this run itself."""
        return self.path / "base"

    @property
    def overseer(self) -> Path:
        """The folder of a learned overseer's model, where there is one."""
        return self.path / "overseer"

    @property
    def adapter(self) -> Path:
        """The folder of the LoRA adapter, where there is one."""
        return self.path / "adapter"

    @property
    def checkpoints(self) -> dict[int, Path]:
        """The folders of the checkpoints, by update, in order."""
        folders = sorted((self.path / "checkpoints").glob("[0-9]*"))
        return {int(folder.name): folder for folder in folders if folder.name.isdecimal()}

    def checkpoint(self, update: int) -> Path:
        """The folder of the policy after an update."""
        return self.path / "checkpoints" / f"{update:05d}"

    def generations(self, stage: Stage) -> Path:
        """The ledger of one stage: a folder of updates for training, else a file."""
        return self.ledger if stage == "training" else self.path / "fresh" / f"{stage}.parquet"

    def evaluation(self, judged_by: JudgedBy | str = KNOWING) -> Path:
        """The folder of what a later overseer found, by the name that holds its options."""
        name = judged_by if isinstance(judged_by, str) else judged_by.name
        return self.path / "evaluation" / name

    def verdicts(self, judged_by: JudgedBy | str, stage: Stage) -> Path:
        """The file of a later overseer's verdicts on the generations of one stage."""
        return self.evaluation(judged_by) / f"{stage}.parquet"

    @property
    def evaluations(self) -> list[JudgedBy]:
        """The later overseers whose evaluation is complete, full knowledge first."""
        found = []
        for file in sorted((self.path / "evaluation").glob(f"*/{Measures.file}")):
            with suppress(UsageError):  # one that is damaged is not complete
                found.append(read(file, Measures).judged_by)
        return sorted(found, key=lambda judged_by: judged_by.name != KNOWING)

    @property
    def finished(self) -> bool:
        """Whether training is done."""
        return (self.path / Finished.file).exists()

    def read(self, kind: type[Kind]) -> Kind:
        """A record of the run; raises `UsageError` where it is missing or damaged."""
        return read(self.path / _file(kind), kind)

    def write(self, record: Record) -> None:
        """Files a record of the run."""
        write(self.path / _file(type(record)), record)

    def evaluated(self, kind: type[Kind], judged_by: JudgedBy | str = KNOWING) -> Kind:
        """A record of an evaluation; raises `UsageError` where it is missing or damaged."""
        file = self.evaluation(judged_by) / _file(kind)
        if not file.is_file():
            raise UsageError(f"{file} is not there ({self.evaluating})")
        return read(file, kind)

    def settings(self) -> RunConfig:
        """The run's settings; raises `UsageError` where they are damaged or of an old layout."""
        self._refuse_old_layout()
        run = parse_run(["--config", str(self.config), "--output_dir", str(self.path)])
        lacking = run.flat().keys() - read_yaml(self.config).keys()
        if lacking:
            raise UsageError(
                f"{self.config}: damaged, or from another version: {', '.join(sorted(lacking))} "
                "missing (a run's file holds every setting)"
            )
        return run

    def summary(self) -> Finished:
        """What training left; raises `UsageError` for an unfinished run, or a damaged file."""
        if not self.finished:
            raise UsageError(f"{self.path}: training has not finished here (no {Finished.file})")
        return self.read(Finished)

    @classmethod
    def create(cls, run: RunConfig) -> RunDirectory:
        """Makes a run's folder; raises `UsageError` where there is one: nothing is overwritten."""
        path = run.output_dir
        try:
            path.mkdir(parents=True, exist_ok=False)
        except FileExistsError:
            raise UsageError(
                f"{path}: exists already, and nothing is overwritten (name another --output_dir)"
            ) from None
        except OSError as error:
            raise UsageError(f"{path}: can't be made: {error.strerror}") from None
        made = cls(path)
        try:
            made.ledger.mkdir()
            made.write(environment(run))
            made._write_config(run)
        except Exception:
            made.abandon()
            raise
        return made

    def set_aside(self) -> Path | None:
        """Moves the folder out of the way, and keeps it; returns where it is then."""
        if not self.path.exists():
            return None
        taken = sum(1 for _ in self.path.parent.glob(f"{self.path.name}.interrupted-*"))
        place = self.path.with_name(f"{self.path.name}.interrupted-{taken + 1}")
        return self.path.rename(place)

    def abandon(self) -> Path | None:
        """Clears the folder of a start that failed, so that the corrected command can have it.

        Nothing is filed there but settings, which the command holds, and a base policy, which is
        in the cache. A learned overseer took time: it is set aside; returns where it is then.
        """
        if not self.path.is_dir() or any(self.ledger.glob("*")):
            return None
        if self.overseer.exists():
            return self.set_aside()
        shutil.rmtree(self.path)
        return None

    def lengthen(self, run: RunConfig, updates: int) -> None:
        """Files new settings, with more updates, and sets aside what was of so many `updates`."""
        earlier = self.path / "earlier" / f"{updates:05d}"
        earlier.mkdir(parents=True, exist_ok=True)
        shutil.copy2(self.config, earlier)
        self._write_config(run)
        for made in (self.path / Finished.file, self.policy, self.adapter, *self._after_training):
            if made.exists():
                made.rename(earlier / made.name)

    @property
    def begun(self) -> bool:
        """Whether a training has begun here; its settings are written last of all that it needs."""
        return self.config.is_file()

    @property
    def _after_training(self) -> list[Path]:
        """What is made of a finished run."""
        return [self.path / name for name in ("fresh", "evaluation", "export")]

    def _write_config(self, run: RunConfig) -> None:
        header = f"# Every setting of one run. To repeat it:\n#   {self.training_again}\n"
        settings = yaml.safe_dump(run.flat(), sort_keys=False, allow_unicode=True)
        write_text(self.config, header + settings)

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """An existing run; raises `UsageError` for another folder, or a run of an old layout."""
        run = cls(path)
        if not run.config.is_file():
            raise UsageError(f"{path}: no such run (a run is a folder that holds a config.yaml)")
        run._refuse_old_layout()
        return run

    def _refuse_old_layout(self) -> None:
        """Raises `UsageError` for a run of a version that named no base policy."""
        if self.finished and not (self.path / BaseKept.file).is_file():
            raise UsageError(
                f"{self.path}: a run of the old layout, which names no base policy: read it with "
                "rlhf-testbed 0.1 (commit be0b2a4), or train it anew with today's settings"
            )


def _file(kind: type[Record]) -> str:
    name: str = kind.file  # type: ignore[attr-defined]  # every record of a file names it
    return name
