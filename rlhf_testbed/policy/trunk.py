"""What a model's frozen first layers make of a text is remembered, so that it is computed once.

    trunk = grown(model, depth=22, memory)    22 of 30 layers, which training leaves as they are
    model(**prompts)                          all 30 layers, once
    model(**prompts)                          the last 8: the first 22 would say the same again

With LoRA on the last layers, the policy, its reference and all of its checkpoints have one trunk:
of a prompt that comes again, of each pass of an update and of each checkpoint that is scored, only
the top is computed. Each text is read by itself, so that what is remembered does not depend on what
it was read beside. A model whose layers can't be left out, tried on a few tokens, is read whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import PreTrainedModel

MOST_BYTES = 4 * 2**30
"""What a memory holds at most; the oldest is forgotten first."""
ALIKE, ALIKE_IN_HALF = 1e-4, 5e-2
"""By how much hidden states differ at most that are the same but for rounding."""
LEAST = 4
"""Layers of a trunk: of fewer, looking up takes as long as computing."""


class Read(NamedTuple):
    """What a trunk made of one text."""

    states: torch.Tensor
    """After its last layer: [tokens, size]."""
    cached: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    """Each layer's keys and values, [heads, tokens, size of a head]; empty where not asked for."""

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        tensors = [self.states, *(each for pair in self.cached for each in pair)]
        return sum(each.numel() * each.element_size() for each in tensors)


class Memory:
    """What one trunk made of texts, for all models that have it."""

    def __init__(self) -> None:
        self.known: dict[bytes, Read] = {}
        self.bytes = 0

    def keep(self, key: bytes, read: Read) -> None:
        """Remembers; forgets the oldest where there is too much."""
        self.forget(key)
        self.known[key] = read
        self.bytes += read.bytes
        while self.bytes > MOST_BYTES and len(self.known) > 1:
            self.forget(next(iter(self.known)))

    def forget(self, key: bytes) -> None:
        """Forgets one, where it is known."""
        if key in self.known:
            self.bytes -= self.known.pop(key).bytes


class Trunk:
    """The first `depth` layers of a model, left out where it is known what they make of a text."""

    def __init__(self, model: PreTrainedModel, depth: int, memory: Memory) -> None:
        self.depth, self.memory = depth, memory
        self.backbone: Any = getattr(model, model.base_model_prefix)
        self.whole: Callable[..., Any] = self.backbone.forward
        self.part = ""
        """Which layers are run: `trunk`, `top`, or all of them."""
        self.states: torch.Tensor | None = None
        """After the trunk: found by a pass of the trunk, or given to one of the top."""
        self.steps: list[torch.Tensor] | None = None
        """States of the tokens that are read one by one, while somebody watches."""
        self.inner = [layer.forward for layer in layers_of(model)]

    def install(self, model: PreTrainedModel) -> None:
        """From now on the model's passes go by the memory."""
        for at, layer in enumerate(layers_of(model)):
            layer.forward = self._layer(at, layer.forward)
        self.backbone.forward = self._forward

    def remove(self, model: PreTrainedModel) -> None:
        """Leaves the model as it was."""
        for layer, inner in zip(layers_of(model), self.inner, strict=True):
            layer.forward = inner
        self.backbone.forward = self.whole

    @contextmanager
    def watched(self) -> Iterator[list[torch.Tensor]]:
        """The trunk's states of all tokens that are read one by one: [texts, 1, size] each."""
        self.steps = []
        try:
            yield self.steps
        finally:
            self.steps = None

    def written(
        self,
        prompts: torch.Tensor,
        mask: torch.Tensor,
        tokens: torch.Tensor,
        kept: torch.Tensor,
        steps: Sequence[torch.Tensor],
    ) -> list[bytes]:
        """Remembers prompts [texts, tokens] with what was written, from the steps that read it.

        `kept`: which of the written tokens [texts, tokens] belong to a text. Returns the keys, so
        that they can be forgotten.
        """
        if not steps:
            return []
        after = torch.cat(list(steps), dim=1)
        keys = []
        for row, prompt in enumerate(prompts):
            real = prompt[mask[row].bool()]
            count = int(kept[row, : after.shape[1]].sum())
            known = self.memory.known.get(_key(real))
            if known is None:
                continue
            keys.append(_key(torch.cat([real, tokens[row, :count]])))
            self.memory.keep(keys[-1], Read(torch.cat([known.states, after[row, :count]]), ()))
        return keys

    def _layer(self, at: int, inner: Callable[..., Any]) -> Callable[..., Any]:
        last = self.depth - 1

        def forward(hidden_states: torch.Tensor, *given: Any, **named: Any) -> Any:
            if self.part == "trunk" and at > last:
                return hidden_states
            if self.part == "top" and at <= last:
                return self.states if at == last else hidden_states
            found = inner(hidden_states, *given, **named)
            if at == last:
                if self.part == "trunk":
                    self.states = found
                elif self.steps is not None and found.shape[1] == 1:
                    self.steps.append(found.detach())
            return found

        return forward

    def _forward(self, *given: Any, **named: Any) -> Any:
        """A pass of the model's layers; by the memory where it reads texts from their beginning."""
        texts = None if given or self.part else _texts(named)
        if texts is None:
            return self.whole(*given, **named)
        caches = bool(named.get("use_cache"))
        read = [self._read(text, caches) for text in texts]
        first = read[0].states
        length = texts[0].length
        states = first.new_zeros(len(read), length, first.shape[-1])
        for row, (text, one) in enumerate(zip(texts, read, strict=True)):
            states[row, text.places] = one.states
        found = self._part("top", states, named)
        if caches:
            for layer in range(self.depth):
                found.cache.update(*_joined([each.cached[layer] for each in read], texts), layer)
        return found

    def _part(self, part: str, states: torch.Tensor | None, named: dict[str, Any]) -> Any:
        self.part, self.states = part, states
        try:
            return self.whole(**named)
        finally:
            self.part = ""

    @torch.no_grad()
    def _read(self, text: _Text, caches: bool) -> Read:
        """What the trunk makes of one text, remembered or read now."""
        known = self.memory.known.get(text.key)
        if known is not None and (known.cached or not caches):
            return known
        found = self._part("trunk", None, {**text.alone, "use_cache": caches})
        assert self.states is not None
        cached = tuple(
            (layer.keys[0].clone(), layer.values[0].clone())
            for layer in (found.cache.layers[: self.depth] if caches else ())
        )
        read = Read(self.states[0].detach().clone(), cached)
        self.memory.keep(text.key, read)
        return read


