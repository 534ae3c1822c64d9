"""A model in a GGUF file: read like any other, for an overseer and for a policy, or refused."""

from __future__ import annotations

from pathlib import Path
from string import ascii_lowercase

import gguf
import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from conftest import SMALL
from rlhf_testbed.judging.language_judge import yes_or_no
from rlhf_testbed.policy import language as language_model
from rlhf_testbed.policy.base_policy import ensure_base_policy, load_base_policy
from rlhf_testbed.policy.language import load_language
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.shared.errors import UsageError

WIDTH, HEADS, WORDS = (
    32,
    2,
    ["<end>", *ascii_lowercase, "Ġ", "ye", "yes", "no", "Ġyes", "Ġno"],
)
MERGES = ["y e", "ye s", "n o", "Ġ yes", "Ġ no"]


def _interleaved(weight: torch.Tensor) -> torch.Tensor:
    """A query's or key's weights in the order that the file's rotary positions ask for."""
    halves = weight.reshape(HEADS, 2, WIDTH // HEADS // 2, WIDTH)
    return halves.swapaxes(1, 2).reshape(WIDTH, WIDTH)


def _names(name: str) -> str:
    """A tensor's name in the file."""
    for ours, theirs in {
        "model.layers.": "blk.",
        "self_attn.o_proj": "attn_output",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "post_attention_layernorm": "ffn_norm",
        "input_layernorm": "attn_norm",
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "lm_head": "output",
    }.items():
        name = name.replace(ours, theirs)
    return name


@pytest.fixture
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=WIDTH,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=HEADS,
        max_position_embeddings=64,
        initializer_range=0.5,
        eos_token_id=0,
        bos_token_id=None,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture
def file(model: LlamaForCausalLM, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(48)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(model.config.rms_norm_eps)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(WORDS))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(WORDS)
    writer.add_token_merges(MERGES)
    writer.add_token_types([3, *[1] * (len(WORDS) - 1)])
    writer.add_eos_token_id(0)
    for name, weight in model.state_dict().items():
        turned = _interleaved(weight) if "q_proj" in name or "k_proj" in name else weight
        writer.add_tensor(_names(name), turned.numpy().astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_its_weights_and_words_are_the_models(model: LlamaForCausalLM, file: Path) -> None:
    language = load_language(str(file))
    ids = torch.tensor([language.prompt_ids("yes no no")])
    yes, no = (WORDS.index(word) for word in ("Ġyes", "Ġno"))
    assert ids.tolist() == [[WORDS.index("yes"), no, no]]
    with torch.no_grad():
        torch.testing.assert_close(language.model(ids).logits, model(ids).logits)
        chances = model(ids).logits[0, -1].softmax(-1)
    share = (chances[yes] / (chances[yes] + chances[no])).item()
    assert yes_or_no(str(file))(["yes no no"]) == [pytest.approx(share, abs=1e-5)]


def test_a_policy_can_start_from_it(file: Path, tmp_path: Path) -> None:
    """As a base policy that learns nothing: saved like any other, and trained from there."""
    run = parse_run([*SMALL, "--model", str(file), "--base_steps", "0"])
    base = ensure_base_policy(run, lambda step: None)
    saved, read = load_base_policy(base).model, load_language(str(file)).model
    assert saved.state_dict().keys() == read.state_dict().keys()
    for name, weight in read.state_dict().items():
        torch.testing.assert_close(saved.state_dict()[name], weight)
    assert {weight.requires_grad for weight in read.parameters()} == {True}


def test_what_cannot_be_read_is_named(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"^model nowhere\.gguf: no such file"):
        load_language("nowhere.gguf")
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(file.read_bytes()[:200])
    with pytest.raises(UsageError, match=r"^overseer language_model: model .*can't be loaded \("):
        yes_or_no(str(damaged))
    monkeypatch.setattr(language_model, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"not installed \(pip install 'rlhf-testbed\[gguf\]'\)$"):
        load_language(str(file))
