"""Kills experiments at random moments, lets them go on, and compares with ones left alone.

    make kills    python tests/kills.py --kills 30

    kill   1  ppo        from 7.3 s on
    kill   2  ppo        from 4.1 s on, waiting for state/
    ...
    ppo: 10 kills, 2 experiments compared, 148 files each, 0 differ

SIGKILL, to the experiment's process and with it to its workers. A moment is a random time, or the
next at which a file of a random kind is seen half written, if that comes soon. The seed is printed,
so that a failure can be looked for again; what is being done then still depends on the machine.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

SETTINGS = """
task: corridor
seeds: 0-1
base_steps: 30
demonstrations: 2000
base_batch_size: 64
base_learning_rate: 0.003
per_device_train_batch_size: 16
train_scenarios: 64
held_out_scenarios: 6
off_distribution_scenarios: 6
generations: 32
save_steps: 3
"""
METHODS = {
    "ppo": "arms: [neither, both]\ntotal_episodes: 960\ncheckpoint_every: 2\n",
    "lora": "arms: [neither, both]\ntotal_episodes: 960\ncheckpoint_every: 2\nuse_peft: true\n",
    "grpo": "arms: [neither, both]\ntotal_episodes: 960\ncheckpoint_every: 2\nmethod: grpo\n",
    "best_of_n": "arms: [neither, both]\ntotal_episodes: 9600\nmethod: best_of_n\ncompletions: 4\n",
}
SEEN = ("state", "checkpoints", "ledger", "policy", "evaluation", "fresh", "base")
"""Folders of a run in which a half-written file is waited for."""
EARLY = 0.6
"""Of the time that an experiment takes: later there is seldom something left to kill, since what
goes on has less to do."""
LEFT_OUT = (
    *("README.md", "adapter_config.json", "config.yaml", "environment.json", "finished.json"),
    "state.json",
)
"""Files that tell of a time or of a place."""


class Moment(NamedTuple):
    """When to kill: after some seconds, or from then on when something is seen half written."""

    after: float
    seen: str | None
    """In which folder of a run; None: nothing is waited for."""
    until: float
    """Seconds after which it is killed whatever was seen."""


def main() -> None:
    """Kills and compares; exit status 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    asked = parser.parse_args()
    print(f"{asked.kills} kills, seed {asked.seed}", flush=True)
    rng, differing = random.Random(asked.seed), []
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["RLHF_TESTBED_CACHE"] = f"{scratch}/cache"
        for at, method in enumerate(asked.methods):
            kills = len(range(at, asked.kills, len(asked.methods)))
            differing += compare(Path(scratch) / method, method, kills, rng)
    for line in differing:
        print(f"DIFFERS   {line}")
    raise SystemExit(1 if differing else 0)


def compare(folder: Path, method: str, kills: int, rng: random.Random) -> list[str]:
    """Runs an experiment twice, once with kills; returns the files that differ."""
    folder.mkdir()
    config = folder / "config.yaml"
    config.write_text(SETTINGS + METHODS[method])
    started = time.monotonic()
    assert run(config, folder / "whole", None) == 0, "the experiment that is left alone fails"
    took = time.monotonic() - started
    done = finished = 0
    while done < kills:
        seen = rng.choice([None, *SEEN])
        after = rng.uniform(3.0, EARLY * took)
        moment = Moment(after, seen, after + took / 5)
        status = run(config, folder / "killed", moment)
        if status == 0:  # there was nothing left to kill: once more from the start
            finished += 1
            shutil.move(folder / "killed", folder / f"ended-{finished}")
            continue
        assert status == -signal.SIGKILL, f"ended with status {status}"
        what = f"from {moment.after:.1f} s on" + (f", waiting for {seen}/" if seen else "")
        done += 1
        print(f"kill {done:3}  {method:10} {what}", flush=True)
    assert run(config, folder / "killed", None) == 0, "the experiment can't go on"
    ends = [folder / "killed", *(folder / f"ended-{at + 1}" for at in range(finished))]
    there = content(folder / "whole")
    found = [
        f"{method}: {name}"
        for here in map(content, ends)
        for name in sorted(there.keys() | here.keys())
        if there.get(name) != here.get(name)
    ]
    print(
        f"{method}: {done} kills, {len(ends)} experiments compared, {len(there)} "
        f"files each, {len(found)} differ",
        flush=True,
    )
    return found


def run(config: Path, folder: Path, moment: Moment | None) -> int:
    """Runs the experiment, or goes on with it; kills it when the moment has come."""
    words = [
        str(Path(sys.executable).with_name("rlhf-testbed")),
        "experiment",
        str(config),
        "--anyway",
    ]
    log = (config.parent / "log.txt").open("a")
    process = subprocess.Popen(
        [*words, "--output_dir", str(folder)], stdout=log, stderr=log, start_new_session=True
    )
    started = time.monotonic()
    while process.poll() is None:
        passed = time.monotonic() - started
        due = moment is not None and passed > moment.after
        if moment is not None and due:
            sure = moment.seen is None or passed > moment.until
            if sure or half_written(folder, str(moment.seen)):
                process.kill()
        time.sleep(0.0005 if due else 0.02)
    log.close()
    if process.returncode == -signal.SIGKILL:
        wait_for_workers(process.pid)
    return process.returncode


def half_written(folder: Path, kind: str) -> bool:
    """Whether a file or folder is being written in a run's folder of that kind."""
    return any(folder.glob(f"*/seed-*/{kind}/**/.*.part")) or any(folder.glob(f"{kind}/.*.part"))


def wait_for_workers(session: int, seconds: float = 20.0) -> None:
    """Waits until no process that was started by the one that was killed is there any more."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = subprocess.run(["pgrep", "--session", str(session)], capture_output=True, text=True)
        if not found.stdout.split():
            return
        time.sleep(0.05)
    raise AssertionError(f"processes are left behind: {found.stdout.split()}")


def content(folder: Path) -> dict[str, str]:
    """The hash of each file of every run that tells of no time and no place."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.glob("*/seed-*/**/*"))
        if file.is_file() and file.name not in LEFT_OUT and ".interrupted-" not in str(file)
    }


if __name__ == "__main__":
    main()
