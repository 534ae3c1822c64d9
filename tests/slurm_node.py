"""A real Slurm of one node, this machine, for as long as a test needs it.

    with slurm_node(tmp_path) as environment:
        subprocess.run(["srun", "hostname"], env=os.environ | environment)

Its daemons are the tests' own: key, sockets, state and logs are in one folder, the ports are free
ones, and no other Slurm or munge is asked or touched. Runs as root or as anybody; jobs are of
whoever started it. Debian's packages for it are in `.ci/run`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import slurm_conf

PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
"""Daemons are in sbin, which is not on the PATH of every user."""

PROGRAMS = (
    *("munged", "slurmctld", "slurmd", "setpriv"),
    *("sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun"),
)
ACCOUNTING = ("mariadbd", "slurmdbd", "sacct")
"""What `sacct` needs, from which submitit learns that a job failed or was cancelled."""

PATIENCE = 30.0
"""Seconds that a daemon may take to start on a busy machine; all together usually take five."""


class SlurmError(Exception):
    """Why there is no Slurm here: what is missing, or a daemon and what it last said."""


def available(accounting: bool = True) -> str:
    """Empty where all programs are installed, else which of them are missing."""
    wanted = (*PROGRAMS, *ACCOUNTING) if accounting else PROGRAMS
    missing = [name for name in wanted if not shutil.which(name, path=PATH)]
    return f"not installed: {', '.join(missing)}" if missing else ""


@contextmanager
def slurm_node(folder: Path, accounting: bool = True) -> Iterator[dict[str, str]]:
    """Starts Slurm in an empty folder; gives what its commands need in their environment.

    Without accounting there is no `sacct`, as on some clusters, and no database to start. Raises
    SlurmError where Slurm can't be started. Afterwards no daemon and no job is left, whatever
    happened; the logs stay.
    """
    if missing := available(accounting):
        raise SlurmError(missing)
    node = _Node(folder.resolve())
    try:
        node.start(accounting)
        yield node.environment
    finally:
        node.stop()


def outer_job() -> list[str]:
    """Variables by which Slurm's commands would take themselves to be in a job of another Slurm."""
    return [name for name in os.environ if name.startswith(("SLURM", "SBATCH_", "SRUN_"))]


