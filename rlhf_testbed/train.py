"""One training job: `accelerate launch -m rlhf_testbed.train`.

    accelerate launch -m rlhf_testbed.train --config configs/corridor.yaml --knowledge 0 --seed 3 \
        --output_dir runs/x

Builds or finds the base population, then lets PPO select its parameters by a limited overseer's
scores, and writes a run directory (see `run_directory.py`). It never sees a full-knowledge verdict.
"""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from pathlib import Path

import torch
from accelerate import PartialState
from peft import PeftModel
from transformers import (
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from trl import get_peft_config

from rlhf_testbed import ledger
from rlhf_testbed.config import RunConfig
from rlhf_testbed.errors import UsageError, reported
from rlhf_testbed.files import written_whole
from rlhf_testbed.judging import Judge
from rlhf_testbed.language_model import Language, load_language
from rlhf_testbed.model_card import write_card
from rlhf_testbed.overseeing import training_overseer
from rlhf_testbed.parsing import parse_run
from rlhf_testbed.plugins import faults_told
from rlhf_testbed.population import load_population
from rlhf_testbed.ppo import SelectionTrainer, value_model
from rlhf_testbed.preparation import prepared, training_scenarios
from rlhf_testbed.progress import LiveLine, Step, WatchedTraining, Watcher, quiet, selection_note
from rlhf_testbed.readiness import refuse_unfit
from rlhf_testbed.run_directory import RunDirectory
from tasks.base import TaskError


def train(run: RunConfig, watcher: Watcher) -> RunDirectory:
    """Trains one policy and returns its run directory; raises `UsageError`.

    A task or an overseer that breaks a rule ends the training; the ledger up to then is kept.
    """
    quiet()
    refuse_unfit(run)
    state = PartialState(cpu=run.selection.use_cpu)
    if run.testbed.threads:
        torch.set_num_threads(run.testbed.threads)
    if state.is_main_process:
        RunDirectory.create(run.output_dir, {"seed": run.selection.seed, **run.flat()})
    base, directory = prepared(run, state, watcher), RunDirectory(run.output_dir)
    started = time.time()
    trainer = build_trainer(run, base, directory.ledger, [WatchedTraining(watcher, selection_note)])
    if state.is_main_process and run.testbed.keep_every:
        trainer.add_callback(KeptPolicies(trainer, directory, run.testbed.keep_every))
    with faults_told(f"{directory.path}: training stopped", run.task):
        trainer.train()
    if state.is_main_process:
        save_policy(trainer, directory)
        write_card(run, directory, trainer.state.global_step, trainer.state.episode)
        directory.finish(
            {
                "updates": trainer.state.global_step,
                "episodes": trainer.state.episode,
                "seconds": round(time.time() - started, 1),
                "base population": base.name,
            }
        )
    return directory


def build_trainer(
    run: RunConfig, base: Path, ledger_folder: Path, callbacks: list[TrainerCallback]
) -> SelectionTrainer:
    """The trainer of a run whose base population is in `base`; seeds every generator."""
    set_seed(run.selection.seed)
    language = load_population(
        base,
        attn_implementation=run.language.attn_implementation or "eager",
        dtype=run.language.dtype,
    )
    answers = [language.response_ids(response) for response in run.task.responses]
    run.selection.response_length = run.selection.response_length or max(map(len, answers))
    try:
        judge = Judge(language, run.task, training_overseer(run), training_scenarios(run))
    except TaskError as error:
        raise UsageError(str(error)) from None

    def record(update: int, rows: list[ledger.Row]) -> None:
        ledger.write(ledger.update_file(ledger_folder, update), rows)

    return SelectionTrainer(
        run.selection,
        language,
        judge,
        value_model(str(base), run.testbed.value_layers),
        record,
        callbacks,
        get_peft_config(run.language),
    )


class KeptPolicies(TrainerCallback):
    """Keeps the policy every so many updates (of LoRA the adapter), with its tokenizer."""

    def __init__(self, trainer: SelectionTrainer, directory: RunDirectory, every: int) -> None:
        self.trainer = trainer
        self.directory = directory
        self.every = every

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Keeps it, if it is time."""
        if state.global_step % self.every == 0:
            with written_whole(self.directory.kept_after(state.global_step)) as aside:
                self.trainer.policy_model.save_pretrained(aside)
                self.trainer.processing_class.save_pretrained(aside)


def save_policy(trainer: SelectionTrainer, directory: RunDirectory) -> None:
    """Saves the policy with its tokenizer; of LoRA both the adapter and the merged policy."""
    policy = trainer.policy_model
    if isinstance(policy, PeftModel):
        policy.save_pretrained(directory.adapter)
        policy = policy.merge_and_unload()
    policy.save_pretrained(directory.policy)
    trainer.processing_class.save_pretrained(directory.policy)


def load_policy(directory: RunDirectory) -> Language:
    """The trained policy of a finished run."""
    directory.summary()
    if not directory.policy.is_dir():
        raise UsageError(f"{directory.policy}: is not there, though training has finished here")
    return load_language(str(directory.policy), attn_implementation="eager")


def main() -> None:
    """Runs one training job from the command line."""
    with reported():
        run = parse_run(sys.argv[1:], prog="accelerate launch -m rlhf_testbed.train")
        title = f"{run.testbed.arm or run.testbed.task}, seed {run.selection.seed}"
        speaks = PartialState(cpu=run.selection.use_cpu).is_main_process
        with LiveLine(title) if speaks else nullcontext(_silent) as watcher:
            directory = train(run, watcher)
        if speaks:
            print(
                f"{directory.path}: done. Next: rlhf-testbed evaluate {directory.quoted} "
                f"or rlhf-testbed inspect {directory.quoted}"
            )


def _silent(step: Step) -> None:
    """Of several processes one tells of all."""


if __name__ == "__main__":
    main()
