"""Processes that start at once: forks of one that has imported what they use, but used none of it.

Python has one such server for all of a process's tests, and what it has imported is settled when the first asks.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from unittest import mock

#: Of runs, of their evaluation, and of those who annotate.
IMPORTED = ("workbench.training.trainer", "tiny_detector", "faster_coco_eval", "annotating")


@cache
def forks() -> ForkServerContext:
    """The context of these processes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path))):
        forkserver.ensure_running()
    return context
