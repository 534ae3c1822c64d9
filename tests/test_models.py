"""Any causal language model can be trained, and what can't be a policy is refused in one line."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
)

from conftest import SMALL
from rlhf_testbed.evaluation.evaluate import evaluate
from rlhf_testbed.policy.base_policy import ensure_base_policy
from rlhf_testbed.policy.language import load_language, small_language
from rlhf_testbed.selection.grpo import GRPO
from rlhf_testbed.selection.job import starting_from, train
from rlhf_testbed.selection.ppo import PPO
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store import ledger
from rlhf_testbed.tasks.base import Dials, Verdict
from rlhf_testbed.tasks.corridor import Corridor

pytestmark = pytest.mark.slow

FEW = ["--total_episodes", "32", "--base_steps", "5", "--checkpoint_every", "1"]
KINDS = (
    "llama gpt2 opt qwen2 qwen3 olmo2 phi3 smollm3 granite gemma2 gpt_neox mistral bloom".split()
)


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    task = Corridor()
    texts = [s.prompt for s in task.scenarios(Dials(randomised=1), 0, "train", 300)]
    return small_language([*texts, *task.responses], 0).tokenizer  # type: ignore[return-value]


@cache
def letters() -> Qwen2Tokenizer:
    """For Qwen2, which transformers reads with a byte-level tokenizer whatever the folder says."""
    signs = [*sorted(ByteLevel.alphabet()), "<|endoftext|>"]
    return Qwen2Tokenizer(vocab={sign: at for at, sign in enumerate(signs)}, merges=[])


def saved(folder: Path, kind: str, words: Any = None, **more: Any) -> Path:
    """A tiny model of that kind on disk, with a tokenizer that knows corridor's words."""
    words = words or tokenizer()
    wanted = {
        "vocab_size": len(words),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 64,
        "ffn_dim": 64,
        "word_embed_proj_dim": 32,
        "n_head": 2,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
        "bos_token_id": None,
    }
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **(wanted | more))
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def _words(folder: Path, model: Path, *more: str) -> list[str]:
    return [
        *SMALL,
        "--arm",
        "both",
        *FEW,
        "--output_dir",
        str(folder),
        "--model",
        str(model),
        *more,
    ]


