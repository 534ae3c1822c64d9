"""A real Ray cluster of some nodes on this machine, for as long as a test needs it.

    with Cluster() as cluster:
        away = cluster.node("away")
        rlhf-testbed experiment ... --engine ray --engine_args address=cluster.address
        away.kill()

Each node is what `ray start` makes of a machine: a raylet with an object store and processes of its
own. `hidden`: folders that a node does not see, as a machine without them would not; `room`: bytes
that it has in their stead; `other`: files of which it has others.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

BIN = Path(sys.executable).parent
PATIENCE = 90.0
"""Seconds that a node may take to be there on a busy machine."""


class Node:
    """One node: the process of `ray start --block` and all that came of it."""

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        words: list[str],
        hidden: Sequence[Path] = (),
        room: int = 2**30,
        other: Mapping[Path, Path] | None = None,
    ) -> None:
        command = [str(BIN / "ray"), "start", "--block", "--num-cpus=1", *words]
        command += [
            "--disable-usage-stats",
            f"--node-name={name}",
            "--object-store-memory=200000000",
        ]
        if hidden or other:
            mount = f"mount -t tmpfs -o size={room} none"
            covers = [f"{mount} {shlex.quote(str(folder))}" for folder in hidden]
            covers += [
                shlex.join(["mount", "--bind", str(there), str(file)])
                for file, there in (other or {}).items()
            ]
            inside = " && ".join([*covers, f"exec {shlex.join(command)}"])
            command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", inside]
        # By this variable every process of the node is found, whatever session it is in.
        self.mark = f"TEST_RAY_NODE={os.getpid()}-{name}-{time.monotonic_ns()}"
        key, _, value = self.mark.partition("=")
        self.log = Path(cluster.folder) / f"{name}.log"
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env=cluster.environment | {key: value},
            )

    def kill(self) -> None:
        """Ends all of the node at once, as a power cut does."""
        for _ in range(3):  # what was just being started
            for pid in self.processes():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.1)
        self.process.wait()

    def processes(self) -> list[int]:
        """Those that have not ended."""
        found = []
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                if self.mark.encode() in environ.read_bytes().split(b"\0"):
                    found.append(int(environ.parent.name))
            except OSError:
                continue
        return found


class Cluster:
    """Some nodes, the first of them the head; use as a context."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port or _free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.environment = dict(os.environ)
        self.environment.pop("RAY_ADDRESS", None)
        self.nodes: list[Node] = []

    def __enter__(self) -> Cluster:
        self.scratch = tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)
        self.folder = self.scratch.name
        self.head()
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.kill()
        self.scratch.cleanup()

    def head(self) -> Node:
        """The head node, or another one in the place of one that is gone."""
        words = ["--head", f"--port={self.port}", "--node-ip-address=127.0.0.1"]
        words += ["--include-dashboard=false"]
        return self._there(Node(self, "head", [*words, f"--temp-dir={self.folder}"]))

    def node(
        self,
        name: str,
        hidden: Sequence[Path] = (),
        room: int = 2**30,
        other: Mapping[Path, Path] | None = None,
    ) -> Node:
        """One more node."""
        # An address of its own, as another machine has: or a program may talk to either node.
        words = [f"--address={self.address}", f"--node-ip-address=127.0.0.{2 + len(self.nodes)}"]
        return self._there(Node(self, name, words, hidden, room, other))

    def _there(self, node: Node) -> Node:
        self.nodes.append(node)
        until = time.monotonic() + PATIENCE
        while "Ray runtime started" not in node.log.read_text():
            if node.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"a node did not start: {node.log.read_text()[-2000:]}")
            time.sleep(0.1)
        return node


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