class _Text(NamedTuple):
    """One row of a pass."""

    key: bytes
    alone: dict[str, torch.Tensor]
    """The arguments of a pass that reads it by itself."""
    places: torch.Tensor
    """Where its tokens are in the row."""
    length: int
    """Tokens of the row, padding included."""


def grown(model: PreTrainedModel, depth: int, memory: Memory) -> Trunk | None:
    """A trunk of so many layers, installed; none where the model can't be read in two parts."""
    if depth < LEAST or depth >= len(layers_of(model)):
        return None
    device = model.device
    ids = torch.tensor([[0, 1, 2, 1, 2], [2, 2, 1, 2, 1]], device=device)
    mask = torch.ones_like(ids)
    mask[0, 0] = 0
    asked = {"input_ids": ids, "attention_mask": mask, "position_ids": mask.cumsum(1) - mask}
    with torch.no_grad():
        before = _tried(model, asked)
        trunk = Trunk(model, depth, Memory())
        trunk.install(model)
        try:
            same = all(map(_alike, before, _tried(model, asked)))
        except Exception:  # whatever a model of another make says to being read in parts
            same = False
    if not same:
        trunk.remove(model)
        return None
    trunk.memory = memory
    return trunk


def share_trunk(base: PreTrainedModel, other: PreTrainedModel) -> None:
    """Lets a model that was trained from a base policy read with that one's memory, as far as their
    first layers are the same."""
    depth = common_layers(base, other)
    trunk = _GROWN.get(base)
    if trunk is None:
        trunk = grown(base, depth, Memory())
        if trunk is None:
            return
        _GROWN[base] = trunk
    if depth >= trunk.depth:
        grown(other, trunk.depth, trunk.memory)


_GROWN: WeakKeyDictionary[PreTrainedModel, Trunk] = WeakKeyDictionary()
"""Trunks of base policies, for as long as there are these."""


def frozen_layers(model: PreTrainedModel) -> int:
    """How many layers, from the first, training leaves as they are; none where it changes the
    words that the model reads."""
    ends = [*model.get_input_embeddings().parameters()]
    if any(each.requires_grad for each in ends):
        return 0
    return _leading(
        not any(each.requires_grad for each in layer.parameters()) for layer in layers_of(model)
    )


