"""Speed of training against TRL's own loop, both measured in one run.

    make bench            python -m rlhf_testbed.bench configs/corridor.yaml

    stock TRL PPOTrainer.train()    100 episodes/s
    SelectionTrainer.train()        230 episodes/s    2.3 times

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

from rlhf_testbed.errors import reported
from rlhf_testbed.files import read_json, write_json
from rlhf_testbed.jobs import Job, run_side_by_side
from rlhf_testbed.parsing import parse_run
from rlhf_testbed.population import population_folder
from rlhf_testbed.ppo import SelectionTrainer
from rlhf_testbed.progress import Watcher, quiet
from rlhf_testbed.train import build_trainer

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
    torch.set_num_threads(run.testbed.threads or torch.get_num_threads())
    folder = Path(file).parent
    trainer = build_trainer(run, population_folder(run), folder / f"{Path(file).stem}-ledger", [])
    started = time.perf_counter()
    if stock:
        super(SelectionTrainer, trainer).train()
    else:
        trainer.train()
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
        population_folder(parse_run(arguments))
    pairs = []
    with tempfile.TemporaryDirectory() as scratch:
        for pair in range(PAIRS):
            timings = []
            for stock in (True, False):
                file = f"{scratch}/{pair}-{'stock' if stock else 'ours'}.json"
                name = "stock TRL" if stock else "this project"
                title = f"pair {pair + 1} of {PAIRS}: {name}"
                task = ([*arguments, "--output_dir", scratch], stock, file)
                run_side_by_side([Job(title, time_training, task)], workers=1)
                timings.append(Timing(**read_json(Path(file))))
            pairs.append((timings[0], timings[1]))
    same = all(stock.parameters == ours.parameters for stock, ours in pairs)
    slow = statistics.median(stock.episodes_per_second for stock, _ in pairs)
    fast = statistics.median(ours.episodes_per_second for _, ours in pairs)
    ratios = sorted(o.episodes_per_second / s.episodes_per_second for s, o in pairs)
    print(f"stock TRL PPOTrainer.train()   {slow:6.0f} episodes/s")
    print(f"SelectionTrainer.train()       {fast:6.0f} episodes/s")
    print(
        f"ratio, pair by pair            {statistics.median(ratios):6.2f} times "
        f"(from {ratios[0]:.2f} to {ratios[-1]:.2f}, {PAIRS} pairs)"
    )
    print(f"same parameters in the end     {'yes' if same else 'NO'}")
    raise SystemExit(0 if same else 1)


if __name__ == "__main__":
    main()
