"""From a clone to the demo's picture: how long each stage takes, cold and warm.

    make bench-experiment    python tests/bench_experiment.py

    clone                          2 s
    install                       96 s
    demo, cold                   150 s   picture and page: 15 runs, 3 gates jobs
      a run starts                 1.2 s   from being asked for to its first update
      a run trains                11 s
      a run is evaluated           5 s
    demo, warm                   140 s

A clone of what is committed, a new virtual environment, and a cache of its own; pip's is the
user's. Times within runs are medians, and come from when their files were written.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Takes the stages one after the other and prints each as it ends."""
    with tempfile.TemporaryDirectory() as scratch:
        clone = Path(scratch) / "clone"
        os.environ["RLHF_TESTBED_CACHE"] = f"{scratch}/cache"
        os.environ.pop("PYTHONPATH", None)
        told("clone", ["git", "clone", "--quiet", str(ROOT), str(clone)], ROOT)
        told("install", ["make", "setup"], clone)
        told("demo, cold", ["make", "demo"], clone)
        stages(clone / "runs" / "corridor-demo")
        (clone / "runs").rename(clone / "runs-cold")
        told("demo, warm", ["make", "demo"], clone)
        stages(clone / "runs" / "corridor-demo")


def told(stage: str, words: list[str], folder: Path) -> None:
    """Runs one stage and prints how long it took."""
    started = time.monotonic()
    ended = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"{stage} failed: {ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    print(f"{stage:28} {time.monotonic() - started:6.1f} s", flush=True)


def stages(experiment: Path) -> None:
    """Prints what the runs of an experiment spent their time on."""
    runs = [file.parent for file in sorted(experiment.glob("*/seed-*/finished.json"))]
    begins = ("config.yaml", "ledger", "finished.json", "evaluation/full_knowledge/measures.json")
    times = [[(run / name).stat().st_mtime for name in begins] for run in runs]
    trained = [end - begin for begin, _, end, _ in times]
    evaluated = [end - begin for _, _, begin, end in times]
    print(f"  a run, up to its policy    {statistics.median(trained):6.1f} s ({len(runs)} runs)")
    print(f"  its evaluation             {statistics.median(evaluated):6.1f} s", flush=True)


if __name__ == "__main__":
    main()
