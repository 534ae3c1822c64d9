"""How the cost of an update and of exact scoring grows: size of the model, batch, response space.

    make bench-growth    python tests/bench_growth.py

    model        parameters   episodes/s
    small        0.33 M              420
    1 M          ...

Untaught models of the small one's make on corridor, one thread. All in one run on one machine: the
ratios are the figures.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

from transformers import LlamaConfig, LlamaForCausalLM

from rlhf_testbed.bench import FAST, timed
from rlhf_testbed.policy.language import Language, small_language
from rlhf_testbed.policy.scoring import response_log_probabilities
from rlhf_testbed.tasks.base import Dials
from rlhf_testbed.tasks.corridor import Corridor

SIZES = {"0.33 M": (96, 256, 3), "1 M": (160, 448, 4), "10 M": (448, 1152, 5)}
"""Hidden size, size of the perceptron, layers, by the number of parameters."""
BATCHES = (16, 64, 256)
SPACES = (10, 40, 162)
ROUNDS = 3
SCENARIOS = 64


def main() -> None:
    """Prints three tables."""
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["RLHF_TESTBED_CACHE"] = f"{scratch}/cache"
        models = {name: saved(Path(scratch) / name, *size) for name, size in SIZES.items()}
        print("model        episodes/s", flush=True)
        for name, model in models.items():
            print(f"{name:12} {speed(['--model', str(model)]):8.0f}", flush=True)
        print("episodes an update   episodes/s (0.33 M)", flush=True)
        small = ["--model", str(models["0.33 M"])]
        for batch in BATCHES:
            more = ["--per_device_train_batch_size", str(batch)]
            print(f"{batch:18}   {speed([*small, *more]):8.0f}", flush=True)
    print(f"responses   seconds for {SCENARIOS} scenarios, scored exactly (0.33 M)", flush=True)
    for size in SPACES:
        print(f"{size:9}   {scoring(size):.3f}", flush=True)


def untaught(hidden: int, wide: int, layers: int) -> Language:
    """A model of that size with corridor's words."""
    task = Corridor()
    texts = [one.prompt for one in task.scenarios(Dials(randomised=1), 0, "train", 300)]
    tokenizer = small_language([*texts, *task.responses], 0).tokenizer
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=wide,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=128,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        tie_word_embeddings=True,
    )
    return Language(LlamaForCausalLM(config).eval(), tokenizer)


def saved(folder: Path, hidden: int, wide: int, layers: int) -> Path:
    """The same in a folder."""
    language = untaught(hidden, wide, layers)
    language.model.save_pretrained(folder)
    language.tokenizer.save_pretrained(folder)
    return folder


def speed(arguments: list[str]) -> float:
    """Episodes a second of training, the median of some rounds."""
    told = ["--task", "corridor", "--arm", "both", "--seed", "0", "--base_steps", "0"]
    told += ["--demonstrations", "640", "--total_episodes", "640", "--checkpoint_every", "0"]
    rounds = timed([*told, *arguments], [FAST], ROUNDS)
    return statistics.median(each[FAST].episodes_per_second for each in rounds)


def scoring(responses: int) -> float:
    """Seconds to score so many responses to each scenario."""
    task, language = Corridor(), untaught(*SIZES["0.33 M"])
    prompts = [one.prompt for one in task.scenarios(Dials(), 0, "held_out", SCENARIOS)]
    chosen = task.responses[:: max(1, len(task.responses) // responses)][:responses]
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        response_log_probabilities(language, prompts, chosen)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


if __name__ == "__main__":
    main()
