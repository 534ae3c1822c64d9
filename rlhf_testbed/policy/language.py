"""Language models: the small default one, and any causal LM by name, folder or GGUF file.

The default is a Llama of 0.35 M parameters over whole words:

    prompt     corridor 0 4 1 7 left pit floor lit floor right dark pit floor floor coin right
    response   right around jump walk walk <eos>

Every model is used the same way: a prompt's tokens, then the response's (with the space before
it), then the end of the text. Where a tokenizer has a chat template, the prompt is a user's message
in it, and the response begins without a space. The model reads nothing else: see
`tests/test_audit.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    GgufConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from rlhf_testbed.policy.base_shelves import cache_folder
from rlhf_testbed.policy.small_model import GRID, SHAPE
from rlhf_testbed.policy.suitable import refuse_unsuitable
from rlhf_testbed.settings.packaged import converted, is_packaged
from rlhf_testbed.settings.place import place_of, refuse_unloadable, told_of_hub
from rlhf_testbed.shared.callbacks import quiet
from rlhf_testbed.shared.errors import UsageError

SAFE: Final = {"trust_remote_code": False, "use_safetensors": True}
"""No code that comes with a model is run: neither its own, nor what a pickle may hold."""


@dataclass(frozen=True)
class Language:
    """A model and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    @property
    def chats(self) -> bool:
        """Whether prompts are put into a chat template: where the tokenizer has one."""
        return bool(self.tokenizer.chat_template)

    def prompt_ids(self, prompt: str) -> list[int]:
        """The tokens that the model reads: a message of the user's where it chats."""
        if not self.chats:
            return list(self.tokenizer(prompt)["input_ids"])
        asked = [{"role": "user", "content": prompt}]
        told = self.tokenizer.apply_chat_template(asked, add_generation_prompt=True)
        return list(told["input_ids"])

    def response_ids(self, response: str) -> list[int]:
        """The tokens of a response as written after a prompt, with the end of the text."""
        text = response if self.chats else " " + response
        words = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return [*words, self.tokenizer.eos_token_id]

    def text(self, ids: Sequence[int]) -> str:
        """The response that those tokens spell, up to the end of the text or to padding.

        Signs like `<unk>` stay in it: a task that can't read them must see them. A policy may write
        its padding before any end; for TRL's PPO a response stops there, and so does its text.
        """
        ends = {self.tokenizer.eos_token_id, self.tokenizer.pad_token_id}
        shown = takewhile(lambda token: token not in ends, ids)
        return str(self.tokenizer.decode(list(shown), skip_special_tokens=False)).strip()


def small_language(texts: Iterable[str], seed: int) -> Language:
    """An untrained word-level Llama whose vocabulary is the words of `texts`."""
    tokenizer = word_level(texts, pre_tokenizers.WhitespaceSplit(), padding_side="left")
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        **SHAPE,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        attn_implementation="eager",  # a fifth faster than sdpa at this size on a CPU
    )
    return Language(LlamaForCausalLM(config).eval(), tokenizer)


@torch.no_grad()
def rounded(model: PreTrainedModel) -> None:
    """Rounds weights, in place, to values of the small model's grid; their type stays."""
    for weights in model.parameters():
        weights.copy_(weights.to(getattr(torch, GRID)))


def word_level(
    texts: Iterable[str], split: pre_tokenizers.PreTokenizer, padding_side: str
) -> PreTrainedTokenizerFast:
    """A tokenizer whose vocabulary is the words into which `split` cuts `texts`."""
    words = sorted({word for text in texts for word, _ in split.pre_tokenize_str(text)})
    vocabulary = {word: index for index, word in enumerate(["<pad>", "<eos>", "<unk>", *words])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = split
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        padding_side=padding_side,
    )