class _Node:
    """The daemons of one Slurm by name, in the order in which they were started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"PATH": PATH, "SLURM_CONF": str(folder / "slurm.conf")}
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, accounting: bool) -> None:
        """Each waits for the one that it needs."""
        ports = _free_ports(3)
        self._configure(ports, accounting)
        self._start_munge()
        if accounting:
            self._start_database()
            self._launch(["slurmdbd", "-D"], lambda: _listens(ports[2]))
        self._launch(["slurmctld", "-D"], lambda: _listens(ports[0]))
        self._launch(["slurmd", "-D"], lambda: self._asked("sinfo", "-ho", "%T") == "idle")

    def stop(self) -> None:
        """Jobs first, which slurmd would leave running; then daemons, the last one first."""
        with ExitStack() as last_first:
            last_first.callback(shutil.rmtree, self.folder / "database", ignore_errors=True)
            last_first.callback(self._kill_the_rest)
            for daemon in self.daemons.values():
                last_first.callback(_end, daemon)
            last_first.callback(self._end_jobs)

    def _configure(self, ports: Sequence[int], accounting: bool) -> None:
        """Writes what the daemons read; `slurmd -C` says what this machine has."""
        node = self._asked("slurmd", "-C").partition("\n")[0]
        if not node.startswith("NodeName="):
            raise SlurmError(f"slurmd -C does not tell this machine's cores: {node!r}")
        host = node.split()[0].removeprefix("NodeName=")
        told = {"node": node, "host": host, "user": _user(), "folder": self.folder, "ports": ports}
        for name, content in slurm_conf.files(accounting, told).items():
            _write_private(self.folder / name, content.encode())
        for name in ("controller", "worker", "database"):
            (self.folder / name).mkdir()

    def _start_munge(self) -> None:
        """Forced, since pytest's folders are closed to others: to munged a fault of a socket."""
        files = {name: self.folder / f"munge.{name}" for name in ("socket", "key", "log", "pid")}
        _write_private(files["key"], os.urandom(128))
        names = [f"--{name}-file={files[name]}" for name in ("key", "log", "pid")]
        seed = f"--seed-file={self.folder / 'munge.seed'}"
        command = ["munged", "--foreground", "--force", f"--socket={files['socket']}", *names, seed]
        self._launch(command, files["socket"].exists)

    def _start_database(self) -> None:
        """An empty one, which slurmdbd fills; it is reached by its socket alone."""
        at = self.folder / "mariadb.socket"
        quick = ["--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0"]
        private = ["--skip-networking", "--skip-grant-tables", f"--user={_user()}"]
        files = [f"--datadir={self.folder / 'database'}", f"--socket={at}"]
        pid = f"--pid-file={self.folder / 'mariadb.pid'}"
        self._launch(["mariadbd", "--no-defaults", *files, pid, *private, *quick], at.exists)

    def _launch(self, command: Sequence[str], ready: Callable[[], bool]) -> None:
        """Starts a daemon in the foreground, with its log beside it, and waits until it is ready.

        In a session of its own, so that Ctrl-C leaves it to `stop`; and it dies with its parent.
        """
        name = command[0]
        with (self.folder / f"{name}.log").open("wb") as log:
            self.daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                env=self._all_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until = time.monotonic() + PATIENCE
        while not ready():
            for one, daemon in self.daemons.items():
                if daemon.poll() is not None:
                    status = daemon.returncode
                    raise SlurmError(f"{one} ended with status {status}{self._last(one)}")
            if time.monotonic() > until:
                raise SlurmError(f"{name} did not start in {PATIENCE:.0f} s{self._last(name)}")
            time.sleep(0.05)

    def _last(self, name: str) -> str:
        """The end of a daemon's log, in one line: pytest shows no more of why a test skips."""
        lines = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()
        return f": {' | '.join(lines[-5:]) or 'its log is empty'}"

    def _all_environment(self) -> dict[str, str]:
        outer = outer_job()
        own = {name: value for name, value in os.environ.items() if name not in outer}
        own["MYSQL_UNIX_PORT"] = str(self.folder / "mariadb.socket")
        return own | self.environment

    def _asked(self, *command: str) -> str:
        """What a command prints: nothing where it fails."""
        env = self._all_environment()
        try:
            ended = subprocess.run(command, env=env, capture_output=True, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise SlurmError(f"{command[0]} had no answer in {PATIENCE:.0f} s") from None
        return ended.stdout.decode().strip()

    def _end_jobs(self) -> None:
        """A step whose slurmctld is gone before it would wait for it."""
        running = [name for name, daemon in self.daemons.items() if daemon.poll() is None]
        if not {"slurmctld", "slurmd"} <= set(running):
            return
        with suppress(SlurmError):
            self._asked("scancel", "--user", _user(), "--signal=KILL", "--full")
            self._asked("scancel", "--user", _user())
            until = time.monotonic() + PATIENCE
            while self._asked("squeue", "-h") and time.monotonic() < until:
                time.sleep(0.1)

    def _kill_the_rest(self) -> None:
        """What a job left behind in a session of its own, or a step that waits for slurmctld."""
        until = time.monotonic() + PATIENCE
        while (left := processes_of(self.folder)) and time.monotonic() < until:
            for process in left:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.05)


def _end(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()
    try:
        daemon.wait(10)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def processes_of(folder: Path) -> list[int]:
    """Processes that were started with a Slurm's configuration, and steps that use its folder.

    A step writes its title over its environment, but has a file of the folder open.
    """
    folder, found = folder.resolve(), []
    mark = f"SLURM_CONF={folder / 'slurm.conf'}".encode()
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended meanwhile, or somebody else's
            variables = (place / "environ").read_bytes().split(b"\0")
            step = (place / "comm").read_text().startswith("slurmstepd")
            files = [os.readlink(one) for one in (place / "fd").iterdir()] if step else []
            if mark in variables or any(Path(one).is_relative_to(folder) for one in files):
                found.append(int(place.name))
    return found


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        raise SlurmError(f"user {os.getuid()} has no name here, and Slurm needs one") from None


def _write_private(file: Path, content: bytes) -> None:
    """Readable to its owner alone, without which munged and slurmdbd refuse it."""
    file.touch(mode=0o600)
    file.write_bytes(content)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as together:
        taken = [together.enter_context(socket.socket()) for _ in range(count)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in taken]


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
