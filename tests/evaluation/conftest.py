"""A data set in memory and a detector that knows its answers, for the tests of evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from workbench.data import Dataset
from workbench.detectors.base import Detector
from workbench.types import Detections, Losses, Target


class InMemory(Dataset):
    """Black images with given targets; pixel [0, 0, 0] holds the image's number."""

    name, split = "toy", "test"

    def __init__(self, targets: Sequence[Target], classes: Sequence[str], size: tuple[int, int]):
        self.targets, self.classes, self._size = list(targets), tuple(classes), size

    def __len__(self) -> int:
        return len(self.targets)

    def image(self, index: int) -> Tensor:
        image = torch.zeros(3, *self._size, dtype=torch.uint8)
        image[0, 0, 0] = index
        return image

    def target(self, index: int) -> Target:
        return self.targets[index]

    def size(self, index: int) -> tuple[int, int]:
        return self._size


class Oracle(Detector):
    """Answers each image by its number; its losses are that number and a random draw."""

    def __init__(self, answers: Sequence[Detections], classes: Sequence[str]):
        super().__init__()
        self.answers, self.classes = list(answers), tuple(classes)
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.norm = torch.nn.BatchNorm1d(1)
        self.batches: list[int] = []

    def detect(self, images: Sequence[Tensor]) -> list[Detections]:
        self.batches.append(len(images))
        return [self.answers[int(image[0, 0, 0])] for image in images]

    def losses(
        self,
        images: Sequence[Tensor],
        targets: Sequence[Target],
        generator: torch.Generator | None = None,
    ) -> Losses:
        numbers = torch.stack([image[0, 0, 0].float() for image in images])
        self.norm(numbers[:, None])
        return Losses(number=self.scale * numbers.mean(), chance=torch.rand((), generator=generator))


def make_target(rows: Sequence[Sequence[float]], **extra: Sequence) -> Target:
    """A target from rows (x1, y1, x2, y2, label); `extra` holds further keys, such as occlusion."""
    table = torch.tensor([list(row) for row in rows], dtype=torch.float32).reshape(-1, 5)
    kinds = {"iscrowd": torch.bool, "difficult": torch.bool, "masks": torch.bool}
    more = {key: torch.as_tensor(value, dtype=kinds.get(key, torch.float32)) for key, value in extra.items()}
    return Target(boxes=table[:, :4], labels=table[:, 4].long(), **more)


def make_found(rows: Sequence[Sequence[float]]) -> Detections:
    """Detections from rows (x1, y1, x2, y2, label, score)."""
    table = torch.tensor([list(row) for row in rows], dtype=torch.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4].long(), table[:, 5])


@pytest.fixture(scope="session")
def target() -> Callable[..., Target]:
    return make_target


@pytest.fixture(scope="session")
def found() -> Callable[..., Detections]:
    return make_found


@pytest.fixture(scope="session")
def in_memory() -> Callable[..., InMemory]:
    def build(
        targets: Sequence[Target], classes: Sequence[str] = ("one", "two"), size: tuple[int, int] = (100, 100)
    ) -> InMemory:
        return InMemory(targets, classes, size)

    return build


@pytest.fixture(scope="session")
def oracle() -> Callable[..., Oracle]:
    def build(answers: Sequence[Detections], classes: Sequence[str] = ("one", "two")) -> Oracle:
        return Oracle(answers, classes)

    return build
