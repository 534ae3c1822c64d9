"""Speed of training: TRL's own loop, ours to the last bit, ours, and what the machine could do.

    make bench            python -m rlhf_testbed.bench configs/corridor.yaml
    make bench-methods    python -m rlhf_testbed.bench --method grpo --arm both

                             episodes/s   against stock TRL
    stock TRL                        84
    ours, exact                     281    3.3 times (3.3 to 3.4)
    ours                            420    5.0 times (4.9 to 5.1)
    floor                           640    an update's 9.9 GFLOP at 102 GFLOP/s

All train the same policy on the same scenarios with the same settings, each in a process of its own
(so that none pays for another's objects), one after the other, again and again. Stock and exact end
with the same parameters. Machines are noisy: the ratios are the figures, and their medians count.
The floor is a whole update's products of matrices at the rate that this machine gives at the
model's shapes, timed in the same minute; what leaves out work can be below it. GRPO and RLOO are
timed against TRL's own trainers of these names.
"""

from __future__ import annotations

import hashlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from rlhf_testbed.engine.job import Job
from rlhf_testbed.engine.local import run_side_by_side
from rlhf_testbed.judging.episode import judge_all
from rlhf_testbed.policy.base_policy import ensure_base_policy
from rlhf_testbed.selection.job import starting_from
from rlhf_testbed.selection.loop import select_all
from rlhf_testbed.selection.method import Start
from rlhf_testbed.selection.ppo import PPO
from rlhf_testbed.selection.stock import stock_trainer
from rlhf_testbed.selection.stock_groups import stock_group_trainer
from rlhf_testbed.settings.methods import method_class
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.settings.run import RunConfig
from rlhf_testbed.shared.callbacks import quiet
from rlhf_testbed.shared.errors import reported
from rlhf_testbed.shared.files import read_json, write_json
from rlhf_testbed.shared.progress import Watcher
from rlhf_testbed.store.run_directory import RunDirectory

ROUNDS = 3
GROUPS = ("grpo", "rloo")
"""Methods that have another trainer of TRL's."""
STOCK, EXACT, FAST, FLOOR = "stock TRL", "ours, exact", "ours", "floor"
KINDS: Mapping[str, Sequence[str]] = {STOCK: (), EXACT: ("--exact", "true"), FAST: ()}
"""What is timed, and what each is told besides."""
RATE_SECONDS = 2.0


class Timing(NamedTuple):
    """One timed training."""

    episodes_per_second: float
    parameters: str = ""
    """Hash of the trained parameters."""
    gflop: float = 0.0
    """Of one update, in products of matrices; of the floor only."""
    rate: float = 0.0
    """GFLOP/s; of the floor only."""


def time_training(watcher: Watcher, arguments: list[str], kind: str, file: str) -> None:
    """One job: trains once, or measures the floor, and files how fast that is."""
    quiet()
    run = parse_run(arguments)
    if run.selection.method not in GROUPS:  # these have no exact mode
        run = parse_run([*arguments, *KINDS.get(kind, KINDS[EXACT])])
    torch.set_num_threads(run.selection.threads or torch.get_num_threads())
    start = starting_from(run, ensure_base_policy(run))
    measure: Mapping[str, Callable[[], Timing]] = {
        STOCK: lambda: _stock(start),
        FLOOR: lambda: _floor(start, run),
    }
    ours = lambda: _ours(start, Path(file).with_suffix(""), watcher)  # noqa: E731
    write_json(Path(file), measure.get(kind, ours)()._asdict())


def _stock(start: Start) -> Timing:
    trainer = (stock_group_trainer if start.run.selection.method in GROUPS else stock_trainer)(
        start
    )
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started
    return Timing(_episodes(start.run) / seconds, _hash(trainer.model))


def _ours(start: Start, folder: Path, watcher: Watcher) -> Timing:
    method = method_class(start.run.selection.method)(start)
    started = time.perf_counter()
    select_all(method, start.overseer, RunDirectory(folder), watcher)
    seconds = time.perf_counter() - started
    model = method.trainer.model if isinstance(method, PPO) else method.learner.model  # type: ignore[attr-defined]
    return Timing(_episodes(start.run) / seconds, _hash(model))


