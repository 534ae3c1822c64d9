"""Exact scoring and sampling of a language model: what it would write, and with which chance.

response_log_probabilities(language, prompts, ["left", "right"])    [[-0.1, -2.4], ...] nats
sampled_responses(language, prompts, length=6, seed=0)              ["left", ...]

All responses to a prompt are read in one pass, as the tree of their prefixes (`tree.py`) behind the
prompt: a mask shows each node the prompt, its ancestors and itself. Not every model can be read so
(one that goes through its text step by step can't), so that each is tried on one prompt first, and
otherwise reads response by response (`teacher_forcing.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from transformers import GenerationConfig, PreTrainedModel

from rlhf_testbed.policy.language import Language, left_padded
from rlhf_testbed.policy.teacher_forcing import MOST_LOGITS, by_teacher_forcing, keeping
from rlhf_testbed.policy.tree import PrefixTree, prefix_trees
from rlhf_testbed.shared.arrays import Floats

MOST_NODES = 96
"""Nodes of a tree, at most, or as many as the model is wide: nodes are masked from each other, not
left out, so that a tree takes time with their square. As long as the prompt, a tree may be longer.
"""
MOST_TOKENS = {"cpu": 1024}
"""Tokens that are read at a time, at most: on a processor, what stays in its cache."""
ELSEWHERE = 16384
"""The same on a device that isn't named."""
ALIKE = 1e-4
"""Nats by which the two ways may differ on the prompt that is tried."""
TRIED_RESPONSES = 16
"""Responses that are tried."""


class _Tried(NamedTuple):
    """What came of trying to read trees: whether it went well, and up to which size."""

    works: bool
    depth: int
    """Tokens of prompt and response."""
    width: int
    """Tokens of prompt and tree."""


_TRIED: WeakKeyDictionary[PreTrainedModel, _Tried] = WeakKeyDictionary()
"""By model, for as long as there is the model."""