@pytest.mark.parametrize("lora", [False, True], ids=["all weights", "lora"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_causal_language_model_trains_and_is_measured(
    kind: str, lora: bool, tmp_path: Path
) -> None:
    peft = ["--use_peft", "true", "--lora_r", "4"] if lora else []
    byte_level = {"words": letters(), "max_position_embeddings": 512} if kind == "qwen2" else {}
    model = saved(tmp_path / "model", kind, **byte_level)
    run = train(parse_run(_words(tmp_path / "run", model, *peft)), lambda step: None)
    rows = ledger.read(run.ledger)
    first = [row.kl for row in rows if row.update == 1]
    assert first == pytest.approx([0.0] * 16, abs=1e-4)
    assert AutoConfig.from_pretrained(run.policy).model_type == kind
    measures = evaluate(run)
    assert 0 <= measures.figure("threat_2") < 20


@pytest.mark.parametrize("lora", [False, True], ids=["all weights", "lora"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_shared_learner_reads_and_trains_it(kind: str, lora: bool, tmp_path: Path) -> None:
    """GRPO's, RLOO's, expert iteration's and RAFT's: what was sampled is read again as it was
    written, each prompt once or in whole sequences, and a step changes the policy."""
    peft = ["--use_peft", "true", "--lora_r", "4"] if lora else []
    byte_level = {"words": letters(), "max_position_embeddings": 512} if kind == "qwen2" else {}
    model = saved(tmp_path / "model", kind, **byte_level)
    grpo = ["--method", "grpo", "--num_generations", "4", "--beta", "0"]
    run = parse_run(_words(tmp_path / "run", model, *grpo, *peft))
    method = GRPO(starting_from(run, ensure_base_policy(run)))
    drawn, learner = method.sample(1), method.learner
    assert drawn.kl == pytest.approx([0.0] * 16, abs=1e-3)
    again = learner.log_probs(drawn)
    torch.testing.assert_close(again, drawn.log_probs, rtol=1e-3, atol=1e-3)
    verdicts = [Verdict(float(at % 3), True, "") for at in range(16)]
    method.select(drawn, method.fitness(drawn, verdicts))
    assert not torch.equal(learner.log_probs(drawn), again)


def test_padding_beyond_the_vocabulary_is_never_read(tmp_path: Path) -> None:
    """A tokenizer without one of its own; slices of a rollout end at different lengths."""
    model = saved(tmp_path / "model", "qwen2", letters(), max_position_embeddings=512)
    language = load_language(str(model))
    assert language.tokenizer.pad_token_id == language.model.config.vocab_size
    more = ["--local_rollout_forward_batch_size", "1", "--stop_token_id", "5"]
    run = train(parse_run(_words(tmp_path / "run", model, *more)), lambda step: None)
    assert len({len(row.response) for row in ledger.read(run.ledger)}) > 1


def _first_kl(model: Path, folder: Path) -> list[float]:
    run = parse_run(_words(folder, model))
    method = PPO(starting_from(run, ensure_base_policy(run)))
    rollout = method.sample(1)
    with method.under_way():
        again = method.sample(1)
    assert rollout.texts != again.texts
    return [value for one in (rollout, again) for value in method.fitness(one, _scored(one)).kl]


def _scored(rollout: Any) -> list[Any]:
    return [Verdict(1.0, True, "")] * len(rollout.texts)


@pytest.mark.parametrize(
    "setting",
    [
        {"repetition_penalty": 1.3},
        {"no_repeat_ngram_size": 2},
        {"min_new_tokens": 6},
        {"bad_words_ids": [[5]]},
        {"top_k": 3, "do_sample": True},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_how_a_folder_would_generate_is_of_no_account(setting: dict, tmp_path: Path) -> None:
    """Sampling is the policy's own: before any selection, KL from the base policy is 0."""
    model = saved(tmp_path / "model", "llama")
    file = model / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | setting))
    plain = saved(tmp_path / "plain", "llama")
    found = _first_kl(model, tmp_path / "run")
    assert found == pytest.approx([0.0] * 32, abs=1e-4)
    assert found == _first_kl(plain, tmp_path / "other")


def test_functional_dropout_is_off(tmp_path: Path) -> None:
    """OPT calls dropout as a function, where TRL, which switches modules off, leaves it on."""
    model = saved(tmp_path / "model", "opt", dropout=0.3, attention_dropout=0.3)
    assert _first_kl(model, tmp_path / "run") == pytest.approx([0.0] * 32, abs=1e-4)


def _refused(model: Path, folder: Path, *more: str) -> str:
    with pytest.raises(UsageError) as told:
        train(parse_run(_words(folder, model, *more)), lambda step: None)
    assert "\n" not in str(told.value)
    return str(told.value)


def test_a_masked_language_model_is_refused(tmp_path: Path) -> None:
    model = saved(tmp_path / "model", "bert")
    assert "is no causal language model" in _refused(model, tmp_path / "run")


def test_a_tokenizer_without_an_end_is_refused(tmp_path: Path) -> None:
    model = saved(tmp_path / "model", "llama")
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        if (model / file).exists():
            settings = json.loads((model / file).read_text())
            settings.pop("eos_token", None)
            (model / file).write_text(json.dumps(settings))
    assert "its tokenizer has no end of text" in _refused(model, tmp_path / "run")


def test_a_tokenizer_with_more_words_than_the_model_is_refused(tmp_path: Path) -> None:
    model = saved(tmp_path / "model", "llama", vocab_size=len(tokenizer()) - 2)
    assert "has 2 words beyond the model's" in _refused(model, tmp_path / "run")


def test_a_tokenizer_that_knows_none_of_the_words_is_refused(tmp_path: Path) -> None:
    """Transformers reads a folder of Qwen2's with that model's tokenizer, whatever lies there."""
    model = saved(tmp_path / "model", "qwen2")
    assert "its tokenizer can't tell two responses apart" in _refused(model, tmp_path / "run")


@pytest.mark.parametrize("steps", ["0", "5"])
def test_a_context_too_short_for_the_task_is_refused(steps: str, tmp_path: Path) -> None:
    model = saved(tmp_path / "model", "gpt2", max_position_embeddings=12, n_positions=12)
    told = _refused(model, tmp_path / "run", "--base_steps", steps)
    assert "reads 12 tokens at most, and the task's longest prompt and response have 23" in told


@pytest.mark.parametrize(
    "name", ["lora_target_modules", "lora_target_parameters", "lora_modules_to_save"]
)
def test_modules_that_there_are_not_are_refused(name: str, tmp_path: Path) -> None:
    model = saved(tmp_path / "model", "llama")
    told = _refused(model, tmp_path / "run", "--use_peft", "true", f"--{name}", "nosuch")
    assert told.startswith(f"{name} = nosuch is nothing in the model that it can be (")


def test_more_value_layers_than_there_are_is_refused(tmp_path: Path) -> None:
    model = saved(tmp_path / "model", "llama")
    told = _refused(model, tmp_path / "run", "--value_layers", "3")
    assert told == "value_layers = 3: the base policy has 2 layers"


def test_padding_that_is_the_end_sharded_half_precision_and_tied_all_train(tmp_path: Path) -> None:
    words = tokenizer()
    model = saved(tmp_path / "model", "llama", tie_word_embeddings=True)
    there = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float16)
    there.save_pretrained(tmp_path / "odd", max_shard_size="20KB")
    words.save_pretrained(tmp_path / "odd")
    settings = tmp_path / "odd" / "tokenizer_config.json"
    content = json.loads(settings.read_text()) | {"pad_token": "<eos>"}
    settings.write_text(json.dumps(content))
    assert len(list((tmp_path / "odd").glob("model-*.safetensors"))) > 1
    run = train(parse_run(_words(tmp_path / "run", tmp_path / "odd")), lambda step: None)
    assert len(ledger.read(run.ledger)) == 32


def test_what_peft_refuses_is_told_in_a_line(tmp_path: Path) -> None:
    model = saved(tmp_path / "mamba", "mamba")
    told = _refused(model, tmp_path / "run", "--use_peft", "true")
    assert told.startswith("use_peft: LoRA can't adapt this model so: ")
    llama = saved(tmp_path / "llama", "llama")
    more = ["--use_peft", "true", "--lora_target_parameters", "q_proj.weight"]
    told = _refused(llama, tmp_path / "other", *more)
    assert told.startswith("use_peft: LoRA can't adapt this model so: ")


def test_lora_finds_its_modules_where_pefts_own_are_not_there(tmp_path: Path) -> None:
    """Mixtral's experts are parameters here, not modules, for which peft's list has names."""
    model = saved(tmp_path / "model", "mixtral")
    more = ["--use_peft", "true", "--lora_r", "4"]
    run = train(parse_run(_words(tmp_path / "run", model, *more)), lambda step: None)
    assert len(ledger.read(run.ledger)) == 32