def load_language(
    name_or_folder: str, like: PreTrainedTokenizerBase | None = None, **kwargs: object
) -> Language:
    """Any causal LM from the Hub, a folder or a GGUF file, with a padding token of its own, padded
    at the left. Raises `UsageError` where it can't be loaded, or can't be a policy.

    `like`: the tokenizer of a policy that was loaded before and of which this is another
    checkpoint; it is taken as it is, and that the two suit each other is not looked at again.

    A padding token beyond the vocabulary is never fed to the model: TRL masks it out, and what has
    ended is filled with ends.
    """
    quiet()
    place, file = _place(name_or_folder, with_tokenizer=like is None)
    if file:  # weights as plain floats, which can be trained and saved
        kwargs["quantization_config"] = GgufConfig(dequantize=True)
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, **file, **SAFE) if like is None else like
        model = AutoModelForCausalLM.from_pretrained(place, **file, **SAFE, **kwargs)
    except Exception as error:
        raise _told(name_or_folder, place, error) from error
    model.name_or_path = name_or_folder  # by which errors tell it; a packaged one is in the cache
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None or tokenizer.pad_token == tokenizer.eos_token:
        tokenizer.add_special_tokens({"pad_token": "<pad>"})
    if like is None:
        refuse_unsuitable(name_or_folder, model, tokenizer)
    # Else a repetition penalty or a top-k of the file's would sample from another policy. What has
    # ended is filled with a token that there is: the added padding is often beyond the vocabulary.
    eos, size = tokenizer.eos_token_id, model.get_input_embeddings().weight.shape[0]
    filler = tokenizer.pad_token_id if tokenizer.pad_token_id < size else eos
    model.generation_config = GenerationConfig(eos_token_id=eos, pad_token_id=filler)
    return Language(model.eval(), tokenizer)


def _place(name_or_folder: str, with_tokenizer: bool) -> tuple[str, dict[str, str]]:
    """What to load from, and which GGUF file there; its weights are turned into floats again.

    Raises `UsageError` for a place that holds no model, or none that is safe to load.
    """
    path = place_of(name_or_folder)
    if is_packaged(name_or_folder):
        return str(converted(name_or_folder, cache_folder() / "models", _as_floats)), {}
    if path and path.is_dir():
        refuse_unloadable(name_or_folder, path, with_tokenizer)
    if path is None or path.suffix != ".gguf":
        return name_or_folder, {}
    if find_spec("gguf") is None:
        raise UsageError(
            f"model {path}: reading a GGUF file takes a package that is not installed "
            "(pip install 'rlhf-testbed[gguf]')"
        )
    return str(path.parent), {"gguf_file": path.name}


def _as_floats(file: Path, folder: Path) -> None:
    """Writes a GGUF file's model, in float32, and its tokenizer into a folder."""
    read: dict[str, Any] = {"gguf_file": file.name, **SAFE}
    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, **read)
        model = AutoModelForCausalLM.from_pretrained(
            file.parent,
            **read,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
        )
    except Exception as error:
        raise _told(str(file), str(file), error) from error
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _told(name: str, place: str, error: Exception) -> UsageError:
    """What went wrong as a model was loaded, in one line."""
    told = " ".join(str(error).split())
    if "trust_remote_code" in told:
        return UsageError(
            f"model {name}: asks for code of its own, and code from elsewhere is never run "
            "(right: a model and a tokenizer that transformers has)"
        )
    if "use_safetensors=True" in told:
        return UsageError(f"model {name}: holds pickled weights only (right: safetensors)")
    if place == name and not Path(name).exists():
        return told_of_hub(name, error)
    more = f": delete {place}, and it is made anew" if is_packaged(name) else ""
    return UsageError(f"model {name}: can't be loaded ({told:.150}){more}")


def left_padded(rows: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
    """Ids, mask and positions of token rows of any length: [rows, longest], padded at the left.

    Padding has id 0 and is masked, so that a padding token beyond the vocabulary is never fed.
    """
    length = max(map(len, rows))
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    mask = torch.zeros(len(rows), length, dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, length - len(row) :] = torch.tensor(row)
        mask[index, length - len(row) :] = 1
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    return {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
