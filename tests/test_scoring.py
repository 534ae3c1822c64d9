"""Exact scoring: the tree of responses says what response by response says, of any model."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from rlhf_testbed.policy import scoring, teacher_forcing
from rlhf_testbed.policy.language import Language, small_language
from rlhf_testbed.policy.scoring import response_log_probabilities, sampled_responses
from rlhf_testbed.policy.tree import PrefixTree, prefix_trees
from rlhf_testbed.shared.arrays import Floats
from rlhf_testbed.tasks.base import Dials
from rlhf_testbed.tasks.corridor import Corridor

PROMPTS = [scenario.prompt for scenario in Corridor().scenarios(Dials(randomised=1), 0, "train", 5)]
RESPONSES = [*list(Corridor().responses)[::3], "left", "left walk", "left walk", "right jump jump"]
"""Some begin others, and one is there twice."""
SHORT = [PROMPTS[0], *(" ".join(prompt.split()[: 4 + at]) for at, prompt in enumerate(PROMPTS))]
"""Prompts of different lengths."""


@cache
def words() -> Any:
    return small_language([*PROMPTS, *RESPONSES], 0).tokenizer


def tiny(kind: str, implementation: str = "eager", **more: Any) -> Language:
    """A random model of that kind, whose weights are large enough to prefer something."""
    wanted = {
        "vocab_size": len(words()),
        **dict.fromkeys(("hidden_size", "word_embed_proj_dim", "n_embd", "d_model"), 32),
        **dict.fromkeys(("intermediate_size", "ffn_dim"), 64),
        **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers"), 2),
        **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_key_value_heads"), 2),
        **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len"), 128),
        "eos_token_id": words().eos_token_id,
        "pad_token_id": words().pad_token_id,
        "bos_token_id": None,
    }
    if kind in ("gemma2", "gemma3_text"):
        wanted["head_dim"] = 16
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **(wanted | more))
    model = AutoModelForCausalLM.from_config(config, attn_implementation=implementation).eval()
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1:
                weights.mul_(3)
    return Language(model, words())


@torch.no_grad()
def one_by_one(language: Language, prompts: Sequence[str], responses: Sequence[str]) -> Floats:
    """Each prompt and response read alone, from the beginning: no padding, mask, cache or batch."""
    found = np.zeros((len(prompts), len(responses)))
    for row, prompt in enumerate(prompts):
        for column, response in enumerate(responses):
            question, answer = language.prompt_ids(prompt), language.response_ids(response)
            ids = torch.tensor([question + answer])
            logs = language.model(input_ids=ids).logits[0].double().log_softmax(-1)
            places = range(len(question) - 1, ids.shape[1] - 1)
            found[row, column] = sum(
                float(logs[at, token]) for at, token in zip(places, answer, strict=True)
            )
    return found


def by_trees(language: Language) -> bool:
    """Whether the model was found to be able to read trees."""
    return scoring._TRIED[language.model].works


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen2", "opt", "gpt_neox", "phi", "olmo2"])
def test_a_tree_says_what_one_by_one_says(kind: str, implementation: str) -> None:
    language = tiny(kind, implementation)
    for prompts in (PROMPTS, SHORT):
        found = response_log_probabilities(language, prompts, RESPONSES)
        assert by_trees(language)
        expected = one_by_one(language, prompts, RESPONSES)
        assert expected.std() > 1
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("mistral", {"sliding_window": 8}),
        ("gemma2", {"sliding_window": 8}),
        ("gemma3_text", {"sliding_window": 8}),
        ("bloom", {}),
        ("mpt", {}),
        ("falcon", {"alibi": True}),
        ("mamba", {}),
        ("rwkv", {}),
    ],
    ids=lambda what: what if isinstance(what, str) else "",
)
def test_a_model_that_cannot_read_trees_is_scored_all_the_same(
    kind: str, more: dict[str, Any]
) -> None:
    """Windows, distances instead of positions, and models that go through a text step by step."""
    language = tiny(kind, **more)
    found = response_log_probabilities(language, SHORT, RESPONSES)
    assert not by_trees(language)
    expected = one_by_one(language, SHORT, RESPONSES)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


def test_a_window_that_ends_later_is_noticed_when_it_does() -> None:
    """Short prompts lie within the window; a longer one is tried once more."""
    language = tiny("mistral", sliding_window=14)
    few = [" ".join(prompt.split()[:6]) for prompt in PROMPTS]
    near = response_log_probabilities(language, few, RESPONSES)
    assert by_trees(language)
    far = response_log_probabilities(language, PROMPTS, RESPONSES)
    assert not by_trees(language)
    np.testing.assert_allclose(near, one_by_one(language, few, RESPONSES), atol=1e-5)
    np.testing.assert_allclose(far, one_by_one(language, PROMPTS, RESPONSES), atol=1e-5)


def test_a_model_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    language, tried = tiny("llama"), []
    whole = scoring._alike
    monkeypatch.setattr(scoring, "_alike", lambda *told: tried.append(1) or whole(*told))
    for prompts in (PROMPTS, SHORT, PROMPTS[:1]):
        response_log_probabilities(language, prompts, RESPONSES)
    assert len(tried) == 1
    gone = weakref.ref(language.model)
    del language
    gc.collect()
    assert gone() is None, "what was tried keeps the model in memory"


class Spied:
    """Counts what a model gives in one pass."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.most_logits = self.most_tokens = self.passes = 0
        model.register_forward_hook(self._seen, with_kwargs=True)

    def _seen(self, _: object, args: object, told: dict[str, Any], given: Any) -> None:
        self.passes += 1
        self.most_logits = max(self.most_logits, given.logits.numel())
        self.most_tokens = max(self.most_tokens, told["input_ids"].numel())


