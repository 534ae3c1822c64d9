"""Responses as a tree of their prefixes: what they begin with in common is read once.

    left walk <eos>         prompt ─┬─ left ─┬─ walk ─── <eos>
    left jump <eos>                 │        └─ jump ─── <eos>
    right jump <eos>                └─ right ── jump ─── <eos>

Five inner nodes are read by the model, eight edges are looked up, and each response's
log-probability is the sum along its path. Corridor's 162 responses have 972 tokens, of which 810
would be read; as a tree they have 242 inner nodes. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Tokens: TypeAlias = Sequence[int]
"""A response: at least one token."""
Indices: TypeAlias = npt.NDArray[np.int64]


class PrefixTree(NamedTuple):
    """Some responses as a tree. A node is a prefix that some response goes on from.

    Nodes are ordered so that a node stands behind its ancestors. Row 0 of `edge_from` is the
    prompt's last token, row i + 1 is node i.
    """

    responses: Indices
    """Which of all responses are in this tree: [responses]."""
    tokens: Indices
    """The last token of each node: [nodes]."""
    depths: Indices
    """How many tokens stand before that one in the response: [nodes]."""
    sees: npt.NDArray[np.bool_]
    """Whether a node reads another: itself and its ancestors: [nodes, nodes]."""
    edge_from: Indices
    """The row whose next-token distribution an edge is read from: [edges]."""
    edge_to: Indices
    """The token that an edge leads to: [edges]."""
    paths: Indices
    """The edges of each response, filled up with the number of edges: [responses, longest]."""

    @property
    def longest(self) -> int:
        """Most tokens of a response."""
        return int(self.paths.shape[1])

    @classmethod
    def of(cls, answers: Sequence[Tokens], chosen: Sequence[int]) -> PrefixTree:
        """The tree of the chosen ones among all responses."""
        nodes: dict[tuple[int, ...], int] = {(): 0}
        edges: dict[tuple[int, int], int] = {}
        lines = [[0]]
        paths = []
        for answer in (tuple(answers[at]) for at in chosen):
            path = []
            for depth, token in enumerate(answer):
                row = nodes.get(answer[:depth])
                if row is None:
                    row = nodes[answer[:depth]] = len(nodes)
                    lines.append([*lines[nodes[answer[: depth - 1]]], row])
                path.append(edges.setdefault((row, token), len(edges)))
            paths.append(path)
        sees = np.zeros((len(nodes), len(nodes)), dtype=bool)
        for row, line in enumerate(lines):
            sees[row, line] = True
        return cls(
            responses=np.array(chosen, dtype=np.int64),
            tokens=np.array([prefix[-1] for prefix in nodes if prefix], dtype=np.int64),
            depths=np.array([len(prefix) - 1 for prefix in nodes if prefix], dtype=np.int64),
            sees=sees[1:, 1:],
            edge_from=np.array([row for row, _ in edges], dtype=np.int64),
            edge_to=np.array([token for _, token in edges], dtype=np.int64),
            paths=_rectangular(paths, len(edges)),
        )


def prefix_trees(answers: Sequence[Tokens], most_nodes: int) -> list[PrefixTree]:
    """All responses in as few trees of about equal size as hold no more than `most_nodes` nodes.

    Sorted first, so that what begins alike comes together. A response that is longer by itself has
    a tree of its own.
    """
    order = sorted(range(len(answers)), key=lambda at: tuple(answers[at]))
    inner = [[tuple(answers[at][:size]) for size in range(1, len(answers[at]))] for at in order]
    total = len({prefix for prefixes in inner for prefix in prefixes})
    even = -(-total // max(1, -(-total // most_nodes))) + max(map(len, inner))
    limit = min(most_nodes, even)  # a few more than an even share: cuts repeat what is in common
    groups: list[list[int]] = []
    held: set[tuple[int, ...]] = set()
    for at, prefixes in zip(order, inner, strict=True):
        if not groups or len(held.union(prefixes)) > limit:
            groups.append([])
            held = set()
        groups[-1].append(at)
        held.update(prefixes)
    return [PrefixTree.of(answers, group) for group in groups]


def _rectangular(paths: Sequence[Sequence[int]], filler: int) -> Indices:
    found = np.full((len(paths), max(map(len, paths))), filler, dtype=np.int64)
    for row, path in enumerate(paths):
        found[row, : len(path)] = path
    return found
