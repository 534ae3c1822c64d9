"""The server that jobs are forked from: started so that Ctrl-C does not reach it, ended at once.

    context = start_server(["torch"])    imports torch, once for all jobs
    end_server()

Python's own is used. It ends when the program does that started it, but not before it has imported
what it was told to.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any


def start_server(preload: Sequence[str]) -> Any:
    """How processes are started here: forked from a server, or anew where there is no forking."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*preload, "rlhf_testbed.engine.frozen"])
    if threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which a new process inherits
        try:
            forkserver.ensure_running()
        finally:
            signal.signal(signal.SIGINT, before or signal.SIG_DFL)
    return context


def end_server() -> None:
    """Ends the server, whatever it is importing; the next process starts another."""
    with suppress(ImportError, ProcessLookupError):
        from multiprocessing import forkserver

        # Python has no public name for it. Without this the server ends a few seconds later.
        pid = getattr(getattr(forkserver, "_forkserver", None), "_forkserver_pid", None)
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
