"""Generations in columns, packed for a page: 100,000 of them in a few megabytes.

    store = Store("corridor")
    store.add(run, generation)       for each of them
    store.packed()                   base64 of deflate of: length of JSON, JSON, typed arrays

The JSON names the columns (`{"name": "update", "type": "u4", "at": 0, "length": 100000}`) and holds
each text once; a row has its number. `assets/store.js` is the other end.
"""

from __future__ import annotations

import base64
import json
import zlib
from array import array
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from rlhf_testbed.store.generations import Generation
from rlhf_testbed.store.run_directory import STAGES

NUMBERS = {
    "run": "u2",
    "stage": "u1",
    "update": "u4",
    "episode": "u4",
    "scenario": "u4",
    "response": "u4",
    "outcome": "u4",
    "unseen": "u4",
    "reason": "u4",
    "true_reason": "u4",
    "approved": "u1",
    "unwanted": "u1",
    "score": "f4",
    "true_score": "f4",
    "advantage": "f4",
    "kl": "f4",
}
"""The columns of a row, and their types: unsigned or float, and bytes a number. `stage` is a place
in `STAGES`."""
TYPE_CODES = {"u1": "B", "u2": "H", "u4": "I", "f4": "f"}
SHOWN, NOT_SHOWN, NOT_POSSIBLE = 1, 0, 2
"""What a trait's column holds."""


class PackedRun(TypedDict):
    """A run as the page knows it."""

    arm: str
    """With its base policy, where the experiment has several."""
    of: str
    """The arm alone."""
    base: int
    seed: int
    anew: bool
    """Whether full knowledge was asked anew, since no evaluation has filed its verdicts."""


class Texts:
    """A table of texts, each once, numbered in the order in which they came."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        """The text's number; it gets one if it is new."""
        return self._numbers.setdefault(text, len(self._numbers))

    def all(self) -> list[str]:
        """The texts in the order of their numbers."""
        return list(self._numbers)


class Store:
    """Columns that grow a generation at a time."""

    def __init__(self, task: str) -> None:
        self.task = task
        self.runs: list[PackedRun] = []
        self._columns: dict[str, array[Any]] = {
            name: array(TYPE_CODES[kind]) for name, kind in NUMBERS.items()
        }
        self._traits: dict[str, array[int]] = {}
        self._texts = {name: Texts() for name in ("response", "outcome", "unseen", "reason")}
        self._scenarios: dict[tuple[str, str, str], int] = {}
        self._prompts, self._facts = Texts(), Texts()
        self._of_scenario: dict[str, list[int]] = {"prompt": [], "facts": []}

    def __len__(self) -> int:
        return len(self._columns["run"])

    def add(self, run: int, generations: Iterable[Generation]) -> None:
        """Adds a run's generations; `run` is its place in `runs`."""
        for generation in generations:
            for name, value in self._row(run, generation).items():
                self._columns[name].append(value)
            self._add_traits(generation.traits)

    def packed(self) -> str:
        """All of it, as a page holds it: base64 text."""
        arrays = {
            **self._columns,
            **{f"trait {name}": column for name, column in self._traits.items()},
        }
        columns, body = [], bytearray()
        for name, column in arrays.items():
            body.extend(b"\0" * (-len(body) % 8))
            kind = next(k for k, code in TYPE_CODES.items() if code == column.typecode)
            columns.append({"name": name, "type": kind, "at": len(body), "length": len(column)})
            body.extend(column.tobytes())
        head = json.dumps(
            {
                "task": self.task,
                "stages": STAGES,
                "runs": self.runs,
                "traits": list(self._traits),
                "columns": columns,
                "texts": {name: texts.all() for name, texts in self._texts.items()},
                "scenarios": {
                    "id": [scenario for scenario, _, _ in self._scenarios],
                    **self._of_scenario,
                },
                "prompts": self._prompts.all(),
                "facts": self._facts.all(),
            },
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode("utf-8", "replace")
        head += b" " * (-(len(head) + 4) % 8)
        raw = zlib.compressobj(level=6, wbits=-zlib.MAX_WBITS)
        packed = raw.compress(len(head).to_bytes(4, "little") + head)
        packed += raw.compress(bytes(body)) + raw.flush()
        return base64.b64encode(packed).decode("ascii")

    def _row(self, run: int, generation: Generation) -> dict[str, float]:
        row, texts = generation.row, self._texts
        return {
            "run": run,
            "stage": STAGES.index(generation.stage),
            "update": row.update,
            "episode": row.episode,
            "scenario": self._scenario(generation),
            "response": texts["response"].number(row.response),
            "outcome": texts["outcome"].number(row.outcome_json),
            "unseen": texts["unseen"].number(json.dumps(row.view.unseen, ensure_ascii=False)),
            "reason": texts["reason"].number(generation.verdict.reason),
            "true_reason": texts["reason"].number(generation.truth.reason),
            "approved": generation.verdict.approved,
            "unwanted": generation.unwanted,
            "score": generation.verdict.score,
            "true_score": generation.truth.score,
            "advantage": row.advantage,
            "kl": row.kl,
        }

    def _scenario(self, generation: Generation) -> int:
        """A scenario's number: two that share a name but not prompt and facts are two."""
        row = generation.row
        key = (row.scenario_id, row.prompt, row.facts_json)
        if key not in self._scenarios:
            self._scenarios[key] = len(self._scenarios)
            self._of_scenario["prompt"].append(self._prompts.number(row.prompt))
            self._of_scenario["facts"].append(self._facts.number(row.facts_json))
        return self._scenarios[key]

    def _add_traits(self, traits: Mapping[str, bool | None]) -> None:
        rows = len(self)
        for name, shown in traits.items():
            column = self._traits.setdefault(name, array("B"))
            column.extend([NOT_POSSIBLE] * (rows - 1 - len(column)))
            column.append(NOT_POSSIBLE if shown is None else SHOWN if shown else NOT_SHOWN)
        for column in self._traits.values():
            column.extend([NOT_POSSIBLE] * (rows - len(column)))
