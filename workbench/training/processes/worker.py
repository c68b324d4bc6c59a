"""Entry of one torchrun worker: it dies with the agent that started it, from its first moment.

torchrun puts its workers in sessions of their own, so that a killed agent would leave them behind. The trainer sees
to that itself once it runs; this stands before the seconds that `import torch` takes, which is why it is run as a
file and not with `-m`.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

import psutil

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_agent() -> None:
    """Have the kernel (Linux) kill this process when torchrun's agent, its parent, ends in whatever way."""
    agent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        there = "torch.distributed.run" in psutil.Process(agent).cmdline() and os.getppid() == agent
    except psutil.Error:
        there = False
    if not there:  # it ended before the request stood
        sys.exit("the torchrun agent of this worker has ended")


if __name__ == "__main__":
    die_with_agent()
    runpy.run_module("workbench.training.trainer", run_name="__main__", alter_sys=True)
