"""A prompt that is read once for all of its completions gives what whole sequences give."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from rlhf_testbed.selection import reading
from rlhf_testbed.selection.narrow import Narrow
from rlhf_testbed.selection.reading import Written


def _model() -> Any:
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=20, num_attention_heads=2, **shape))


def _written(tokens: int) -> Written:
    """Three prompts of different lengths, with two, one and three completions."""
    prompts = torch.randint(2, 20, (3, 9))
    mask = torch.ones_like(prompts)
    mask[0, :4], mask[2, :1] = 0, 0
    of = torch.tensor([0, 2, 0, 1, 2, 2])
    return Written(prompts, mask, of, torch.randint(2, 20, (6, tokens)))


@pytest.mark.parametrize("tokens", [1, 2, 5])
def test_logits_and_every_gradient_are_those_of_whole_sequences(tokens: int) -> None:
    model = _model()
    narrow, written = Narrow([model]), _written(tokens)
    weights = torch.randn(6, tokens, 20)
    found = []
    for read in (reading.whole, reading.shared):
        logits = read(model, written, narrow)
        found.append((logits, *torch.autograd.grad((logits * weights).sum(), model.parameters())))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    assert reading.alike(model, narrow)


def test_some_completions_are_read_by_themselves() -> None:
    model = _model()
    narrow, written = Narrow([model]), _written(4)
    some = reading.shared(model, written.some([4, 1]), narrow)
    torch.testing.assert_close(some, reading.whole(model, written, narrow)[[4, 1]])


class _Broken(torch.nn.Module):
    """A model whose keys and values are cut off, or lost, or shifted."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.inner, self.how = _model(), how
        self.device = torch.device("cpu")

    def forward(self, **given: Any) -> Any:
        cache = given.get("cache")
        if cache is not None and self.how == "cut off":
            for layer in cache.layers:
                layer.keys, layer.values = layer.keys.detach(), layer.values.detach()
        if cache is not None and self.how == "shifted":
            given["position_ids"] = given["position_ids"] + 1
        read = self.inner(**given)
        if self.how == "lost":
            read.cache = None
        return read


@pytest.mark.parametrize("how", ["cut off", "shifted", "lost"])
def test_a_model_that_reads_otherwise_in_two_parts_is_noticed(how: str) -> None:
    model = _Broken(how)
    assert not reading.alike(model, Narrow([model.inner]))
