"""Which of a launch's processes this is: asked of accelerate, in one way by everybody who asks.

torchrun --nproc_per_node 2 -m rlhf_testbed.train ...    two processes, with or without a GPU
"""

from __future__ import annotations

import torch
from accelerate import PartialState


def processes(use_cpu: bool) -> PartialState:
    """This process among those of its launch.

    Without being told, accelerate takes each process on a machine without a GPU to be alone.
    """
    return PartialState(cpu=use_cpu or not torch.accelerator.is_available())
