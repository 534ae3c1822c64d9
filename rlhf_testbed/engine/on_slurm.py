"""Jobs as arrays of a Slurm cluster, handed in by submitit.

    rlhf-testbed experiment configs/corridor.yaml --engine slurm --engine_args partition=cpu cpus=2
    rlhf-testbed experiment configs/corridor.yaml --engine slurm --dry-run     shows the script

The experiment's folder, and the Python that runs it, must be seen by all nodes. A job that is
preempted, or runs out of its time, is put back into the queue, and goes on from its newest state.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import submitit
from submitit.slurm.slurm import _make_sbatch_string

from rlhf_testbed.engine.board import Board, log_of
from rlhf_testbed.engine.job import Engine, Failure, Job, Orders
from rlhf_testbed.engine.place import Sent
from rlhf_testbed.engine.slurm_task import Task, Told
from rlhf_testbed.engine.worker import last_words
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.shared.progress import TICK, Step
from rlhf_testbed.shared.record import read
from rlhf_testbed.shared.versions import alike

LOOK = 2.0
"""Seconds from one look at what jobs have filed to the next."""
ASK = 15.0
"""Seconds from one question to Slurm to the next: it has others to serve."""
TOO_LARGE = "node configuration is not available"
"""What Slurm says, among other words, of needs that no node meets."""
PARALLEL = 10_000
"""Array tasks that may run at a time: as many as there is room for."""


class Slurm(Engine):
    """Arrays of a Slurm cluster.

    Each run is given `cpus`, `gpus`, `memory_gib` and `minutes`, and goes on in a new job where
    these are over. `queue`: runs that are in Slurm's queue at most, whose arrays it limits, too.
    `cluster`: "local" runs them on this machine without Slurm, by the same way.
    """

    summary = "arrays of a Slurm cluster, by submitit"

    def __init__(
        self,
        partition: str = "",
        account: str = "",
        qos: str = "",
        constraint: str = "",
        cpus: int = 1,
        gpus: int = 0,
        memory_gib: float = 4.0,
        minutes: int = 240,
        queue: int = 1000,
        cluster: str = "slurm",
    ) -> None:
        for name, value in (("cpus", cpus), ("minutes", minutes), ("queue", queue)):
            if value < 1:
                raise UsageError(f"--engine_args: {name} = {value} is not 1 or more")
        if cluster not in ("slurm", "local"):
            raise UsageError(f"--engine_args: cluster = {cluster} is none of slurm, local")
        self.cluster, self.queue = cluster, queue
        named = {"partition": partition, "account": account, "qos": qos, "constraint": constraint}
        self.parameters = {
            "job_name": "rlhf-testbed",
            "time": minutes,
            "cpus_per_task": cpus,
            "mem": f"{int(memory_gib * 1024)}MB",
            "array_parallelism": PARALLEL,
            **({"gpus_per_node": gpus} if gpus else {}),
            **{name: value for name, value in named.items() if value},
        }

    def script(self, jobs: Sequence[Job], orders: Orders) -> str:
        """The script that is handed in for the first of the arrays."""
        first = min(len(jobs), orders.workers or self.queue)
        return f"# {len(jobs)} jobs, {first} at a time in the queue\n{self._array(first, orders)}"

    def _array(self, size: int, orders: Orders) -> str:
        folder = _folder(orders)
        command = f"python -u -m submitit.core._submit {folder}"
        told: str = _make_sbatch_string(command, folder, map_count=size, **self.parameters)
        return told

    def run(self, jobs: Sequence[Job], orders: Orders = Orders()) -> None:
        """Each job as a task of an array."""
        if not jobs:
            return
        executor = self._executor(orders)
        if self.cluster == "slurm":
            self._refuse_too_large(self._array(1, orders))
        at_once = min(orders.workers or self.queue, len(jobs))
        with Board(jobs, at_once, "slurm", orders) as board:
            queued = _Queued(board, executor, at_once)
            try:
                queued.finish()
            except BaseException:
                queued.cancel()
                raise
        board.close()

    def _executor(self, orders: Orders) -> Any:
        """Submitit's executor; raises `UsageError` where there is no Slurm."""
        if self.cluster == "local":
            executor = submitit.LocalExecutor(_folder(orders))
            executor.update_parameters(timeout_min=self.parameters["time"])
            return executor
        try:
            executor = submitit.SlurmExecutor(_folder(orders), max_num_timeout=1000)
        except RuntimeError:
            raise UsageError(
                "--engine slurm: there is no Slurm here: `srun` is not found (right: a login node "
                "of a cluster, or --engine_args cluster=local)"
            ) from None
        executor.update_parameters(**self.parameters)
        return executor

    def _refuse_too_large(self, script: str) -> None:
        """Raises `UsageError` where no node could ever run a job.

        Slurm may leave it in the queue for good, and says why only where it is asked beforehand.
        """
        command = ["sbatch", "--test-only"]
        told = subprocess.run(command, input=script, capture_output=True, text=True)
        if told.returncode and TOO_LARGE in told.stderr.lower():
            names = {"cpus_per_task": "cpus", "gpus_per_node": "gpus", "mem": "memory"}
            given = [f"{names[n]}={v}" for n, v in self.parameters.items() if n in names]
            raise UsageError(
                f"--engine slurm: no node has what a run is given, {' '.join(given)} "
                f"({told.stderr.strip().splitlines()[-1]})"
            )


