"""Entry of one of several processes of a run: it dies with the process that started it, from its first moment.

It asks the kernel for that before the seconds that `import torch` takes, which is why it is run as a file and not
with `-m`.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h
LEADER = "WORKBENCH_LEADER"  # see `group.py`


def die_with_leader() -> None:
    """Have the kernel (Linux) kill this process when the leader of its group ends in whatever way."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if str(os.getppid()) != os.environ.get(LEADER):  # it ended before the request stood
        sys.exit("the leader of this process has ended")


if __name__ == "__main__":
    die_with_leader()
    runpy.run_module("workbench.training.trainer", run_name="__main__", alter_sys=True)
