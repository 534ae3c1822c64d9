"""Models cut short: the last layer's perceptron and the output layer at the last tokens only.

    narrow = Narrow([policy, value_model])
    with narrow.to(6):
        policy(**prompts_and_responses).logits    [64, 6, words] instead of [64, 23, words]

Attention mixes tokens; all that comes after the last attention works on each token by itself, and
what it makes of a prompt's tokens is read by nothing. A layer is cut short where it is made as
Llama's is and, tried on a few tokens, gives what it gave before; any other stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft import PeftModel
from transformers import GenerationConfig, PreTrainedModel

from rlhf_testbed.selection.sampling import sampled

SAME, SAME_IN_HALF = 1e-4, 1e-2
"""By how much numbers differ at most that are the same but for rounding; of each, and in all."""
PARTS = ("self_attn", "mlp", "input_layernorm", "post_attention_layernorm")
"""What a layer that can be cut short is made of, and of nothing else."""


class Narrow:
    """The models of one training, which can be cut short while they are read."""

    def __init__(self, models: Iterable[torch.nn.Module]) -> None:
        self.tokens: int | None = None
        for model in models:
            self._prepare(model)

    @contextmanager
    def to(self, tokens: int) -> Iterator[None]:
        """While this lasts only the last `tokens` tokens are carried to the end."""
        self.tokens = tokens
        try:
            yield
        finally:
            self.tokens = None

    def cut(self, hidden: torch.Tensor) -> torch.Tensor:
        """Hidden states [rows, tokens, size] of the tokens that are wanted."""
        return hidden if self.tokens is None else hidden[:, -self.tokens :]

    @torch.no_grad()
    def _prepare(self, model: torch.nn.Module) -> None:
        """Makes a model's last layer and its output layer ones that can be cut short."""
        inner: Any = model.get_base_model() if isinstance(model, PeftModel) else model
        backbone = getattr(inner, inner.base_model_prefix)
        layers: list[Any] = [each for each in backbone.modules() if _made_alike(each)]
        if layers:
            before = _states(backbone)
            whole, layers[-1].forward = layers[-1].forward, _forward(self, layers[-1])
            with self.to(2):
                after = _states(backbone)
            if not same(before[:, -2:], after):
                layers[-1].forward = whole
        causal = isinstance(inner, PreTrainedModel)
        output = inner.get_output_embeddings() if causal else None
        if output is not None:
            output.register_forward_pre_hook(lambda _, given: (self.cut(given[0]), *given[1:]))


def samples_alike(model: Any) -> bool:
    """Whether `sampled` draws from a model what its own `generate` draws, tried on two prompts."""
    ids, mask = short_prompts(model)
    never = model.get_input_embeddings().weight.shape[0]  # an end that nobody can draw
    told = GenerationConfig(
        max_new_tokens=3, do_sample=True, top_k=0, top_p=1.0, temperature=1.0, eos_token_id=never
    )
    asked = {"generation_config": told, "return_dict_in_generate": True, "output_scores": True}
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        there = model.generate(input_ids=ids, attention_mask=mask, **asked)
        torch.manual_seed(0)
        try:
            tokens, logits = sampled(model, ids, mask, length=3, temperature=1.0, end=never)
        except Exception:  # whatever a model of another make says to being read in steps
            return False
    drawn, scores = there.sequences[:, ids.shape[1] :], torch.stack(there.scores, dim=1)
    return torch.equal(drawn, tokens) and same(scores, logits)


def _made_alike(module: torch.nn.Module) -> bool:
    return {name for name, _ in module.named_children()} == set(PARTS)


def _forward(narrow: Narrow, layer: Any) -> Callable[..., torch.Tensor]:
    """A layer of those parts that carries on after its attention what is wanted, and no more."""

    def forward(hidden_states: torch.Tensor, *given: Any, **named: Any) -> torch.Tensor:
        attended, _ = layer.self_attn(layer.input_layernorm(hidden_states), *given, **named)
        hidden = narrow.cut(hidden_states + attended)
        found: torch.Tensor = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
        return found

    return forward


def _states(backbone: torch.nn.Module) -> torch.Tensor:
    """The last hidden states of a few tokens: [prompts, tokens, size]."""
    ids, mask = short_prompts(backbone)
    read = backbone(input_ids=ids, attention_mask=mask, use_cache=False, output_hidden_states=True)
    found: torch.Tensor = read.hidden_states[-1]
    return found


def short_prompts(model: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Two prompts of different lengths, padded at the left, and their mask."""
    device = next(model.parameters()).device
    ids = torch.tensor([[0, 1, 2, 1, 2], [2, 2, 1, 2, 1]], device=device)
    mask = torch.ones_like(ids)
    mask[0, 0] = 0
    return ids, mask


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors are the same but for rounding."""
    most = SAME if one.dtype == torch.float32 else SAME_IN_HALF
    return one.shape == other.shape and torch.allclose(one, other, rtol=most, atol=most)
