"""What training needs to go on, as tensors and numbers: parameters, optimiser, schedule, memory.

told(model, optimiser, schedule, memory)           State: tensors by name, and a position for JSON
taken_up(model, optimiser, schedule, memory, state)    all four as they were, bit for bit
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from rlhf_testbed.selection.method import State
from rlhf_testbed.selection.reference import ReferenceMemory

SCHEDULE = ("last_epoch", "_step_count", "_last_lr")
"""What a schedule of the learning rate remembers, besides what the settings say."""


def told(
    model: torch.nn.Module, optimiser: Any, schedule: Any, memory: ReferenceMemory | None
) -> State:
    """All that changes in them from update to update."""
    found = optimiser.state_dict()
    numbers: dict[str, dict[str, Any]] = {}
    tensors = {f"model/{name}": each.detach() for name, each in trained(model).items()}
    for index, state in found["state"].items():
        for name, value in state.items():
            if isinstance(value, torch.Tensor):
                tensors[f"optimiser/{index}/{name}"] = value
            else:
                numbers.setdefault(str(index), {})[name] = value
    if memory:
        tensors |= {f"reference/{name}": each for name, each in memory.told().items()}
    return State(
        tensors={name: each.cpu().contiguous() for name, each in tensors.items()},
        position={
            "optimiser": {"state": numbers, "param_groups": found["param_groups"]},
            "schedule": {name: getattr(schedule, name) for name in SCHEDULE},
        },
    )


def taken_up(
    model: torch.nn.Module,
    optimiser: Any,
    schedule: Any,
    memory: ReferenceMemory | None,
    state: State,
) -> None:
    """Brings new ones to where others were."""
    with torch.no_grad():
        for name, parameter in trained(model).items():
            parameter.copy_(state.tensors[f"model/{name}"])
    position = state.position["optimiser"]
    found: dict[int, dict[str, Any]] = {int(at): dict(v) for at, v in position["state"].items()}
    for index, name, tensor in _parts(state.tensors, "optimiser"):
        found.setdefault(int(index), {})[name] = tensor
    groups = [_group(each) for each in position["param_groups"]]
    optimiser.load_state_dict({"state": found, "param_groups": groups})
    for name, value in state.position["schedule"].items():
        setattr(schedule, name, value)
    if memory:
        kept = {f"{width}/{name}": t for width, name, t in _parts(state.tensors, "reference")}
        memory.take_over(kept)


def trained(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """The parameters that training changes, by name."""
    return {name: each for name, each in model.named_parameters() if each.requires_grad}


def _parts(
    tensors: Mapping[str, torch.Tensor], kind: str
) -> Iterator[tuple[str, str, torch.Tensor]]:
    """The tensors of a kind: where they belong, their names, and themselves."""
    for path, tensor in tensors.items():
        first, _, rest = path.partition("/")
        if first == kind:
            where, _, name = rest.partition("/")
            yield where, name, tensor


def _group(told_group: Mapping[str, Any]) -> dict[str, Any]:
    """A group of parameters as the optimiser has it: JSON turned its pairs into lists."""
    return {
        name: tuple(value) if isinstance(value, list) and name != "params" else value
        for name, value in told_group.items()
    }
