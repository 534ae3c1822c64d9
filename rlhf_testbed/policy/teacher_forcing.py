"""The plain way to score: each response is read token by token behind its prompt.

    by_teacher_forcing(model, [[5, 7, 9]], [[3, 4, 1], [3, 1]])    [[-2.3, -0.7]] nats

A prompt is read once, and every response goes on from there. A model that can't (a state-space
model keeps no keys and values that could be copied) reads each prompt and response as a whole.
`scoring.py` has a quicker way, and holds it against this one.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from weakref import WeakSet

import numpy as np
import torch
from transformers import PreTrainedModel

from rlhf_testbed.policy.language import left_padded
from rlhf_testbed.shared.arrays import Floats

MOST_PAIRS = 2048
"""Pairs of prompt and response that are read at a time, at most."""
MOST_LOGITS = 2**24
"""Logits that are in memory at a time, at most (64 MiB of 32-bit floats; a few copies are made)."""

_READ_WHOLE: WeakSet[PreTrainedModel] = WeakSet()
"""Models that can't go on from what they have read."""


def by_teacher_forcing(
    model: PreTrainedModel, questions: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]
) -> Floats:
    """Log-probability of every answer to every question, in nats: [questions, answers]."""
    vocabulary = model.get_input_embeddings().weight.shape[0]
    pairs = min(MOST_PAIRS, max(1, MOST_LOGITS // (vocabulary * max(map(len, answers)))))
    step = max(1, pairs // len(answers))
    found = np.empty((len(questions), len(answers)))
    for at in range(0, len(questions), step):
        for some in range(0, len(answers), pairs):
            rows, columns = slice(at, at + step), slice(some, some + pairs)
            found[rows, columns] = _scored(model, questions[rows], answers[columns])
    return found


def keeping(model: PreTrainedModel, last: int) -> dict[str, int]:
    """The argument that leaves out all logits but the last ones, where the model takes it."""
    takes = "logits_to_keep" in inspect.signature(model.forward).parameters
    return {"logits_to_keep": last} if takes else {}


def _scored(
    model: PreTrainedModel, questions: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]
) -> Floats:
    """Log-probabilities [questions, answers], all in memory at once."""
    if model not in _READ_WHOLE:
        try:
            return _gone_on_from(model, questions, answers)
        except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            _READ_WHOLE.add(model)
    return np.concatenate([_read_whole(model, question, answers) for question in questions])


def _gone_on_from(
    model: PreTrainedModel, questions: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]
) -> Floats:
    """Reads the questions once, then every answer behind each."""
    prompt = {name: tensor.to(model.device) for name, tensor in left_padded(questions).items()}
    read = model(**prompt, use_cache=True, **keeping(model, 1))
    logits = read.logits[:, -1:].repeat_interleave(len(answers), dim=0)
    ids, scored = (tensor.repeat(len(questions), 1) for tensor in _right_padded(model, answers))
    later = ids.shape[1] - 1
    if later:
        read.cache.batch_repeat_interleave(len(answers))
        mask = prompt["attention_mask"].repeat_interleave(len(answers), dim=0)
        end = prompt["position_ids"][:, -1:].repeat_interleave(len(answers), dim=0)
        then = model(
            input_ids=ids[:, :-1],
            attention_mask=torch.cat([mask, torch.ones_like(ids[:, :-1])], dim=1),
            position_ids=end + 1 + torch.arange(later, device=model.device),
            cache=read.cache,
        )
        logits = torch.cat([logits, then.logits], dim=1)
    return _summed(logits, ids, scored).reshape(len(questions), len(answers))


def _read_whole(
    model: PreTrainedModel, question: Sequence[int], answers: Sequence[Sequence[int]]
) -> Floats:
    """The same for one question, [1, answers]; padding is behind all that counts."""
    ids, scored = _right_padded(model, answers)
    asked = torch.tensor(question, device=model.device).expand(len(answers), -1)
    rows = torch.cat([asked, ids[:, :-1]], dim=1)
    logits = model(input_ids=rows, **keeping(model, ids.shape[1])).logits[:, -ids.shape[1] :]
    return _summed(logits, ids, scored)[None]


def _right_padded(
    model: PreTrainedModel, answers: Sequence[Sequence[int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids [answers, longest], and which of them are an answer's."""
    ids = torch.zeros(len(answers), max(map(len, answers)), dtype=torch.long)
    scored = torch.zeros_like(ids, dtype=torch.bool)
    for index, answer in enumerate(answers):
        ids[index, : len(answer)] = torch.tensor(answer)
        scored[index, : len(answer)] = True
    return ids.to(model.device), scored.to(model.device)


def _summed(logits: torch.Tensor, ids: torch.Tensor, scored: torch.Tensor) -> Floats:
    """Log-probability of each row's ids, [rows], from logits [rows, ids, vocabulary]."""
    tokens = logits.float().log_softmax(-1).gather(-1, ids.unsqueeze(-1)).squeeze(-1)
    total: Floats = tokens.masked_fill(~scored, 0.0).double().sum(1).cpu().numpy()
    return total
