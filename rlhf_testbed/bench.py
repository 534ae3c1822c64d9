"""Speed of training against TRL's own loop, both measured in one run.

    make bench            python -m rlhf_testbed.bench configs/corridor.yaml

    stock TRL PPOTrainer.train()    100 episodes/s
    this project's loop             230 episodes/s    2.3 times

Both train the same policy on the same episodes with the same settings, each in a process of its own
(so that neither pays for the other's objects), in turn, and end with the same parameters. Machines
are noisy: the ratio is the figure, and the median of the pairs is quoted.
"""

from __future__ import annotations

import hashlib
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import torch

from rlhf_testbed.engine.job import Job
from rlhf_testbed.engine.local import run_side_by_side
from rlhf_testbed.policy.base_policy import ensure_base_policy
from rlhf_testbed.selection.job import starting_from
from rlhf_testbed.selection.loop import select_all
from rlhf_testbed.selection.ppo import PPO
from rlhf_testbed.selection.stock import stock_trainer
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.shared.callbacks import quiet
from rlhf_testbed.shared.errors import reported
from rlhf_testbed.shared.files import read_json, write_json
from rlhf_testbed.shared.progress import Watcher
from rlhf_testbed.store.run_directory import RunDirectory

PAIRS = 3


class Timing(NamedTuple):
    """One timed training."""

    episodes_per_second: float
    parameters: str
    """Hash of the trained parameters."""


def time_training(watcher: Watcher, arguments: list[str], stock: bool, file: str) -> None:
    """One job: trains once and files how fast it went."""
    quiet()
    run = parse_run(arguments)
    torch.set_num_threads(run.selection.threads or torch.get_num_threads())
    start = starting_from(run, ensure_base_policy(run))
    if stock:
        trainer = stock_trainer(start)
        started = time.perf_counter()
        trainer.train()
    else:
        method = PPO(start)
        trainer = method.trainer
        started = time.perf_counter()
        select_all(method, start.overseer, RunDirectory(Path(file).with_suffix("")), watcher)
    seconds = time.perf_counter() - started
    weights = hashlib.sha256()
    for tensor in trainer.model.state_dict().values():
        weights.update(tensor.cpu().numpy().tobytes())
    timing = Timing(trainer.state.episode / seconds, weights.hexdigest())
    write_json(Path(file), timing._asdict())


def main() -> None:
    """Times pairs of trainings and prints the ratio."""
    with reported():
        arguments = ["--config", sys.argv[1], "--arm", "both", "--seed", "0", *sys.argv[2:]]
        ensure_base_policy(parse_run(arguments))
    pairs = []
    with tempfile.TemporaryDirectory() as scratch:
        for pair in range(PAIRS):
            timings = []
            for stock in (True, False):
                file = f"{scratch}/{pair}-{'stock' if stock else 'ours'}.json"
                name = "stock TRL" if stock else "this project"
                title = f"pair {pair + 1} of {PAIRS}: {name}"
                told = ([*arguments, "--output_dir", scratch], stock, file)
                run_side_by_side([Job(title, time_training, told)], workers=1)
                timings.append(Timing(**read_json(Path(file))))
            pairs.append((timings[0], timings[1]))
    same = all(stock.parameters == ours.parameters for stock, ours in pairs)
    slow = statistics.median(stock.episodes_per_second for stock, _ in pairs)
    fast = statistics.median(ours.episodes_per_second for _, ours in pairs)
    ratios = sorted(o.episodes_per_second / s.episodes_per_second for s, o in pairs)
    print(f"stock TRL PPOTrainer.train()   {slow:6.0f} episodes/s")
    print(f"this project's loop            {fast:6.0f} episodes/s")
    print(
        f"ratio, pair by pair            {statistics.median(ratios):6.2f} times "
        f"(from {ratios[0]:.2f} to {ratios[-1]:.2f}, {PAIRS} pairs)"
    )
    print(f"same parameters in the end     {'yes' if same else 'NO'}")
    raise SystemExit(0 if same else 1)


if __name__ == "__main__":
    main()
