"""Shared by all tests: one thread per process, and the folder of real data where there is one."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("busy", deadline=None)  # a machine that does other things as well is not a failure
settings.load_profile("busy")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder with real photographs and weights, named by WORKBENCH_DATA."""
    folder = os.environ.get("WORKBENCH_DATA")
    if not folder:
        pytest.skip("set WORKBENCH_DATA to a folder with voc2007-mini, coco-mini, ... to run this test")
    if not Path(folder).is_dir():
        pytest.skip(f"WORKBENCH_DATA names {folder}, which is not a folder")
    return Path(folder)