@torch.no_grad()
def response_log_probabilities(
    language: Language, prompts: Sequence[str], responses: Sequence[str]
) -> Floats:
    """Exact log-probability of every response to every prompt, in nats: [prompts, responses].

    Sums over a response's tokens and the end of the text, at temperature 1. Memory is bounded,
    whatever the number of prompts and responses and the size of the vocabulary.
    """
    model = language.model
    answers = [language.response_ids(response) for response in responses]
    questions = [language.prompt_ids(prompt) for prompt in prompts]
    longest = max(questions, key=len)
    vocabulary = model.get_input_embeddings().weight.shape[0]
    width = model.get_input_embeddings().weight.shape[1]
    most = min(max(MOST_NODES, width, len(longest)), max(1, MOST_LOGITS // vocabulary - 1))
    trees = prefix_trees(answers, most)
    if not all(reads_trees(model, longest, tree, answers) for tree in trees):
        return by_teacher_forcing(model, questions, answers)
    found = np.empty((len(questions), len(answers)))
    for tree in trees:
        nodes = len(tree.tokens)
        tokens = MOST_TOKENS.get(model.device.type, ELSEWHERE)
        step = min(tokens // (len(longest) + nodes), MOST_LOGITS // (vocabulary * (nodes + 1)))
        for start in range(0, len(questions), max(1, step)):
            some = slice(start, start + max(1, step))
            found[some, tree.responses] = by_tree(model, questions[some], tree)
    return found


def by_tree(model: PreTrainedModel, questions: Sequence[Sequence[int]], tree: PrefixTree) -> Floats:
    """Log-probability of a tree's responses to every question, in nats: [questions, responses].

    One pass of the model over questions, padded at the left, and tree.
    """
    prompt = {name: tensor.to(model.device) for name, tensor in left_padded(questions).items()}
    tokens, depths, edge_from, edge_to, paths = (
        torch.from_numpy(column).to(model.device)
        for column in (tree.tokens, tree.depths, tree.edge_from, tree.edge_to, tree.paths)
    )
    rows = len(questions)
    nodes = tokens.expand(rows, -1)
    first = prompt["position_ids"][:, -1:] + 1
    read = model(
        input_ids=torch.cat([prompt["input_ids"], nodes], dim=1),
        attention_mask=tree_mask(prompt["attention_mask"], tree, model.dtype),
        position_ids=torch.cat([prompt["position_ids"], first + depths], dim=1),
        use_cache=False,
        **keeping(model, len(tree.tokens) + 1),
    )
    logits = read.logits[:, -len(tree.tokens) - 1 :].float()
    edges = logits[:, edge_from, edge_to] - logits.logsumexp(-1)[:, edge_from]
    nothing = torch.zeros(rows, 1, dtype=torch.double, device=model.device)
    edges = torch.cat([edges.double(), nothing], dim=1)  # what paths are filled up with
    total: Floats = edges[:, paths].sum(-1).cpu().numpy()
    return total


def tree_mask(real: torch.Tensor, tree: PrefixTree, dtype: torch.dtype) -> torch.Tensor:
    """The mask of prompts and a tree: 0 where a token is read, the smallest number elsewhere.

    `real`: 1 where a prompt has a token, 0 where it is padded, [prompts, longest]. Shape
    [prompts, 1, longest + nodes, longest + nodes]: added to what the model attends with, it suits
    its every implementation that takes a mask.
    """
    rows, length = real.shape
    nodes = len(tree.tokens)
    if bool(real.all()):
        real = real[:1]  # one for all
    reads = torch.zeros(len(real), length + nodes, length + nodes, device=real.device).bool()
    reads[:, :, :length] = real.bool().unsqueeze(1)
    reads[:, :length, :length].logical_and_(torch.ones_like(reads[0, :length, :length]).tril())
    reads[:, length:, length:] = torch.from_numpy(tree.sees).to(real.device)
    reads.diagonal(dim1=1, dim2=2).fill_(True)  # padding reads itself: who reads nothing is NaN
    mask = torch.zeros(reads.shape, dtype=dtype, device=real.device)
    mask.masked_fill_(~reads, torch.finfo(dtype).min)
    return mask.unsqueeze(1).expand(rows, -1, -1, -1)


def reads_trees(
    model: PreTrainedModel,
    question: Sequence[int],
    tree: PrefixTree,
    answers: Sequence[Sequence[int]],
) -> bool:
    """Whether a model reads a tree behind a question as it reads `answers` one by one.

    Tried where nothing as long was: a window or a table of positions may end somewhere.
    """
    tried = _TRIED.get(model, _Tried(True, 0, 0))
    depth, width = len(question) + tree.longest, len(question) + len(tree.tokens)
    if tried.works and (depth > tried.depth or width > tried.width):
        works = _alike(model, question, tree, answers)
        tried = _Tried(works, max(depth, tried.depth), max(width, tried.width))
        _TRIED[model] = tried
    return tried.works


def _alike(
    model: PreTrainedModel,
    question: Sequence[int],
    tree: PrefixTree,
    answers: Sequence[Sequence[int]],
) -> bool:
    """Tries a question by itself and, shortened, behind padding, with some of the responses."""
    questions = [question, question[1:] or question]
    count = min(TRIED_RESPONSES, len(tree.responses))
    some = np.linspace(0, len(tree.responses) - 1, count).round().astype(int)
    shown = [answers[at] for at in tree.responses[some]]
    plain = by_teacher_forcing(model, questions, shown)
    try:
        found = by_tree(model, questions, tree)[:, some]
    except Exception:  # whatever a model says to a mask that it doesn't know
        return False
    allowed = ALIKE
    if torch.finfo(model.dtype).bits < 32:  # there the plain way differs from itself by more
        alone = np.concatenate([by_teacher_forcing(model, [one], shown) for one in questions])
        allowed = max(allowed, 4 * float(np.abs(alone - plain).max()))
    return bool(np.allclose(found, plain, rtol=0.0, atol=allowed))


@torch.no_grad()
def sampled_responses(
    language: Language, prompts: Sequence[str], length: int, seed: int, batch_size: int = 256
) -> list[str]:
    """One response to each prompt, sampled at temperature 1, of at most `length` tokens."""
    written = sampled_ids(language, prompts, length, seed, batch_size)
    return [language.text(ids) for ids in written]


@torch.no_grad()
def sampled_ids(
    language: Language, prompts: Sequence[str], length: int, seed: int, batch_size: int = 256
) -> list[list[int]]:
    """The tokens of those responses; what has ended is filled with ends."""
    torch.manual_seed(seed)
    found: list[list[int]] = []
    for start in range(0, len(prompts), batch_size):
        some = prompts[start : start + batch_size]
        different = list(dict.fromkeys(some))
        batch = left_padded([language.prompt_ids(prompt) for prompt in different])
        batch = {name: tensor.to(language.model.device) for name, tensor in batch.items()}
        places = {prompt: at for at, prompt in enumerate(different)}
        which = torch.tensor([places[prompt] for prompt in some], device=language.model.device)
        written = language.model.generate(
            input_ids=batch["input_ids"][which],
            attention_mask=batch["attention_mask"][which],
            generation_config=GenerationConfig(
                max_new_tokens=length,
                do_sample=True,
                top_k=0,
                top_p=1.0,
                temperature=1.0,
                eos_token_id=language.tokenizer.eos_token_id,
                pad_token_id=language.tokenizer.eos_token_id,
            ),
            **_read_before(language.model, batch, which),
        )
        found += written[:, batch["input_ids"].shape[1] :].tolist()
    return found


def _read_before(
    model: PreTrainedModel, batch: Mapping[str, torch.Tensor], which: torch.Tensor
) -> dict[str, Any]:
    """Keys and values of the prompts but for their last token, for each that `which` names.

    Nothing where few prompts repeat, or where a model keeps none that could be copied: it then
    reads every repeat by itself.
    """
    fewest = int(batch["attention_mask"].sum(1).min())
    if 2 * len(batch["input_ids"]) > len(which) or fewest < 2:
        return {}
    try:
        begun = {name: tensor[:, :-1] for name, tensor in batch.items()}
        read = model(**begun, use_cache=True, **keeping(model, 1))
        read.cache.batch_select_indices(which)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError):
        return {}
    return {"cache": read.cache}
