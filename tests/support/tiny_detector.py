"""A detector and data so small that whole runs take a second; for the tests of training.

As a program, `python tiny_detector.py FOLDER SECONDS` trains the recipe in a run folder with them; each step takes
at least SECONDS, or what the variable TINY_SECONDS says.
"""

from __future__ import annotations

import os
import sys
import time

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.data.dataset import Dataset, make_target
from workbench.detectors import Detector
from workbench.hardeners import Hardener
from workbench.options import Number
from workbench.registry import DATASETS, DETECTORS, HARDENERS
from workbench.training import trainer
from workbench.training.recipe import Recipe
from workbench.training.recording.records import log
from workbench.types import Detections, Losses, TrainingStage

CLASSES = ("dark", "bright")
SECONDS_PER_STEP = float(os.environ.get("TINY_SECONDS", 0))


@DETECTORS.register("tiny")
class TinyDetector(Detector):
    """Mean of a convolution → class of the one object, with all kinds of randomness unless `plain`."""

    hardens = "maps"

    def __init__(self, classes: tuple[str, ...], plain: bool = False, explode_at: int | None = None):
        super().__init__()
        self.classes, self.config, self.plain = tuple(classes), {}, plain
        self.explode_at, self.calls = explode_at, 0
        noisy = [] if plain else [nn.BatchNorm2d(4), nn.Dropout(0.2)]
        self.hardener = None
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), *noisy, nn.ReLU())
        self.head = nn.Linear(4, len(classes) + 1)

    def losses(self, images, targets, generator=None) -> Losses:
        time.sleep(SECONDS_PER_STEP)
        batch = torch.stack([image.as_subclass(Tensor).float() / 255 for image in images])
        if not self.plain:
            batch = batch + torch.randn(batch.shape, generator=generator) * 0.01
        logits = self.head(self.body(batch).mean(dim=(2, 3))).float()
        labels = torch.stack([target["labels"][0] for target in targets])
        self.calls += 1
        size = logits.square().mean() * (float("nan") if self.calls == self.explode_at else 1e-3)
        losses = Losses(classifier=F.cross_entropy(logits, labels), size=size)
        if self.hardener is not None and self.hardener.active:
            losses["adversary"] = self.hardener(logits.detach())
        return losses

    def detect(self, images) -> list[Detections]:
        return [Detections(torch.tensor([[1.0, 1, 9, 9]]), torch.tensor([1]), torch.tensor([0.5])) for _ in images]

    def anchors_for(self, height: int, width: int) -> Tensor:
        return torch.tensor([[2.0, 2, 10, 10]])


@HARDENERS.register("tiny-adversary")
class TinyAdversary(Hardener):
    """A hardener with one parameter and a loss of its own."""

    active = True

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    @property
    def health(self) -> dict[str, float]:
        return {"scale": self.scale.item()} if self.active else {}

    def begin_stage(self, stage: TrainingStage) -> None:
        super().begin_stage(stage)
        log.info("the hardener begins a stage: %s, active: %s", stage.train, self.active)

    def forward(self, logits: Tensor) -> Tensor:
        return (self.scale * logits.square().mean()).square()


@DATASETS.register("tiny")
class TinyData(Dataset):
    """Noise images of 12 × 16 pixels with one object, dark or bright."""

    name, classes = "tiny", CLASSES

    def __init__(self, split: str = "train", *, length: Number = 10):
        self.length, self.split = length, split

    def __len__(self) -> int:
        return self.length

    def image(self, index: int) -> Tensor:
        noise = torch.randint(0, 100, (3, 12, 16), generator=torch.Generator().manual_seed(index), dtype=torch.uint8)
        return noise + (index % 2) * 100

    def target(self, index: int) -> dict:
        boxes, labels = torch.tensor([[2.0, 2, 10, 9]]), torch.tensor([1 + index % 2])
        return make_target(image_id=100 + index, size=(12, 16), boxes=boxes, labels=labels, area=torch.tensor([56.0]))

    def size(self, index: int) -> tuple[int, int]:
        return 12, 16


def tiny_recipe(overrides: dict | None = None, /, **values: object) -> Recipe:
    """Twenty steps of four images in float32 on the CPU."""
    plain = {
        "name": "tiny",
        "data": {"name": "tiny"},
        "detector": {"kind": "tiny"},
        "stages": [{"steps": 20, "lr": 0.01}],
        "batch_size": 4, "lr_batch_size": 4, "log_every": 2, "checkpoint_every": 5,
        "precision": "float32", "device": "cpu", "threads": 1, "augment": {"flip": True},
    }  # fmt: skip
    return Recipe.from_dict(plain).replace(overrides, **values)


def train_tiny(folder: str, seconds_per_step: float = 0.0, environment: dict[str, str] | None = None) -> None:
    """What a process of a test does."""
    global SECONDS_PER_STEP
    SECONDS_PER_STEP = seconds_per_step
    os.environ.update(environment or {})
    sys.exit(trainer.main([folder]))


if __name__ == "__main__":
    train_tiny(sys.argv[1], float(sys.argv[2]))
