"""What a PPO trainer needs to go on: parameters, optimiser, schedule, order of the data.

state = state_of(trainer)          tensors and numbers after an update
go_on_from(another, state)         the other goes on as this one would, bit for bit
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from rlhf_testbed.selection.generators import read, told
from rlhf_testbed.selection.method import State
from rlhf_testbed.selection.ppo_fast import FastTrainer
from rlhf_testbed.selection.ppo_trainer import SelectionTrainer

SCHEDULE = ("last_epoch", "_step_count", "_last_lr")
"""What a schedule of the learning rate remembers, besides what the settings say."""


def state_of(trainer: SelectionTrainer) -> State:
    """All that changes in a trainer from update to update."""
    optimiser = trainer.optimizer.state_dict()
    numbers: dict[str, dict[str, Any]] = {}
    tensors = {f"model/{name}": each.detach() for name, each in _trained(trainer).items()}
    for index, state in optimiser["state"].items():
        for name, value in state.items():
            if isinstance(value, torch.Tensor):
                tensors[f"optimiser/{index}/{name}"] = value
            else:
                numbers.setdefault(str(index), {})[name] = value
    if isinstance(trainer, FastTrainer):
        tensors |= {f"reference/{name}": each for name, each in trainer.memory().items()}
    return State(
        tensors={name: each.cpu().contiguous() for name, each in tensors.items()},
        position={
            "episode": trainer.state.episode,
            "optimiser": {"state": numbers, "param_groups": optimiser["param_groups"]},
            "schedule": {name: getattr(trainer.lr_scheduler, name) for name in SCHEDULE},
            "accumulated": trainer.accelerator.step,
            "pass_began": told(trainer.pass_began),
            "batches_taken": trainer.batches_taken,
        },
    )


def go_on_from(trainer: SelectionTrainer, state: State) -> None:
    """Brings a new trainer to where another one was; generators are the caller's to set."""
    position = state.position
    with torch.no_grad():
        for name, parameter in _trained(trainer).items():
            parameter.copy_(state.tensors[f"model/{name}"])
    optimiser = position["optimiser"]
    found: dict[int, dict[str, Any]] = {int(at): dict(v) for at, v in optimiser["state"].items()}
    for index, name, tensor in _parts(state.tensors, "optimiser"):
        found.setdefault(int(index), {})[name] = tensor
    trainer.optimizer.load_state_dict(
        {"state": found, "param_groups": [_group(each) for each in optimiser["param_groups"]]}
    )
    for name, value in position["schedule"].items():
        setattr(trainer.lr_scheduler, name, value)
    trainer.state.episode = position["episode"]
    trainer.accelerator.step = position["accumulated"]
    if isinstance(trainer, FastTrainer):
        memory = {f"{width}/{name}": t for width, name, t in _parts(state.tensors, "reference")}
        trainer.remember(memory)
    trainer.take_up(read(position["pass_began"]), position["batches_taken"])


def _trained(trainer: SelectionTrainer) -> dict[str, torch.nn.Parameter]:
    """The parameters that training changes, by name."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    return {name: each for name, each in model.named_parameters() if each.requires_grad}


def _parts(tensors: Mapping[str, torch.Tensor], kind: str) -> list[tuple[str, str, torch.Tensor]]:
    """The tensors of a kind: where they belong, their names, and themselves."""
    found = []
    for path, tensor in tensors.items():
        first, _, rest = path.partition("/")
        if first == kind:
            where, _, name = rest.partition("/")
            found.append((where, name, tensor))
    return found


def _group(told_group: Mapping[str, Any]) -> dict[str, Any]:
    """A group of parameters as the optimiser has it: JSON turned its pairs into lists."""
    return {
        name: tuple(value) if isinstance(value, list) and name != "params" else value
        for name, value in told_group.items()
    }
