"""Whether a model can be a policy: looked at when it is loaded, told in one line where it can't.

model bert-base-uncased: is no causal language model: what it says of a word depends on later
words (right: a model that is made to write, like GPT-2 or Llama)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rlhf_testbed.shared.errors import UsageError

if TYPE_CHECKING:
    from rlhf_testbed.policy.language import Language


def refuse_unsuitable(
    name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Raises `UsageError` for a model or tokenizer that can't be a policy's."""
    if tokenizer.eos_token_id is None:
        raise UsageError(
            f"model {name}: its tokenizer has no end of text (right: one with an eos_token)"
        )
    size = model.get_input_embeddings().weight.shape[0]
    words = {token: at for token, at in tokenizer.get_vocab().items() if at >= size}
    # Signs that were added are no words of a text: padding is masked out, the others are not read.
    for sign in set(tokenizer.get_added_vocab()) - {tokenizer.eos_token}:
        words.pop(sign, None)
    if words:
        word = min(words, key=lambda token: words[token])
        raise UsageError(
            f"model {name}: its tokenizer has {len(words)} words beyond the model's {size}, like "
            f"'{word}' (right: the tokenizer that belongs to it)"
        )
    if not _looks_back_only(model):
        raise UsageError(
            f"model {name}: is no causal language model: what it says of a word depends on later "
            "words (right: a model that is made to write, like GPT-2 or Llama)"
        )


def refuse_short_context(model: PreTrainedModel, tokens: int) -> None:
    """Raises `UsageError` where a model can't read so many tokens of prompt and response."""
    name = model.name_or_path or "of the base policy"
    most = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if most is not None and tokens > most:
        raise UsageError(
            f"model {name}: reads {most} tokens at most, and the task's longest prompt and "
            f"response have {tokens}"
        )


def refuse_alike(language: Language, texts: Sequence[str], what: str) -> None:
    """Raises `UsageError` where two of the texts are the same to the tokenizer.

    `what`: what they are, like responses. A tokenizer of another language may know none of them.
    """
    seen: dict[tuple[int, ...], str] = {}
    for text in texts:
        other = seen.setdefault(tuple(language.response_ids(text)), text)
        if other != text:
            name = language.model.name_or_path or "of the base policy"
            raise UsageError(
                f"model {name}: its tokenizer can't tell two {what} apart: {other!r:.60} and "
                f"{text!r:.60}"
            )


@torch.no_grad()
def _looks_back_only(model: PreTrainedModel) -> bool:
    """Whether the first token's logits stay the same whatever comes after it."""
    model.eval()
    one, other = sorted({0, 1, 2} - {model.config.get_text_config().pad_token_id})[:2]
    rows = torch.tensor([[one, one], [one, other]], device=model.device)
    try:
        logits = model(input_ids=rows, attention_mask=torch.ones_like(rows)).logits[:, 0].float()
    except Exception as error:  # whatever a model of another make says to two tokens
        told = " ".join(str(error).split())
        name = model.name_or_path
        raise UsageError(f"model {name}: can't read a text of two tokens ({told:.150})") from error
    return bool(torch.allclose(logits[0], logits[1], rtol=1e-3, atol=1e-3))
