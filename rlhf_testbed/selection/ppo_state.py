"""What a PPO trainer needs to go on: parameters, optimiser, schedule, order of the data.

state = state_of(trainer)          tensors and numbers after an update
go_on_from(another, state)         the other goes on as this one would, bit for bit
"""

from __future__ import annotations

from typing import Any

from rlhf_testbed.selection import generators, training_state
from rlhf_testbed.selection.method import State
from rlhf_testbed.selection.ppo_fast import FastTrainer
from rlhf_testbed.selection.ppo_trainer import SelectionTrainer


def state_of(trainer: SelectionTrainer) -> State:
    """All that changes in a trainer from update to update."""
    found = training_state.told(*_parts(trainer))
    return State(
        tensors=found.tensors,
        position={
            **found.position,
            "episode": trainer.state.episode,
            "accumulated": trainer.accelerator.step,
            "pass_began": generators.told(trainer.pass_began),
            "batches_taken": trainer.batches_taken,
        },
    )


def go_on_from(trainer: SelectionTrainer, state: State) -> None:
    """Brings a new trainer to where another one was; generators are the caller's to set."""
    training_state.taken_up(*_parts(trainer), state)
    position = state.position
    trainer.state.episode = position["episode"]
    trainer.accelerator.step = position["accumulated"]
    trainer.take_up(generators.read(position["pass_began"]), position["batches_taken"])


def _parts(trainer: SelectionTrainer) -> tuple[Any, Any, Any, Any]:
    memory = trainer.memory if isinstance(trainer, FastTrainer) else None
    model = trainer.accelerator.unwrap_model(trainer.model)
    return model, trainer.optimizer, trainer.lr_scheduler, memory
