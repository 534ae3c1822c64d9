"""Exact scoring and sampling of a language model: what it would write, and with which chance.

response_log_probabilities(language, prompts, ["left", "right"])    [[-0.1, -2.4], ...] nats
sampled_responses(language, prompts, length=6, seed=0)              ["left", ...]
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import GenerationConfig, PreTrainedModel

from rlhf_testbed.policy.language import Language, left_padded
from rlhf_testbed.shared.arrays import Floats


@torch.no_grad()
def response_log_probabilities(
    language: Language, prompts: Sequence[str], responses: Sequence[str], batch_size: int = 2048
) -> Floats:
    """Exact log-probability of every response to every prompt, in nats: [prompts, responses].

    Sums over a response's tokens and the end of the text, at temperature 1. Each prompt is read
    once; at most about `batch_size` pairs are scored at a time.
    """
    answers = [language.response_ids(response) for response in responses]
    questions = [language.prompt_ids(prompt) for prompt in prompts]
    step = max(1, batch_size // len(answers))
    found = [
        _scored(language.model, questions[start : start + step], answers)
        for start in range(0, len(questions), step)
    ]
    return np.concatenate(found)


def _scored(
    model: PreTrainedModel, questions: Sequence[list[int]], answers: Sequence[list[int]]
) -> Floats:
    """Log-probabilities [questions, answers]: reads the questions once, then every answer."""
    prompt = {name: tensor.to(model.device) for name, tensor in left_padded(questions).items()}
    read = model(**prompt, use_cache=True)
    first = read.logits[:, -1:].repeat_interleave(len(answers), dim=0)
    read.cache.batch_repeat_interleave(len(answers))
    length = max(map(len, answers))
    ids = torch.zeros(len(answers), length, dtype=torch.long, device=model.device)
    scored = torch.zeros_like(ids, dtype=torch.bool)
    for index, answer in enumerate(answers):
        ids[index, : len(answer)] = torch.tensor(answer)
        scored[index, : len(answer)] = True
    ids, scored = (tensor.repeat(len(questions), 1) for tensor in (ids, scored))
    mask = prompt["attention_mask"].repeat_interleave(len(answers), dim=0)
    end = prompt["position_ids"][:, -1:].repeat_interleave(len(answers), dim=0)
    logits = first
    if length > 1:
        later = model(
            input_ids=ids[:, :-1],
            attention_mask=torch.cat([mask, torch.ones_like(ids[:, :-1])], dim=1),
            position_ids=end + 1 + torch.arange(length - 1, device=model.device),
            cache=read.cache,
        ).logits
        logits = torch.cat([first, later], dim=1)
    logits = logits.float().log_softmax(-1)
    tokens = logits.gather(-1, ids.unsqueeze(-1)).squeeze(-1).masked_fill(~scored, 0.0)
    total: Floats = tokens.sum(1).double().cpu().numpy().reshape(len(questions), len(answers))
    return total


@torch.no_grad()
def sampled_responses(
    language: Language, prompts: Sequence[str], length: int, seed: int, batch_size: int = 256
) -> list[str]:
    """One response to each prompt, sampled at temperature 1, of at most `length` tokens."""
    torch.manual_seed(seed)
    found: list[str] = []
    for start in range(0, len(prompts), batch_size):
        batch = left_padded([language.prompt_ids(p) for p in prompts[start : start + batch_size]])
        written = language.model.generate(
            input_ids=batch["input_ids"].to(language.model.device),
            attention_mask=batch["attention_mask"].to(language.model.device),
            generation_config=GenerationConfig(
                max_new_tokens=length,
                do_sample=True,
                top_k=0,
                top_p=1.0,
                temperature=1.0,
                eos_token_id=language.tokenizer.eos_token_id,
                pad_token_id=language.tokenizer.eos_token_id,
            ),
        )
        found += [language.text(ids) for ids in written[:, batch["input_ids"].shape[1] :].tolist()]
    return found
