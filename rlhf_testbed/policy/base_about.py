"""The files of a base policy, and the one that says what it was made from: `about.json`.

    rlhf_testbed/policy/shipped/corridor-0.3-seed-0/
      model.safetensors, config.json, generation_config.json
      tokenizer.json, tokenizer_config.json
      about.json               About: settings, versions, hashes, and how able it is

Imports no torch.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import ClassVar

from rlhf_testbed.settings.plugins import dotted
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.record import Figure, Record

DIGITS = 16
"""Of a hash, as it is filed."""


class BaseSettings(Record):
    """The settings that a base policy depends on."""

    task: str
    """Dotted path."""
    unintended_share: float
    base_seed: int
    demonstrations: int
    steps: int
    batch_size: int
    learning_rate: float
    task_args: tuple[str, ...] = ()
    """Options of the task, as `NAME=VALUE`."""
    model: str | None = None
    """A Hub name, a folder or a GGUF file; None: the small model."""
    revision: str | None = None
    dtype: str | None = None
    """Both None for the small model, which has neither."""
    chat_template: bool | None = None
    """Whether prompts are in the model's chat template; None for the small model, so are these:"""
    lora_r: int | None = None
    lora_layers: int | None = None
    patience: int | None = None

    @classmethod
    def of(cls, run: RunConfig) -> BaseSettings:
        """Those of a run."""
        base, name = run.base, run.base.model_name_or_path
        return cls(
            task=dotted(type(run.task)),
            task_args=tuple(sorted(run.study.task_args)),
            unintended_share=run.dials.unintended_share,
            base_seed=base.base_seed,
            demonstrations=base.demonstrations,
            steps=run.base_steps,
            batch_size=base.base_batch_size,
            learning_rate=base.base_learning_rate,
            model=name,
            revision=base.model_revision if name else None,
            dtype=base.dtype if name else None,
            chat_template=base.chat_template if name else None,
            lora_r=base.base_lora_r if name else None,
            lora_layers=base.base_lora_layers if name else None,
            patience=base.base_patience if name else None,
        )


OF_A_MODEL = ("model", "revision", "dtype", "chat_template", "lora_r", "lora_layers", "patience")
"""The settings that are of account only where a model is named."""


class Reached(Record):
    """How often a candidate goal is reached off distribution, as a share."""

    base_policy: Figure
    demonstrators: Figure
    """On the same scenarios; NaN where the task has no demonstrators to ask."""


class Ability(Record):
    """How able a base policy is, beside the demonstrators that it has learned from."""

    scenarios: int
    """Off distribution."""
    reached: dict[str, Reached]
    """By candidate goal."""


class About(Record):
    """What a base policy was made from, what it is known by, and how able it is."""

    file: ClassVar[str] = "about.json"

    settings: BaseSettings
    quick: str
    """The key by which it is found without its demonstrations being made (`base_key.py`)."""
    full: str
    """The digest of all that it depends on, its demonstrations included."""
    demonstrations: str
    """The digest of all demonstrations."""
    libraries: dict[str, str]
    """Versions."""
    hash: str = ""
    """Of its files but this one, as `content_hash` finds it."""
    loss: Figure = float("nan")
    """Mean loss of the last steps of learning, in nats a token; NaN where nothing was taught."""
    ability: Ability | None = None
    """None where it was not measured."""


def content_hash(folder: Path) -> str:
    """The hash of a model's files: weights, settings, tokenizer; in hexadecimal digits."""
    found = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.name != About.file and not file.name.startswith("."):
            found.update(file.name.encode() + b"\0")
            with file.open("rb") as content:
                while block := content.read(1 << 20):
                    found.update(block)
    return found.hexdigest()[:DIGITS]


def size(folder: Path) -> int:
    """Bytes of a model's files."""
    return sum(file.stat().st_size for file in folder.iterdir())
