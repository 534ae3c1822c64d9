"""Where one of several processes fails, all end soon, and one of them says why in one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conftest import SMALL
from launches import NEVER, Ended, Faults, faulty, launched
from rlhf_testbed.store.run_directory import RunDirectory

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SOON = 30.0
"""Seconds in which all have ended."""
RUN = [*SMALL, "--total_episodes", "96", "--arm", "both", "--output_dir", "run"]
WRONG = [*RUN, "--overseer", "faulty:Faulty"]
RAISES = "fault(); raise ValueError('worn out')"
KILLED = "fault(); os.kill(os.getpid(), signal.SIGKILL)"
LEAVES = "fault(); os._exit(0)"
FULL_DISK = (
    "import resource\n"
    "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); fault()"
)
UNSOUND = (
    "from rlhf_testbed.selection import soundness\n"
    "from rlhf_testbed.shared.errors import UsageError\n"
    "def refuse(*told): fault(); raise UsageError('not sound')\n"
    "soundness.refuse_unsound_start = refuse"
)
NO_PREPARATION = (
    "from rlhf_testbed.selection import preparation\n"
    "def run_alone(job): fault(); {}\n"
    "preparation.run_alone = run_alone"
)
GONE = r"ended without a word \(killed from outside, or out of memory\?\)"
JUDGING = r"run: training stopped: overseer Faulty failed to judge: ValueError: worn out \(.*\)"

FAULTS = {
    "raises in rank 1": (faulty({1: RAISES}), 1, f": {JUDGING}"),
    "raises in rank 0": (faulty({0: RAISES}), 0, f": {JUDGING}"),
    "raises in both": (faulty({0: RAISES, 1: RAISES}), 0, f": {JUDGING}"),
    "raises while the other hears nothing": (faulty({1: RAISES, 0: NEVER}), 1, f": {JUDGING}"),
    "killed, rank 1": (faulty({1: KILLED}), 1, f" {GONE}"),
    "killed, rank 0": (faulty({0: KILLED}), 0, f" {GONE}"),
    "killed while the other hears nothing": (
        faulty({0: f"time.sleep(2); {KILLED}", 1: NEVER}),
        0,
        f" {GONE}",
    ),
    "killed while it prepares": (
        faulty(importing={0: NO_PREPARATION.format("os.kill(os.getpid(), signal.SIGKILL)")}),
        0,
        f" {GONE}",
    ),
    "leaves as if all were well": (faulty({1: LEAVES}), 1, f" {GONE}"),
    "full disk": (faulty({0: FULL_DISK}), 0, ": run/ledger/00002.parquet: .*File too large"),
    "unsound start": (faulty(importing={0: UNSOUND}), 0, ": run: not sound"),
}


def _one_line(ended: Ended, rank: int, said: str) -> None:
    print(f"{ended.seconds:.1f} s: {ended.own}")
    assert len(ended.own) == 1, ended.own
    assert re.fullmatch(rf"error: rank {rank} of 2 on [^:\s]+{said}", ended.own[0]), ended.own
    assert ended.seconds < SOON
    assert ended.status


@pytest.mark.parametrize(("faults", "rank", "said"), FAULTS.values(), ids=FAULTS)
def test_one_process_fails_and_all_end_by_one_line(
    faults: Faults, rank: int, said: str, tmp_path: Path
) -> None:
    ended = launched(tmp_path, WRONG, faults)
    _one_line(ended, rank, said)


def test_what_all_are_told_is_told_once(tmp_path: Path) -> None:
    ended = launched(tmp_path, [*RUN, "--knowlege", "1"])
    _one_line(ended, 0, r": command line: option '--knowlege' is unknown \(did you mean .*\)")
    (tmp_path / "run").mkdir()
    _one_line(launched(tmp_path, RUN), 0, ": run: exists already, and nothing is overwritten .*")


def test_a_start_that_failed_elsewhere_leaves_no_folder(tmp_path: Path) -> None:
    """So that the corrected command can have it; also where the first process was busy."""
    ended = launched(tmp_path, WRONG, faulty({1: RAISES, 0: "time.sleep(20)"}, at=10))
    _one_line(ended, 1, f": {JUDGING}")
    assert not (tmp_path / "run").exists()


def test_a_fault_of_the_testbed_shows_where_it_is(tmp_path: Path) -> None:
    broken = (
        "from rlhf_testbed.selection import loop\ndef keep(*told): fault(); 1 / 0\nloop.keep = keep"
    )
    ended = launched(tmp_path, WRONG, faulty(importing={1: broken}))
    assert sum("Traceback" in line for line in ended.own) == 1
    assert sum("ZeroDivisionError" in line for line in ended.own) == 1
    print(f"{ended.seconds:.1f} s")
    assert re.search(r"in rank 1 of 2 on \S+$", ended.own[-1])
    assert ended.seconds < SOON


@pytest.mark.parametrize("whom", ["os.getppid()", "os.getpid()"], ids=["all", "one"])
def test_an_interrupt_is_no_failure(whom: str, tmp_path: Path) -> None:
    """Ctrl-C, which the launcher passes on, or a signal to one process."""
    interrupts = f"fault(); os.kill({whom}, signal.SIGINT); time.sleep(9)"
    ended = launched(tmp_path, WRONG, faulty({1: interrupts}))
    print(f"{ended.seconds:.1f} s")
    again = "the same launch with --resume run goes on with it."
    assert ended.own in (
        [[again, "interrupted"]] if "ppid" in whom else [[again, "interrupted"], ["interrupted"]]
    )
    assert ended.seconds < SOON
    assert RunDirectory(tmp_path / "run").begun


def test_no_process_outlives_its_launcher(tmp_path: Path) -> None:
    ended = launched(
        tmp_path, WRONG, faulty({1: "fault(); os.kill(os.getppid(), signal.SIGKILL)", 0: NEVER})
    )
    print(f"{ended.seconds:.1f} s")
    assert ended.seconds < SOON
    gone = [line for line in ended.own if line.startswith("error: ")]
    assert len(gone) == 2
    assert all(re.fullmatch(r"error: rank [01] of 2 on \S+: the launcher is gone", x) for x in gone)


def test_what_takes_one_process_long_is_waited_for(tmp_path: Path) -> None:
    """A base policy that is made, a policy that is filed: longer than any collective may take."""
    slow = (
        "from datetime import timedelta\n"
        "from rlhf_testbed.selection import preparation, processes, soundness\n"
        "processes.LONGEST = timedelta(seconds=10)\n"
        "if rank == '0':\n"
        "    at_once, save = preparation.run_alone, soundness.Checks.save\n"
        "    preparation.run_alone = lambda job: (time.sleep(15), at_once(job))\n"
        "    soundness.Checks.save = lambda self: (time.sleep(15), save(self))\n"
    )
    ended = launched(tmp_path, WRONG, faulty(importing={0: slow, 1: slow}))
    assert ended.status == 0, ended
    assert ended.seconds > SOON
    assert RunDirectory(tmp_path / "run").summary().updates == 3
