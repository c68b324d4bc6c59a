"""Which checkpoints stay while the losses are as they should be, and while they are not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from workbench.training.recording import keeping
from workbench.training.recording.checkpoint import checkpoint_step, checkpoints
from workbench.training.recording.keeping import Keeping


def steps(folder: Path) -> list[int]:
    return [checkpoint_step(path) for path in checkpoints(folder)]


def test_the_folder_is_looked_through_once_for_each_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while the losses are too large, when no checkpoint becomes a good one; the last good one stays."""
    (tmp_path / "checkpoints").mkdir()
    looked = []
    drop = keeping.drop_old_checkpoints
    monkeypatch.setattr(keeping, "drop_old_checkpoints", lambda *a, **k: (looked.append(1), drop(*a, **k)))
    kept = Keeping(tmp_path, keep=1, ends=set(), active=True)
    kept.watch.begin_stage()
    for step in range(1, 41):
        kept.look_at(step, 1.0 if step <= 15 else 100.0)
        if step % 10 == 0:
            kept.save({"step": step, "weight": torch.zeros(1)})
    assert steps(tmp_path) == [10, 30, 40]
    kept.look_at(41, 100.0)
    assert steps(tmp_path) == [10, 40]
    assert len(looked) == 4
