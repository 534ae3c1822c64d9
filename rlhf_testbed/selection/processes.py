"""Which of a launch's processes this is: asked of accelerate, in one way by everybody who asks.

torchrun --nproc_per_node 2 -m rlhf_testbed.train ...    two processes, with or without a GPU
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import PartialState


def processes(use_cpu: bool) -> PartialState:
    """This process among those of its launch.

    Without being told, accelerate takes each process on a machine without a GPU to be alone.
    """
    return PartialState(cpu=use_cpu or not torch.accelerator.is_available())


@contextmanager
def launched(use_cpu: bool) -> Iterator[PartialState]:
    """This process among those of its launch, which end together.

    One that left while another still files would take the group's threads down as Python exits,
    which aborts it now and then, and its launcher would then stop the one that files.
    """
    state = processes(use_cpu)
    try:
        yield state
        state.wait_for_everyone()
    finally:
        state.destroy_process_group()
