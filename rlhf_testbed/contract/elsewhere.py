"""The same in another process: jobs and evaluation make and judge elsewhere what is made here.

    ask_alike(fingerprint, "my_pkg.my_task:Ledger")    Broken: another process makes others ...

`hash` and the order of a set differ from process to process, and with them all that follows.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

from rlhf_testbed.contract.rules import ask


def ask_alike(function: Callable[..., str], *names: str) -> None:
    """Raises `Broken` where another process finds something else by the same function.

    `function` must be importable by its name, and prints well: one word.
    """
    program = (
        f"import sys\nfrom {function.__module__} import {function.__name__} as function\n"
        "print(function(*sys.argv[1:]))"
    )
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    other = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    ended = subprocess.run(
        [sys.executable, "-c", program, *names],
        env=os.environ | {"PYTHONHASHSEED": other, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    said = (ended.stderr.strip() or "?").splitlines()[-1]
    ask(not ended.returncode, f"another process failed: {said}")
    ask(
        ended.stdout.split()[-1:] == [function(*names)],
        "another process makes others (hash, or the order of a set?)",
    )
