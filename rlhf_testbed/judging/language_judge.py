"""The model of a `language_model` overseer: texts in, the probability of yes among yes and no out.

answers = yes_or_no("HuggingFaceTB/SmolLM2-135M-Instruct")
answers(["... Question: Should this be approved? Answer yes or no.\\nAnswer:"])    [0.63]
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import torch
from transformers import PreTrainedTokenizerBase

from rlhf_testbed.overseers.reader import Scorer
from rlhf_testbed.policy.language import Language, left_padded, load_language
from rlhf_testbed.shared.errors import UsageError

READ_TOGETHER = 16
"""Texts in one forward pass."""
ANSWERS = ((" yes", " no"), (" Yes", " No"), ("yes", "no"), ("Yes", "No"))
"""Spellings of the two answers; the first that are a token each are looked at."""


def yes_or_no(model: str) -> Scorer:
    """A causal language model, by Hub name, folder or GGUF file, as a function of texts.

    A text's score is P(yes) / (P(yes) + P(no)) of the next token, in [0, 1]. Raises `UsageError`
    where the model can't be loaded, or its tokenizer has no token for yes or for no.
    """
    try:
        language = load_language(model)
    except UsageError as error:
        raise UsageError(f"overseer language_model: {error}") from error
    yes, no = _answer_tokens(model, language.tokenizer)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    language.model.to(device)

    def scores(texts: Sequence[str]) -> list[float]:
        rows = [language.prompt_ids(text) for text in texts]
        found = [0.0] * len(rows)
        # Texts of like length together, so that little is padded.
        order = sorted(range(len(rows)), key=lambda at: len(rows[at]))
        for start in range(0, len(order), READ_TOGETHER):
            chosen = order[start : start + READ_TOGETHER]
            logits = _next_token(language, [rows[at] for at in chosen])
            for at, one in zip(chosen, (logits[:, yes] - logits[:, no]).sigmoid(), strict=True):
                found[at] = float(one)
        return found

    return scores


@torch.no_grad()
def _next_token(language: Language, rows: Sequence[list[int]]) -> torch.Tensor:
    """Logits of the token after each row: [rows, vocabulary]."""
    model = language.model
    batch = {name: tensor.to(model.device) for name, tensor in left_padded(rows).items()}
    # Of a large vocabulary, the logits at every position would fill the memory.
    last = "logits_to_keep" in inspect.signature(model.forward).parameters
    logits: torch.Tensor = model(**batch, **({"logits_to_keep": 1} if last else {})).logits
    return logits[:, -1].double()


def _answer_tokens(model: str, tokenizer: PreTrainedTokenizerBase) -> tuple[int, int]:
    for pair in ANSWERS:
        ids = [tokenizer(answer, add_special_tokens=False)["input_ids"] for answer in pair]
        single = [row[0] for row in ids if len(row) == 1 and row[0] != tokenizer.unk_token_id]
        if len(set(single)) == 2:
            return single[0], single[1]
    raise UsageError(
        f"overseer language_model: model = {model}: its tokenizer has no tokens for yes and no "
        "(right: a model of English, with a token for each)"
    )
