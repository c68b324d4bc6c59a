"""Several processes of a run: they meet through a file, and nobody else can reach or feed them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest
import tiny_detector
from tiny_detector import tiny_recipe

from workbench.training import launch
from workbench.training.processes import detached
from workbench.training.processes.record import Record


def test_two_processes_listen_on_the_loopback_only_and_unpickle_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    support = str(Path(tiny_detector.__file__).parent)
    (tmp_path / "slow_tiny.py").write_text(
        "import pickle, tiny_detector\n"
        "tiny_detector.SECONDS_PER_STEP = 0.05\n"
        "def refuse(*_, **__): raise SystemExit('something is unpickled')\n"
        "pickle.loads = pickle.load = pickle.Unpickler = refuse\n"
        "import torch.distributed.distributed_c10d as c10d\n"
        "c10d._unpickler = refuse\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([support, os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("WORKBENCH_PLUGINS", str(tmp_path / "slow_tiny.py"))
    recipe = tiny_recipe({"processes": 2, "stages.0.steps": 60, "log_every": 1, "checkpoint_every": 1000})
    run = launch(recipe, tmp_path / "a run # 2%")
    try:
        while run.alive and run.status != "running":
            time.sleep(0.05)
        assert run.alive, run.log()
        record = Record.read(run.folder)
        assert record is not None
        members = detached.members(record)
        assert len(members) == 3
        open_to = [c.laddr.ip for each in members for c in each.net_connections() if c.status == psutil.CONN_LISTEN]
        assert open_to, "gloo listens"
        assert set(open_to) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
        assert run.stop(grace=60) == "stopped"
        assert [step for step, _ in run.checkpoints] == [run.progress().step]
        assert "unpickled" not in run.log(1000)
        assert not list(run.folder.glob(".meeting-*"))
    finally:
        run.stop(grace=0)