@pytest.mark.parametrize("kind", ["llama", "bloom"])
def test_what_is_in_memory_is_bounded_and_settles_nothing(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In small pieces, of trees or of prompts and responses, the figures are the same."""
    language = tiny(kind)
    whole = response_log_probabilities(language, SHORT, RESPONSES)
    longest = max(len(language.prompt_ids(prompt)) for prompt in SHORT)
    limit = 30 * len(words())
    for module in (scoring, teacher_forcing):
        monkeypatch.setattr(module, "MOST_LOGITS", limit)
    monkeypatch.setattr(scoring, "MOST_TOKENS", {"cpu": 60})
    other = tiny(kind)
    response_log_probabilities(other, SHORT, RESPONSES)  # trying takes two prompts at once
    spied = Spied(other.model)
    found = response_log_probabilities(other, SHORT, RESPONSES)
    np.testing.assert_allclose(found, whole, rtol=0, atol=1e-5)
    assert 0 < spied.most_logits <= limit
    if kind == "llama":
        assert spied.passes > len(RESPONSES) * len(SHORT) / 30
        assert spied.most_tokens <= longest + 30  # one prompt with its tree


def test_half_precision_is_read_as_trees_too() -> None:
    """What differs there is rounding, by which the plain way differs from itself."""
    language = Language(tiny("llama").model.bfloat16(), words())
    found = response_log_probabilities(language, SHORT, RESPONSES)
    assert by_trees(language)
    exact = one_by_one(Language(language.model.float(), words()), SHORT, RESPONSES)
    assert 0 < np.abs(found - exact).max() < 0.5


def test_responses_of_one_token_need_no_tree() -> None:
    language = tiny("llama")
    ends = PrefixTree.of([[1]], [0])
    assert (len(ends.tokens), ends.edge_from.tolist(), ends.edge_to.tolist()) == (0, [0], [1])
    found = response_log_probabilities(language, SHORT, [""])
    np.testing.assert_allclose(found, one_by_one(language, SHORT, [""]), atol=1e-5)


def test_a_tree_by_hand() -> None:
    """Of [3 4 1], [3 4] and [3 5 1]: nodes 3, 3 4 and 3 5; the second ends where a node is."""
    tree = PrefixTree.of([[3, 4, 1], [9], [3, 4], [3, 5, 1]], [0, 2, 3])
    assert tree.responses.tolist() == [0, 2, 3]
    assert tree.tokens.tolist() == [3, 4, 5]
    assert tree.depths.tolist() == [0, 1, 1]
    assert tree.sees.tolist() == [[True, False, False], [True, True, False], [True, False, True]]
    assert tree.edge_from.tolist() == [0, 1, 2, 1, 3]
    assert tree.edge_to.tolist() == [3, 4, 1, 5, 1]
    assert tree.paths.tolist() == [[0, 1, 2], [0, 1, 5], [0, 3, 4]]


ANSWERS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=30)


@given(ANSWERS, st.integers(1, 12))
def test_trees_spell_every_response_once_within_their_size(
    answers: list[list[int]], most: int
) -> None:
    trees = prefix_trees(answers, most)
    assert sorted(at for tree in trees for at in tree.responses) == list(range(len(answers)))
    for tree in trees:
        assert len(tree.tokens) <= most or len({*map(tuple, told(answers, tree))}) == 1
        for response, path in zip(tree.responses, tree.paths, strict=True):
            edges = [edge for edge in path if edge < len(tree.edge_to)]
            assert [int(tree.edge_to[edge]) for edge in edges] == answers[response]
            for depth, edge in enumerate(edges):
                row = int(tree.edge_from[edge])
                seen = tree.tokens[tree.sees[row - 1]].tolist() if row else []
                assert seen == answers[response][:depth]


def told(answers: list[list[int]], tree: PrefixTree) -> list[list[int]]:
    """The responses of a tree."""
    return [answers[at] for at in tree.responses]


def test_corridors_tree_has_242_nodes() -> None:
    language = small_language([*PROMPTS, *Corridor().responses], 0)
    answers = [language.response_ids(response) for response in Corridor().responses]
    assert sum(map(len, answers)) == 972
    (tree,) = prefix_trees(answers, 1000)
    assert len(tree.tokens) == 2 + 6 + 18 + 54 + 162
    sizes = [len(tree.tokens) for tree in prefix_trees(answers, 96)]
    assert len(sizes) == 3
    assert sum(sizes) < 1.1 * 242


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("llama", {}),
        ("gpt2", {}),
        ("opt", {}),
        ("mistral", {"sliding_window": 8}),
        ("bloom", {}),
        ("mamba", {}),
    ],
    ids=lambda what: what if isinstance(what, str) else "",
)
def test_a_prompt_that_repeats_is_read_once_and_answered_the_same(
    kind: str, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same draws as where every repeat is read by itself."""
    language = tiny(kind, **more)
    repeated = [prompt for prompt in SHORT for _ in range(20)]
    spied = Spied(language.model)
    found = sampled_responses(language, repeated, 6, seed=3, batch_size=64)
    once = spied.most_tokens
    monkeypatch.setattr(scoring, "_read_before", lambda *_: {})
    assert found == sampled_responses(language, repeated, 6, seed=3, batch_size=64)
    assert len(set(found)) > 30
    if kind != "mamba":  # it keeps nothing that could be copied
        assert spied.most_tokens > 5 * once