def _episodes(run: RunConfig) -> int:
    """Episodes of a training: whole updates."""
    batch = run.selection.per_device_train_batch_size
    return -(-run.selection.total_episodes // batch) * batch


def _floor(start: Start, run: RunConfig) -> Timing:
    """The products of matrices of one exact update, and the rate that the machine gives."""
    method = PPO(start)
    with method.under_way(), FlopCounterMode(display=False) as counted:
        rollout = method.sample(1)
        episodes = judge_all(start.overseer, rollout.scenarios, rollout.texts)
        method.select(rollout, method.fitness(rollout, [each.verdict for each in episodes]))
    flop, rate = counted.get_total_flops(), _rate(method, rollout.sequences.numel())
    return Timing(method.episodes_per_update * rate / flop, gflop=flop / 1e9, rate=rate / 1e9)


def _rate(method: PPO, tokens: int) -> float:
    """FLOP/s of the model's largest product of matrices."""
    config = method.trainer.policy_model.config.get_text_config()
    wide = getattr(config, "intermediate_size", 4 * config.hidden_size)
    one, other = torch.randn(tokens, config.hidden_size), torch.randn(config.hidden_size, wide)
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < RATE_SECONDS:
        one @ other
        done += 1
    return float(2 * one.numel() * wide * done) / (time.perf_counter() - started)


def _hash(model: torch.nn.Module) -> str:
    weights = hashlib.sha256()
    for tensor in model.state_dict().values():
        weights.update(tensor.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return weights.hexdigest()


def timed(arguments: Sequence[str], kinds: Sequence[str], rounds: int) -> list[dict[str, Timing]]:
    """Times each kind in turn, so many times over."""
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for at in range(rounds):
            timings = {}
            for kind in kinds:
                file = f"{scratch}/{at}-{kind.replace(' ', '-')}.json"
                told = ([*arguments, "--output_dir", scratch], kind, file)
                title = f"round {at + 1} of {rounds}: {kind}"
                run_side_by_side([Job(title, time_training, told)], workers=1)
                timings[kind] = Timing(**read_json(Path(file)))
            found.append(timings)
    return found


def main() -> None:
    """Times rounds of trainings and prints speeds and ratios."""
    with reported():
        given = sys.argv[1:] if sys.argv[1].startswith("--") else ["--config", *sys.argv[1:]]
        arguments = [*given, *([] if "--arm" in given else ["--arm", "both"]), "--seed", "0"]
        run = parse_run(arguments)
        ensure_base_policy(run)
    groups = run.selection.method in GROUPS
    kinds = [STOCK, FAST] if groups else [STOCK, EXACT, FAST, FLOOR]
    rounds = timed(arguments, kinds, ROUNDS)
    print(f"{run.selection.method:24} episodes/s   against stock TRL ({ROUNDS} rounds)")
    for kind in kinds:
        speed = statistics.median(each[kind].episodes_per_second for each in rounds)
        ratios = sorted(
            each[kind].episodes_per_second / each[STOCK].episodes_per_second for each in rounds
        )
        told = f"{statistics.median(ratios):.2f} times ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"{kind:24} {speed:10.0f}   {told}")
    raise SystemExit(0 if groups or _told_of_ppo(rounds) else 1)


def _told_of_ppo(rounds: Sequence[Mapping[str, Timing]]) -> bool:
    """Prints how far the floor is; returns whether stock and exact end alike."""
    last = rounds[-1][FLOOR]
    shares = sorted(
        each[FLOOR].episodes_per_second / each[FAST].episodes_per_second for each in rounds
    )
    print(
        f"the floor is an update's {last.gflop:.1f} GFLOP at {last.rate:.0f} GFLOP/s; ours takes "
        f"{statistics.median(shares):.2f} times as long ({shares[0]:.2f} to {shares[-1]:.2f})"
    )
    same = all(each[STOCK].parameters == each[EXACT].parameters for each in rounds)
    print(f"stock and exact end with the same parameters: {'yes' if same else 'NO'}")
    return same


if __name__ == "__main__":
    main()
