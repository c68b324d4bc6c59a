"""A run so small that a test can train it: both adversaries against a narrow detector of digits."""

from __future__ import annotations

from pathlib import Path

import torch

from workbench.training import Recipe, Run
from workbench.training.trainer import train

#: Two steps in which nothing but the detector learns, two of the adversaries, two of all.
STAGES = [
    {"train": "detector", "harden": False, "steps": 2, "lr": 1e-3},
    {"train": "hardener", "steps": 2, "lr": 1e-2},
    {"train": "both", "steps": 2, "lr": 1e-3},
]


def adversary_recipe(**changes: object) -> Recipe:
    """Its recipe; a checkpoint for every second step."""
    narrow = {"widths": [8, 8, 8], "blocks": 1, "stem": 8, "name": "small"}
    return Recipe.load("digit-scenes/faster-rcnn", trial=False).replace(
        {
            "name": "adversary", "detector.backbone": narrow, "detector.channels": 8, "detector.head.width": 16,
            "hardener": [{"kind": "asdn", "clean_images": 0}, {"kind": "astn", "clean_images": 0}],
            "data.options": {"length": 8}, "validation": None, "test": None, "stages": STAGES, "ema": 0.9,
            "batch_size": 2, "log_every": 1, "checkpoint_every": 2, "keep": None, "device": "cpu",
            "precision": "float32",
        },
        **changes,
    )  # fmt: skip


def adversary_run(folder: Path, **changes: object) -> Run:
    """Train it here and now."""
    threads = torch.get_num_threads()
    train(adversary_recipe(**changes), folder)
    torch.set_num_threads(threads)
    return Run.open(folder)
