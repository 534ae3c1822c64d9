"""What a reference policy, which never changes, has said of a response before is remembered.

    memory.of(keys, anew)    keys [(scenario, tokens...)]: log-probabilities [responses, tokens]

As it was computed first, so that a run that goes on from a state has the same numbers to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

REMEMBERED = 1 << 16
"""Responses whose log-probabilities are kept in memory."""


class ReferenceMemory:
    """Log-probabilities of responses by the reference policy, by scenario and tokens."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, ...], torch.Tensor] = {}

    def of(
        self, keys: Sequence[tuple[int, ...]], anew: Callable[[list[int]], torch.Tensor]
    ) -> torch.Tensor:
        """Those of the keys; `anew` computes the ones at some places: [places, tokens]."""
        if len(self.known) + len(keys) > REMEMBERED:
            self.known.clear()
        new = [at for at, key in enumerate(keys) if key not in self.known]
        if new:
            found = anew(new).cpu()
            self.known.update(zip((keys[at] for at in new), found, strict=True))
        return torch.stack([self.known[key] for key in keys])

    def told(self) -> dict[str, torch.Tensor]:
        """All of it, by number of tokens: keys [rows, 1 + tokens] and log-probabilities [rows,
        tokens]."""
        found: dict[str, torch.Tensor] = {}
        for width in {len(key) for key in self.known}:
            keys = [key for key in self.known if len(key) == width]
            found[f"{width - 1}/keys"] = torch.tensor(keys)
            found[f"{width - 1}/log_probs"] = torch.stack([self.known[key] for key in keys])
        return found

    def take_over(self, told: Mapping[str, torch.Tensor]) -> None:
        """What another memory knew."""
        for width in {name.partition("/")[0] for name in told}:
            keys = map(tuple, told[f"{width}/keys"].tolist())
            self.known.update(zip(keys, told[f"{width}/log_probs"], strict=True))
