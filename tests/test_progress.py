"""What a plain log says of long work: never nothing for twenty seconds, never more than it must."""

from __future__ import annotations

import io
import multiprocessing
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from rlhf_testbed.engine.display import Display
from rlhf_testbed.engine.job import Job
from rlhf_testbed.engine.local import run_side_by_side
from rlhf_testbed.shared import progress
from rlhf_testbed.shared.progress import LiveLine, Pace, Step, Watcher

NOTE = "approved 0.95  "


class Clock:
    """A clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def console() -> Console:
    """No terminal."""
    return Console(file=io.StringIO(), width=200)


def lines(console: Console) -> list[str]:
    """What was said since the last look."""
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue().splitlines()
    console.file.truncate(0)
    console.file.seek(0)
    return said


def test_the_time_left_is_that_of_the_phase_by_its_steps(clock: Clock) -> None:
    """Steps of 2 s: 57 are left after the third, less what has gone by since."""
    pace = Pace(clock)
    clock.now += 30  # loading tells nothing of how long a step takes
    assert pace.left() is None
    pace.reached(Step(1, 60, NOTE))
    assert pace.left() is None
    for done in (2, 3):
        clock.now += 2
        pace.reached(Step(done, 60, NOTE))
    assert pace.left() == pytest.approx(57 * 2)
    assert pace.told() == "3/60  approved 0.95   0:01:54 left"
    clock.now += 5
    assert pace.left() == pytest.approx(57 * 2 - 5)
    assert not pace.reached(Step(4, 60, NOTE))
    assert pace.reached(Step(1, 20, NOTE)), "a new phase"
    assert pace.left() is None


def test_a_short_job_says_where_it_begins_and_where_it_ends(console: Console, clock: Clock) -> None:
    line = LiveLine("both, seed 3", console, clock)
    with line as watcher:
        for done in range(1, 61):
            clock.now += 0.25
            watcher(Step(done, 60, NOTE))
    assert lines(console) == [
        "both, seed 3: 1/60  approved 0.95",
        "both, seed 3: 60/60  approved 0.95",
    ]


def test_a_long_job_is_never_silent_for_twenty_seconds(console: Console, clock: Clock) -> None:
    """Steps of 7 s, looked at every half a second; then it stops at 31."""
    line = LiveLine("both, seed 3", console, clock)
    said, silent = [], 0.0
    with line as watcher:
        line._ended.set()  # the clock is ours, and so are the ticks
        for tick in range(600):
            if tick % 14 == 0 and tick <= 30 * 14:
                watcher(Step(tick // 14 + 1, 60, NOTE))
            line.tick()
            silent = 0.0 if (new := lines(console)) else silent + 0.5
            assert silent < 20
            said += new
            clock.now += 0.5
    assert said[:2] == [
        "both, seed 3: 1/60  approved 0.95",
        "both, seed 3: 3/60  approved 0.95   0:06:34 left",
    ]
    assert said[-1].startswith("both, seed 3: still at 31/60, 0:01:")
    assert 300 / 20 <= len(said) <= 300 / 19 + 1


def test_work_that_has_not_made_a_step_says_so(console: Console, clock: Clock) -> None:
    line = LiveLine("base policy", console, clock)
    clock.now += 19.5
    line.tick()
    assert lines(console) == ["base policy: no step yet, 0:00:20 after it began"]


def test_a_line_ticks_by_itself_until_its_work_ends(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "TICK", 0.01)
    monkeypatch.setattr(progress, "QUIET", 0.05)
    before = set(threading.enumerate())
    with LiveLine("base policy", console):
        until = time.monotonic() + 10
        while console.file.getvalue().count("\n") < 3 and time.monotonic() < until:  # type: ignore[attr-defined]
            time.sleep(0.01)
    assert len(lines(console)) >= 3
    until = time.monotonic() + 10
    while set(threading.enumerate()) - before and time.monotonic() < until:
        time.sleep(0.01)
    assert not set(threading.enumerate()) - before


def job(at: int) -> Job:
    return Job(f"both, seed {at}", print, ())


def test_jobs_say_how_far_they_are_and_how_long_all_will_take(
    console: Console, clock: Clock
) -> None:
    """Five jobs, two at a time. Before any has ended, the steps tell: 40 s each by the first's."""
    shown = Display(5, 2, console, clock)
    first, second = shown.began(job(0)), shown.began(job(1))
    clock.now += 20
    shown.tick()
    nothing = "both, seed 0: no step yet after 0:00:20; both, seed 1: no step yet after 0:00:20"
    assert lines(console) == [f"[0/5] {nothing}"]
    shown.step(first, Step(1, 11, NOTE))
    clock.now += 10
    shown.step(first, Step(6, 11, NOTE))  # 2 s a step: another 10, and 40 in all
    shown.tick()
    assert lines(console) == []
    assert shown.left() == pytest.approx((10 + 10 + 3 * 40) / 2)
    clock.now += 10
    shown.ended(first, failed=False)
    assert lines(console) == ["[1/5] both, seed 0: ended, 0:01:00 left"]
    third = shown.began(job(2))
    shown.step(second, Step(31, 60, NOTE))
    clock.now += 19
    shown.tick()
    told = "both, seed 1: still at 31/60; both, seed 2: no step yet after 0:00:19"
    assert lines(console) == [f"[1/5] {told}; 0:00:50 left"]
    shown.ended(second, failed=True)
    assert lines(console) == ["[2/5] both, seed 1: failed, 0:00:50 left"]
    for row in (third, shown.began(job(3)), shown.began(job(4))):
        shown.ended(row, failed=False)
    assert lines(console)[-1] == "[5/5] both, seed 4: ended"


def test_a_long_job_is_not_taken_to_be_as_short_as_the_first(
    console: Console, clock: Clock
) -> None:
    """The gates took 10 s; of 100 steps of 2 s, 90 are left. One more job waits: 10 or 200 s."""
    shown = Display(3, 1, console, clock)
    gates = shown.began(job(0))
    clock.now += 10
    shown.ended(gates, failed=False)
    row = shown.began(job(1))
    for done in range(11):
        shown.step(row, Step(done, 100, NOTE))
        clock.now += 2 * (done < 10)
    assert shown.left() == pytest.approx(90 * 2 + (10 + 200) / 2)


def test_of_many_jobs_a_line_names_some(console: Console, clock: Clock) -> None:
    shown = Display(64, 64, console, clock)
    for at in range(64):
        shown.began(job(at))
    clock.now += 20
    shown.tick()
    (line,) = lines(console)
    assert line.count("both, seed") == 4
    assert line.endswith("; and 60 more")


def leave_a_note(watcher: Watcher, file: Path) -> None:
    watcher(Step(1, 1, ""))
    file.write_text(str(multiprocessing.get_start_method(allow_none=True)))


def test_without_a_server_to_fork_from_processes_start_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where the system tells nothing of cores and memory either."""
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    monkeypatch.delattr("os.sched_getaffinity")
    run_side_by_side([Job("one", leave_a_note, (tmp_path / "note",))])
    assert (tmp_path / "note").read_text() == "spawn"