class _Queued:
    """Jobs in Slurm's queue, handed in and followed."""

    def __init__(self, board: Board, executor: Any, most: int) -> None:
        self.board, self.executor, self.most = board, executor, most
        self.waiting = list(range(len(board.jobs)))
        self.queued: dict[int, Any] = {}
        self.tries: dict[int, int] = {}
        self.begun: dict[int, int] = {}
        self.gone: set[int] = set()
        self.alike = alike()
        self.asked = self.looked = time.monotonic()

    def finish(self) -> None:
        """Runs all jobs; raises `UsageError` where Slurm refuses them."""
        while self.waiting or self.queued:
            if self.waiting and len(self.queued) <= self.most // 2:
                self._hand_in(self.waiting[: self.most - len(self.queued)])
            time.sleep(TICK)
            self.board.tick()
            if time.monotonic() - self.looked >= LOOK:
                self.looked = time.monotonic()
                for at in list(self.queued):
                    self._look_at(at)
            if time.monotonic() - self.asked >= ASK:
                self.asked = time.monotonic()
                self._ask()

    def cancel(self) -> None:
        """Takes all jobs out of the queue, and ends those that run."""
        for job in self.queued.values():
            with suppress(subprocess.CalledProcessError, OSError):
                job.cancel(check=False)

    def _hand_in(self, chosen: list[int]) -> None:
        try:
            with self.executor.batch():
                handed_in = [self.executor.submit(self._task(at)) for at in chosen]
        except (submitit.core.utils.FailedJobError, OSError) as error:
            lines = [line for line in str(error).splitlines() if "error" in line.lower()]
            reason = (lines or str(error).splitlines())[-1].strip()
            raise UsageError(f"--engine slurm: {reason}") from None
        self.queued |= dict(zip(chosen, handed_in, strict=True))
        self.waiting = [at for at in self.waiting if at not in self.queued]

    def _task(self, at: int) -> Task:
        self.tries[at] = self.tries.get(at, 0) + 1
        orders, job = self.board.orders, self.board.jobs[at]
        log = log_of(job, orders)
        told = self._told(at)
        return Task(Sent.of(job), log and log.absolute(), told, list(orders.preload), self.alike)

    def _told(self, at: int) -> Path:
        return _folder(self.board.orders) / f"told-{at}-{self.tries[at]}.json"

    def _look_at(self, at: int) -> None:
        """Tells what a job has filed: that it began, its steps, its end."""
        told = self._told(at)
        if told.is_file():
            with suppress(UsageError):  # it is just being replaced
                how = read(told, Told)
                if how.begun != self.begun.get(at):
                    self.begun[at] = how.begun
                    self.board.began(at, how.where)
                self.board.step(at, Step(how.done, how.total, how.note))
        job = self.queued[at]
        if job.paths.result_pickle.exists():
            self._ended(at, _outcome(job, self.board.jobs[at].title))

    def _ended(self, at: int, ended: object) -> None:
        job = self.queued.pop(at)
        self.gone.discard(at)
        self.begun.pop(at, None)
        self._told(at).unlink(missing_ok=True)
        for file in (job.paths.submitted_pickle, job.paths.result_pickle):
            file.unlink(missing_ok=True)
        if self.board.ended(at, ended if isinstance(ended, Failure) else None):
            self.waiting.append(at)

    def _ask(self) -> None:
        """Finds jobs that Slurm knows nothing of any more and that left no result."""
        there = self._in_queue()
        for at, job in list(self.queued.items()) if there is not None else ():
            if job.job_id in (there or ()) or job.paths.result_pickle.exists():
                self.gone.discard(at)
            elif at not in self.gone:
                self.gone.add(at)  # its result may not be seen here yet
            else:
                self._ended(at, Failure(self.board.jobs[at].title, _lost(job), usage=False))

    def _in_queue(self) -> set[str] | None:
        """The jobs that are in the queue or run; None where Slurm does not answer just now."""
        if isinstance(self.executor, submitit.LocalExecutor):
            return {job.job_id for job in self.queued.values() if not job.done()}
        try:
            told = subprocess.run(
                ["squeue", "--me", "--noheader", "--array", "--format", "%F_%K %A"],
                capture_output=True,
                text=True,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError):
            self.board.say("Slurm does not answer; it is asked again")
            return None
        return set(told.stdout.split())


def _outcome(job: Any, title: str) -> object:
    """What a job's task returned; a `Failure` where it raised."""
    try:
        return job.result()
    except Exception as error:
        return Failure(title, str(error).strip(), usage=False)


def _lost(job: Any) -> str:
    """What is known of a job that left no result."""
    said = last_words(job.paths.stderr) or last_words(job.paths.stdout)
    if not said and not job.paths.stderr.exists():
        said = f" (nor a log: do all nodes see {job.paths.folder}?)"
    return (
        f"Slurm job {job.job_id} ended without a result: out of memory, a lost node, or "
        f"cancelled{said}"
    )


def _folder(orders: Orders) -> Path:
    """Where submitit keeps what it hands in."""
    return (orders.folder or Path("slurm")).absolute() / "logs" / "slurm"
