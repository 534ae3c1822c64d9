"""Launches of two processes on one CPU, as README has them, which may be made to fail.

    ended = launched(tmp_path, ["--output_dir", "run"], faulty(judging={1: "raise ValueError"}))
    ended.own       what our own processes said on standard error, without progress
    ended.seconds   from the fault until no process was left

What is wrong is in an overseer of the launch's own: code that runs in one process, either as it is
imported or at the overseer's twentieth verdict, in the second update.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import psutil

from test_words import ROOT

LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
PROGRESS = re.compile(r"\[\d+/\d+\] what training starts from|\w+, seed \d+: |learns? ")
OVERSEER = """
import json, os, signal, sys, time
from pathlib import Path
from rlhf_testbed.overseers.scripted import Scripted

folder = Path(__file__).parent

def fault():
    (folder / "fault").write_text(str(time.time()))

launched, rank = "WORLD_SIZE" in os.environ, os.environ.get("RANK")
faults = json.loads((folder / "faults.json").read_text())
if launched:
    exec(faults["importing"].get(rank, ""))

class Faulty(Scripted):
    summary, seen = "fails", 0

    def judge(self, response, view):
        Faulty.seen += 1
        if launched and Faulty.seen == faults["at"]:
            exec(faults["judging"].get(rank, ""))
        return super().judge(response, view)
"""
"""The same for every fault, since a run goes on only with the overseer that it began with."""
NEVER = (
    "import datetime, torch\n"
    'place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])\n'
    "store = torch.distributed.TCPStore(*place, is_master=False)\n"
    'store.wait(["never"], datetime.timedelta(minutes=5))\n'
)
"""Waits deep in a library, as in a collective with NCCL: no signal is heard there."""

Faults: TypeAlias = Mapping[str, Any]


class Ended(NamedTuple):
    """What became of a launch."""

    status: int
    own: list[str]
    """What our own processes said on standard error, without progress."""
    told: list[str]
    """What they said on standard output."""
    seconds: float
    """From the fault, or else from the launch, until no process was left."""


def faulty(
    judging: Mapping[int, str] = {}, importing: Mapping[int, str] = {}, at: int = 20
) -> Faults:
    """What the overseer does wrong, by rank: at which verdict, or as it is imported."""
    return {"judging": judging, "importing": importing, "at": at}


def launched(
    tmp_path: Path, words: Sequence[str], faults: Faults | None = None, processes: int = 2
) -> Ended:
    """Launches a training from this folder, by so many processes, and waits for its end."""
    logs, mark = tmp_path / f"logs-{uuid.uuid4().hex}", f"LAUNCH_{uuid.uuid4().hex}"
    (tmp_path / "faulty.py").write_text(OVERSEER)
    (tmp_path / "faults.json").write_text(json.dumps(faults or faulty()))
    (tmp_path / "fault").unlink(missing_ok=True)
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    told = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", mark: "1"}
    start = [*LAUNCH, str(processes)]
    apart = ["--log-dir", str(logs), "--redirects", "3"]
    began = time.time()
    with open(tmp_path / "launcher", "w") as said:
        launcher = subprocess.Popen(
            [sys.executable, *start, *apart, "-m", "rlhf_testbed.train", *words],
            env=os.environ | told,
            cwd=tmp_path,
            stdout=said,
            stderr=said,
        )
        while launcher.poll() is None or _left(mark):
            time.sleep(0.2)
    seconds = time.time() - began
    if (tmp_path / "fault").exists():
        seconds = time.time() - float((tmp_path / "fault").read_text())
    own = [line for line in _lines(logs, "stderr.log") if not PROGRESS.match(line)]
    return Ended(launcher.returncode, own, _lines(logs, "stdout.log"), seconds)


def _lines(logs: Path, name: str) -> list[str]:
    texts = [file.read_text() for file in sorted(logs.rglob(name))]
    return [line for text in texts for line in text.splitlines() if line.strip()]


def _left(mark: str) -> list[psutil.Process]:
    """The processes of a launch that still run."""
    found = []
    for each in psutil.process_iter():
        try:
            if each.status() != psutil.STATUS_ZOMBIE and mark in each.environ():
                found.append(each)
        except psutil.Error:
            continue
    return found
