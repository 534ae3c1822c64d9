"""What the files of a run and of an experiment hold, as far as their readers rely on it.

    read_json(Path("runs/corridor/results.json"), RESULTS)
    runs/corridor/results.json: damaged, or from another version: $.arms.both: 'dials' is a required
    property

A file of another version is refused here, by name, instead of failing somewhere later or being
shown as a wrong figure. JSON Schema, checked with jsonschema; what is not named here is let be.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from rlhf_testbed import files
from rlhf_testbed.errors import UsageError

Shape: TypeAlias = Mapping[str, Any]
MOST = 160
"""Characters that are shown of a file's first fault: it may quote much of the file."""


def record(**required: Shape) -> Shape:
    """An object that has at least these."""
    return {"type": "object", "required": list(required), "properties": required}


def and_maybe(shape: Shape, **optional: Shape) -> Shape:
    """The same object, which may also have these."""
    return {**shape, "properties": {**shape["properties"], **optional}}


def listed(shape: Shape) -> Shape:
    """A list of such things."""
    return {"type": "array", "items": shape}


def table(shape: Shape) -> Shape:
    """An object of such things, whatever their names are."""
    return {"type": "object", "additionalProperties": shape}


TEXT: Shape = {"type": "string"}
WHOLE: Shape = {"type": "integer"}
NUMBER: Shape = {"type": "number"}
MAYBE: Shape = {"type": ["number", "null"]}
"""A figure; null where it could not be judged."""
DECIDED: Shape = {"type": ["boolean", "null"]}
INTERVAL: Shape = record(mean=MAYBE, low=MAYBE, high=MAYBE)
HEADLINE: Shape = {"anyOf": [{"type": "null"}, INTERVAL]}
DIALS: Shape = record(knowledge=NUMBER, randomised=NUMBER, diversity=NUMBER, population=NUMBER)
FORM: Shape = record(alpha=MAYBE, beta=MAYBE, r_squared=MAYBE, peak_d=MAYBE)
DIFFERENCES: Shape = table(INTERVAL)

SEEDS: Shape = {
    **listed(record(seed=WHOLE, threat_1=MAYBE, threat_2=MAYBE)),
    "minItems": 1,
}
INFLATION: Shape = record(
    reference=TEXT,
    seeds=WHOLE,
    differences=DIFFERENCES,
    seeds_with=table(WHOLE),
    deceptive_inflation=TEXT,
    overjustification=TEXT,
)
OVEROPTIMISATION: Shape = record(
    until=listed(NUMBER), risen=DIFFERENCES, since=DIFFERENCES, form=FORM
)

SETTINGS = record(task=TEXT, seed=WHOLE, overseer=TEXT, knowledge=NUMBER)
FINISHED = record(updates=WHOLE)
TRAINED = record(**FINISHED["properties"], **{"base population": TEXT})
CALIBRATION = record(scale=NUMBER, offset=NUMBER, threshold=NUMBER)
ENVIRONMENT = {"type": "object", "properties": {"command": TEXT, "libraries": table(TEXT)}}
EXPERIMENT = record(config={"type": "object"})
GATES = listed(
    {
        **record(name=TEXT, status=TEXT, figure=table(MAYBE), detail=TEXT),
        "additionalProperties": False,
    }
)
RESULTS = record(
    task=TEXT,
    gates=listed(record(name=TEXT, status=TEXT, detail=TEXT)),
    arms=table(
        {
            **and_maybe(
                record(
                    summary=TEXT, dials=DIALS, seeds=SEEDS, threat_1=HEADLINE, threat_2=HEADLINE
                ),
                inflation=listed(INFLATION),
                overoptimisation=listed(OVEROPTIMISATION),
            ),
            "additionalProperties": {"if": {"type": "object"}, "then": INTERVAL},
        }
    ),
    contrasts=listed(
        record(
            dial={"enum": list(DIALS["properties"])},
            arms={**listed(TEXT), "minItems": 2},
            values={**listed(NUMBER), "minItems": 2},
            threat=TEXT,
            decision=record(verdict=TEXT, reason=TEXT),
            seeds_for_equivalence={"type": ["integer", "null"]},
        )
    ),
    about=record(seeds=listed(WHOLE)),
)
MEASURES = and_maybe(
    record(seed=WHOLE, dials=DIALS, threat_1=MAYBE, threat_2=MAYBE),
    inflation=listed(
        record(
            reference=TEXT,
            policy=table(MAYBE),
            against=table(MAYBE),
            deceptive_inflation=DECIDED,
            overjustification=DECIDED,
        )
    ),
)
SELECTION = record(
    updates=listed(record(update=WHOLE)),
    heritability=table(record(estimate=MAYBE, reason=TEXT)),
)
TRAJECTORY = record(checkpoints=listed(record(update=WHOLE, threat_1=MAYBE, threat_2=MAYBE)))
PROXY_AND_GOLD = {
    "type": "object",
    "properties": {
        "training": record(
            points=listed(record(update=WHOLE, d=NUMBER, gold=NUMBER)), rl_form=FORM
        ),
        "best_of_n": record(points=listed(record(d=NUMBER, gold=NUMBER)), best_of_n_form=FORM),
    },
    "additionalProperties": False,
}


def read_json(file: Path, shape: Shape) -> dict[str, Any]:
    """A JSON file of that shape; raises `UsageError` where it is missing, damaged or another's."""
    found: dict[str, Any] = _fits(file, files.read_json(file), shape)
    return found


def read_list(file: Path, shape: Shape) -> list[dict[str, Any]]:
    """The same of a JSON file that holds a list."""
    found: list[dict[str, Any]] = _fits(file, files.read_json(file), shape)
    return found


def read_yaml(file: Path, shape: Shape) -> dict[str, Any]:
    """The same of a YAML file."""
    found: dict[str, Any] = _fits(file, files.read_yaml(file), shape)
    return found


def _fits(file: Path, content: Any, shape: Shape) -> Any:
    fault = best_match(Draft202012Validator(shape).iter_errors(content))
    if fault is not None:
        told = f"{fault.json_path}: {fault.message}"
        raise UsageError(f"{file}: damaged, or from another version: {told[:MOST]}")
    return content
