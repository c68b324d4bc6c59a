"""Whatever is computed works on an accelerator, shown on a pretend one in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import on_accelerator
import pretend_device
import pytest

from workbench.registry import DETECTORS, HARDENERS

SUPPORT = Path(on_accelerator.__file__).parent
#: That the pretend device refuses what a real one refuses; each must raise.
REFUSED = """
import sys, pretend_device, torch
pretend_device.install()
there, here = torch.ones(3, device="pretend"), torch.ones(3)
for right in (there + 1, there + torch.tensor(2.0), torch.zeros(1, device="pretend"), there.view(1, 3)):
    assert right.device == there.device == torch.device("pretend", 0)
assert not there.is_cuda and there[torch.tensor([0, 2])].tolist() == [1, 1] and (there * 2).cpu().sum() == 6
mixed = lambda: there + here, lambda: torch.cat([there, here]), lambda: here[there > 0]
for wrong in (*mixed, there.numpy, there.double):
    try:
        wrong()
    except (RuntimeError, TypeError):
        continue
    sys.exit("was not refused")
"""

pytestmark = pytest.mark.skipif(not pretend_device.AVAILABLE, reason="this torch has no backends in Python")


def run_python(*arguments: str) -> str:
    # without a real one, as torch knows one accelerator at a time
    environment = os.environ | {
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_pretend_device_refuses_what_a_real_one_refuses():
    run_python("-c", REFUSED)


def test_every_case_works_on_an_accelerator(tmp_path, monkeypatch):
    """In one process for all of them, which takes half a minute to begin and end."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    errors = json.loads(run_python(str(SUPPORT / "on_accelerator.py")).splitlines()[-1])
    assert list(errors) == list(on_accelerator.CASES)
    failed = {case: error for case, error in errors.items() if error is not None}
    assert not failed, "\n".join(f"{case}: {error}" for case, error in failed.items())


def test_all_kinds_are_tried():
    tried = {config["kind"] for config in on_accelerator.DETECTORS_TRIED.values()}
    assert set(DETECTORS.homes) <= tried, "give a new kind a small form"
    assert set(HARDENERS.homes) <= {name.split()[1].strip(",") for name in on_accelerator.CASES if "hardener" in name}