@torch.no_grad()
def common_layers(one: PreTrainedModel, other: PreTrainedModel) -> int:
    """How many layers, from the first, two models have in common, the words that they read too."""
    ends = (one.get_input_embeddings().weight, other.get_input_embeddings().weight)
    if not _equal(*ends):
        return 0
    pairs = zip(layers_of(one), layers_of(other), strict=True)
    return _leading(_same_layer(*pair) for pair in pairs)


def layers_of(model: PreTrainedModel) -> Sequence[Any]:
    """The layers of a model that follow each other; none where they are not found."""
    count = model.config.get_text_config().num_hidden_layers
    backbone = getattr(model, model.base_model_prefix, model)
    lists = [each for each in backbone.modules() if isinstance(each, torch.nn.ModuleList)]
    return next((list(each) for each in lists if len(each) == count), [])


def _same_layer(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    if any(isinstance(each, BaseTunerLayer) for layer in (one, other) for each in layer.modules()):
        return False
    mine, its = one.state_dict(), other.state_dict()
    return mine.keys() == its.keys() and all(_equal(mine[name], its[name]) for name in mine)


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and one.device == other.device and torch.equal(one, other)


def _leading(same: Iterator[bool]) -> int:
    count = 0
    for each in same:
        if not each:
            break
        count += 1
    return count


def _texts(named: dict[str, Any]) -> list[_Text] | None:
    """The rows of a pass; none where it doesn't read texts of tokens from their beginning."""
    ids, mask, cache = named.get("input_ids"), named.get("attention_mask"), named.get("cache")
    if ids is None or (cache is not None and cache.get_seq_length()):
        return None
    if named.get("inputs_embeds") is not None or not isinstance(mask, torch.Tensor):
        return None
    positions = named.get("position_ids")
    if positions is None:
        return None
    positions = positions.expand(len(ids), -1)
    if mask.dim() == 4:
        return _of_trees(ids, mask, positions)
    if not torch.equal(positions * mask, (mask.cumsum(1) - mask) * mask):
        return None
    found = []
    for row, real in zip(ids, mask.bool(), strict=True):
        tokens, places = row[real], real.nonzero()[:, 0]
        count = torch.arange(len(tokens), device=ids.device)[None]
        alone = {
            "input_ids": tokens[None],
            "attention_mask": torch.ones_like(count),
            "position_ids": count,
        }
        found.append(_Text(_key(tokens), alone, places, len(row)))
    return found


def _of_trees(ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor) -> list[_Text]:
    """Rows with a mask of their own, which belongs to what was read."""
    places = torch.arange(ids.shape[1], device=ids.device)
    found = []
    for row in range(len(ids)):
        reads = (mask[row] == 0).to(torch.uint8)
        alone = {
            "input_ids": ids[row : row + 1],
            "attention_mask": mask[row : row + 1],
            "position_ids": positions[row : row + 1],
        }
        found.append(_Text(_key(ids[row], positions[row], reads), alone, places, ids.shape[1]))
    return found


def _key(*tensors: torch.Tensor) -> bytes:
    """What tells one text from another."""
    parts = [each.cpu().contiguous().numpy().tobytes() for each in tensors]
    return hashlib.blake2b(b"".join(parts), digest_size=16).digest()


def _joined(
    pairs: Sequence[tuple[torch.Tensor, torch.Tensor]], texts: Sequence[_Text]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys and values [texts, heads, tokens, size] of texts, padded where they were."""
    found = []
    for which in (0, 1):
        first = pairs[0][which]
        all_ = first.new_zeros(len(pairs), len(first), texts[0].length, first.shape[-1])
        for row, (pair, text) in enumerate(zip(pairs, texts, strict=True)):
            all_[row, :, text.places] = pair[which]
        found.append(all_)
    return found[0], found[1]


def _tried(model: PreTrainedModel, asked: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """Logits of whole texts, and of a token after them that is read by itself."""
    whole = model(**asked, use_cache=False).logits
    begun = model(**asked, use_cache=True)
    mask = torch.cat([asked["attention_mask"], asked["attention_mask"][:, -1:]], dim=1)
    then = model(
        input_ids=asked["input_ids"][:, -1:],
        attention_mask=mask,
        position_ids=asked["position_ids"][:, -1:] + 1,
        cache=begun.cache,
        use_cache=True,
    )
    return [whole[:, 1:], begun.logits[:, 1:], then.logits]


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    most = ALIKE if one.dtype == torch.float32 else ALIKE_IN_HALF
    return one.shape == other.shape and torch.allclose(one, other, rtol=most, atol=most)
