"""Data batch by batch, and the losses of a detector on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from workbench.detectors.base import Detector, Learns, asked, evaluating
from workbench.errors import DataError
from workbench.progress import Bar
from workbench.types import Target

if TYPE_CHECKING:
    from workbench.data import Dataset


def batches(data: Dataset, size: int, *, progress: bool) -> Iterator[list[tuple[Tensor, Target]]]:
    """All images with their targets, at most `size` at a time; with a bar if `progress` is wanted.

    Raises:
        DataError: `size` is no whole number of 1 or more.
    """
    if not isinstance(size, Integral) or size < 1:
        raise DataError(f"batch_size: expected a whole number of 1 or more, got {size!r}")
    starts = range(0, len(data), size)
    for start in Bar(starts, desc=f"{data.name} {data.split}", disable=not progress):
        yield [data[index] for index in range(start, min(start + size, len(data)))]


class LossMeans:
    """Means of a detector's losses over the images that are added, batch after batch; it does not learn from them.

    Args:
        detector: whose losses are asked for.
        generator: drawn from for them, such as which RoIs are sampled.

    Raises:
        WorkbenchError: it has no losses.
    """

    def __init__(self, detector: Detector, generator: torch.Generator):
        self.detector, self.learner, self.generator = detector, asked(detector, Learns), generator
        self.sums: dict[str, float] = {}
        self.count = 0

    def add(self, images: Sequence[Tensor], targets: Sequence[Target]) -> None:
        """Take those of the next images."""
        with evaluating(self.detector):  # no gradients, no running statistics of BatchNorm updated
            parts = self.learner.losses(images, targets, self.generator)
        for name, value in parts.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value) * len(images)
        self.count += len(images)

    @property
    def means(self) -> dict[str, float]:
        """By name."""
        return {name: value / self.count for name, value in self.sums.items()}
