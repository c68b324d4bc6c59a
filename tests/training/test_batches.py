"""Proposals are there before the first step, and the log tells how far they are."""

from __future__ import annotations

import logging

import pytest

import workbench as wb
from workbench.training import batches
from workbench.training.trainer import train

PROPOSALS = {"kind": "detector", "name": "digit-scenes/faster-rcnn", "top": 20}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_progress_is_logged_and_a_signal_ends_it(tmp_path, monkeypatch, caplog):
    class Stop:
        name = None

    monkeypatch.setattr(batches, "TOLD_EVERY", -1)
    data = wb.with_proposals(wb.load_data("digit-scenes", split="val", length=3), **PROPOSALS)
    with caplog.at_level(logging.INFO):
        batches.prepare_proposals(data, workers=0, stop=Stop())
    assert caplog.messages[-1] == "proposals of digit-scenes val: 3 of 3 images"
    caplog.clear()
    Stop.name = "SIGTERM"
    with caplog.at_level(logging.INFO):
        batches.prepare_proposals(data, workers=0, stop=Stop())
    assert caplog.messages == ["proposals of digit-scenes val: 1 of 3 images"]


def test_fast_rcnn_trains_on_the_shipped_detectors_proposals(tmp_path):
    """The recipe as it is, but short: its loss falls, and all proposals lie in the cache."""
    changes = {
        "data.options.length": 8, "stages.0.steps": 12, "batch_size": 4, "lr_batch_size": 4, "log_every": 1,
        "schedule": {"kind": "constant"},
    }  # fmt: skip
    recipe = wb.Recipe.load("a-fast-rcnn/digits-fast-rcnn").replace(changes, validation=None, test=None)
    assert train(recipe, tmp_path / "run")
    metrics = wb.Run.open(tmp_path / "run").metrics()
    assert metrics["loss"].iloc[-3:].mean() < metrics["loss"].iloc[:3].mean() - 0.3
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == 8
