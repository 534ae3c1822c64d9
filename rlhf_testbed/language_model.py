"""Language models: the small default one, any causal LM from the Hub or a folder, and exact scoring.

The default is a Llama of 0.35 M parameters over whole words:

    prompt     corridor 0 4 1 7 left pit floor lit floor right dark pit floor floor coin right
    response   right around jump walk walk <eos>

Every model is used the same way: a prompt's tokens, then the response's (with the space before
it), then the end of the text. The model reads nothing else: see `tests/test_audit.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from rlhf_testbed.arrays import Floats


@dataclass(frozen=True)
class Language:
    """A model and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    def prompt_ids(self, prompt: str) -> list[int]:
        """The tokens that the model reads."""
        return list(self.tokenizer(prompt)["input_ids"])

    def response_ids(self, response: str) -> list[int]:
        """The tokens of a response as written after a prompt, with the end of the text."""
        words = self.tokenizer(" " + response, add_special_tokens=False)["input_ids"]
        return [*words, self.tokenizer.eos_token_id]

    def text(self, ids: Sequence[int]) -> str:
        """The response that those tokens spell, up to the end of the text."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip()


def small_language(texts: Iterable[str], seed: int) -> Language:
    """An untrained word-level Llama whose vocabulary is the words of `texts`."""
    words = sorted({word for text in texts for word in text.split()})
    vocabulary = {word: index for index, word in enumerate(["<pad>", "<eos>", "<unk>", *words])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        padding_side="left",
    )
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=128,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        tie_word_embeddings=True,
    )
    return Language(LlamaForCausalLM(config).eval(), tokenizer)


def load_language(name_or_folder: str, **kwargs: object) -> Language:
    """Any causal LM from the Hub or a folder, with a padding token of its own, padded at the left.

    A padding token beyond the vocabulary is never fed to the model: TRL masks it out.
    """
    tokenizer = AutoTokenizer.from_pretrained(name_or_folder)
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None or tokenizer.pad_token == tokenizer.eos_token:
        tokenizer.add_special_tokens({"pad_token": "<pad>"})
    model = AutoModelForCausalLM.from_pretrained(name_or_folder, **kwargs)
    return Language(model.eval(), tokenizer)


@torch.no_grad()
def response_log_probabilities(
    language: Language, prompts: Sequence[str], responses: Sequence[str], batch_size: int = 1024
) -> Floats:
    """Exact log-probability of every response to every prompt, in nats: [prompts, responses].

    Sums over a response's tokens and the end of the text, at temperature 1.
    """
    answers = [language.response_ids(response) for response in responses]
    rows = [
        (prompt_ids, answer)
        for prompt_ids in (language.prompt_ids(prompt) for prompt in prompts)
        for answer in answers
    ]
    found = [
        _sequence_log_probabilities(language.model, rows[start : start + batch_size])
        for start in range(0, len(rows), batch_size)
    ]
    return np.concatenate(found).reshape(len(prompts), len(responses))


def _sequence_log_probabilities(
    model: PreTrainedModel, rows: Sequence[tuple[list[int], list[int]]]
) -> Floats:
    """Log-probability of each row's second part after its first: [rows]. Padded at the left."""
    length = max(len(prompt) + len(answer) for prompt, answer in rows)
    answer_length = max(len(answer) for _, answer in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    seen = torch.zeros(len(rows), length, dtype=torch.long)
    scored = torch.zeros(len(rows), answer_length, dtype=torch.bool)
    for row, (prompt, answer) in enumerate(rows):
        ids[row, length - len(prompt) - len(answer) :] = torch.tensor(prompt + answer)
        seen[row, length - len(prompt) - len(answer) :] = 1
        scored[row, answer_length - len(answer) :] = True
    ids, seen, scored = (tensor.to(model.device) for tensor in (ids, seen, scored))
    positions = (seen.cumsum(1) - 1).clamp(min=0)
    logits = model(
        input_ids=ids,
        attention_mask=seen,
        position_ids=positions,
        logits_to_keep=answer_length + 1,
    ).logits[:, :-1]
    chosen = ids[:, -answer_length:].unsqueeze(-1)
    tokens = logits.float().log_softmax(-1).gather(-1, chosen).squeeze(-1)
    found: Floats = tokens.masked_fill(~scored, 0.0).sum(1).double().cpu().numpy()
    return found
