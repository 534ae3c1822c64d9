"""What a job needs of a node, which nodes have it, and whether they are like this machine.

node-7: 2 CPUs are needed for a run, and no node has more than 1 (node-3)
node-7: torch is 2.12.0 there, 2.13.0 here
node-7: does not see /shared/runs/corridor
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.versions import alike, unlike

GIB = 2**30


@dataclass(frozen=True)
class Needs:
    """Where the cluster is, and what each job needs of a node."""

    address: str
    cpus: float
    gpus: float
    memory_gib: float
    shared: bool
    """Whether all nodes must see the experiment's folder."""

    @property
    def place(self) -> str:
        """Where the cluster is, in words."""
        return f"at {self.address or os.environ.get('RAY_ADDRESS') or 'this machine'}"

    @property
    def options(self) -> dict[str, Any]:
        """The same as Ray's options of a task."""
        memory = {"memory": int(self.memory_gib * GIB)} if self.memory_gib else {}
        return {"num_cpus": self.cpus, "num_gpus": self.gpus, **memory}

    @property
    def _wanted(self) -> dict[str, tuple[float, str]]:
        """By the name of a resource of Ray's, how much of it, and what it is."""
        return {
            "CPU": (self.cpus, "CPUs are"),
            "GPU": (self.gpus, "GPUs are"),
            "memory": (self.memory_gib * GIB, "bytes of memory are"),
        }

    def met_by(self, nodes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The nodes that have all of it; raises `UsageError` where none has."""
        met = [
            node
            for node in nodes
            if all(
                node["Resources"].get(name, 0) >= much for name, (much, _) in self._wanted.items()
            )
        ]
        if met:
            return met
        for name, (much, what) in self._wanted.items():
            most = max(nodes, key=lambda node: _has(node, name))
            if (has := _has(most, name)) < much:
                raise UsageError(
                    f"--engine_args: {much:g} {what} needed for a run, and no node of the Ray "
                    f"cluster {self.place} has more than {has:g} ({told(most)})"
                )
        raise UsageError(
            f"--engine_args: no node of the Ray cluster {self.place} has all of {self.cpus:g} "
            f"CPUs, {self.gpus:g} GPUs and {self.memory_gib:g} GiB of memory"
        )

    def at_once(self, nodes: Sequence[Mapping[str, Any]]) -> int:
        """How many jobs these nodes take at a time; one each where a job needs nothing."""
        wanted = {name: much for name, (much, _) in self._wanted.items() if much}
        return sum(
            min((int(_has(node, name) // much) for name, much in wanted.items()), default=1)
            for node in nodes
        )


def _has(node: Mapping[str, Any], resource: str) -> float:
    """How much of a resource a node has in all."""
    return float(node["Resources"].get(resource, 0.0))


def refuse_unlike(node: str, there: Mapping[str, str]) -> None:
    """Raises `UsageError` where a node's package or libraries are not those of this machine."""
    if "error" in there:
        raise UsageError(
            f"{node}: rlhf-testbed can't be imported there: {there['error']} (right: the same "
            "installation as here)"
        )
    if reason := unlike(alike(), there):
        raise UsageError(f"{node}: {reason}")


def told(node: Mapping[str, Any]) -> str:
    """A node by its name, which tells nodes on one machine apart."""
    return f"node {node['NodeName']} ({node['NodeID'][:8]})"
