"""Bright objects on dark images, and detectors that say of themselves what they need to see, for tests of audits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from workbench.data import Dataset
from workbench.data.dataset import make_target
from workbench.detectors.base import Detector
from workbench.types import Detections, Target

Found = Callable[
    [np.ndarray, str], float
]  #: from the visible pixels of an object's box [h, w] and its class: a score


class BrightObjects(Dataset):
    """Rectangles in a colour that no occluder has; image k is as dark as 10 + k.

    Args:
        objects: of each image: class, x1, y1, x2, y2 in pixels.
        masks: give them, as whole rectangles.
        size: height and width.
    """

    name, split = "bright", "test"

    def __init__(
        self,
        objects: Sequence[Sequence[tuple[str, int, int, int, int]]],
        *,
        masks: bool = True,
        size: tuple[int, int] = (60, 80),
        classes: Sequence[str] = ("cat", "dog"),
        more: dict[str, Any] | None = None,
    ):
        self.objects, self.masks, self._size, self.classes = objects, masks, size, tuple(classes)
        self.more = more or {}

    def __len__(self) -> int:
        return len(self.objects)

    def size(self, index: int) -> tuple[int, int]:
        return self._size

    def image(self, index: int) -> torch.Tensor:
        image = torch.full((3, *self._size), 10 + index, dtype=torch.uint8)
        for number, (_, x1, y1, x2, y2) in enumerate(self.objects[index]):
            image[:, y1:y2, x1:x2] = torch.tensor([251, 13 + number, 77], dtype=torch.uint8)[:, None, None]
        return image

    def target(self, index: int) -> Target:
        boxes = torch.tensor([box for _, *box in self.objects[index]], dtype=torch.float32).reshape(-1, 4)
        labels = torch.tensor([self.classes.index(name) + 1 for name, *_ in self.objects[index]], dtype=torch.int64)
        masks = torch.zeros(len(boxes), *self._size, dtype=torch.bool)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist(), strict=True):
            mask[y1:y2, x1:x2] = True
        area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        target = make_target(
            image_id=100 + index,
            size=self._size,
            boxes=boxes,
            labels=labels,
            area=area,
            masks=masks if self.masks else None,
        )
        return target | {key: values[index] for key, values in self.more.items()}  # type: ignore[return-value]


class Seeing(Detector):
    """Finds an object exactly as it is, with the score that a function of its visible pixels gives; 0: not at all.

    A pixel is visible where the image is as the clean one. Which image it is shown it finds by itself.
    """

    def __init__(self, data: BrightObjects, found: Found):
        super().__init__()
        self.data, self.found, self.classes = data, found, data.classes
        self.clean = np.stack([data.image(index).numpy() for index in range(len(data))])
        self.shown = 0

    def detect(self, images: Sequence[torch.Tensor], proposals: object = None) -> list[Detections]:
        return [self._one(image.numpy()) for image in images]

    def _one(self, image: np.ndarray) -> Detections:
        self.shown += 1
        same = (self.clean == image).all(axis=1)  # [images, H, W]
        index = int(same.sum(axis=(1, 2)).argmax())
        scored = []
        for name, x1, y1, x2, y2 in self.data.objects[index]:
            score = self.found(same[index, y1:y2, x1:x2], name)
            if score > 0:
                scored.append((score, self.data.classes.index(name) + 1, (x1, y1, x2, y2)))
        scored.sort(key=lambda one: -one[0])
        return Detections(
            torch.tensor([box for *_, box in scored], dtype=torch.float32).reshape(-1, 4),
            torch.tensor([label for _, label, _ in scored], dtype=torch.int64),
            torch.tensor([score for score, *_ in scored], dtype=torch.float32),
        )


def half_seen(visible: np.ndarray, name: str) -> float:
    """Found if at least half of its pixels are visible."""
    return 0.9 if visible.mean() >= 0.5 else 0.0


def left_seen(visible: np.ndarray, name: str) -> float:
    """Found if all of its left half is visible."""
    return 0.8 if visible[:, : visible.shape[1] // 2].all() else 0.0


def how_much(visible: np.ndarray, name: str) -> float:
    """Always found; the score is the visible share."""
    return float(visible.mean())


class ScoringBoxes(Seeing):
    """Also says what it thinks of given boxes, by what it sees of an object whose box it is.

    An object that `found` finds has probability 0.8 of its own class and 0.15 of the next one, else 0.1 and 0.3; any
    other box is as probably an object of class 1 as it overlaps the nearest one.
    """

    def __init__(self, data: BrightObjects, found: Found):
        super().__init__(data, found)
        self.images: list[np.ndarray] = []  #: that it was shown
        self.boxes: list[np.ndarray] = []  #: that it was asked about in each

    def score_boxes(self, images: Sequence[torch.Tensor], boxes: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        return [self._scores(image.numpy(), own.numpy()) for image, own in zip(images, boxes, strict=True)]

    def _scores(self, image: np.ndarray, boxes: np.ndarray) -> torch.Tensor:
        self.images.append(image)
        self.boxes.append(boxes)
        same = (self.clean == image).all(axis=1)
        index = int(same.sum(axis=(1, 2)).argmax())
        scores = torch.zeros(len(boxes), len(self.classes) + 1)
        for row, box in zip(scores, boxes, strict=True):
            best = 0.0
            for name, *own in self.data.objects[index]:
                if box.tolist() == own:
                    x1, y1, x2, y2 = own
                    label = self.classes.index(name)
                    row[1:] = 0.0
                    seen = self.found(same[index, y1:y2, x1:x2], name) > 0
                    row[1 + label], row[1 + (label + 1) % len(self.classes)] = (0.8, 0.15) if seen else (0.1, 0.3)
                    break
                low, high = np.maximum(box[:2], own[:2]), np.minimum(box[2:], own[2:])
                shared = float((high - low).clip(min=0).prod())
                areas = [float((one[2] - one[0]) * (one[3] - one[1])) for one in (box, own)]
                best = max(best, shared / (sum(areas) - shared))
                row[1] = best
        scores[:, 0] = 1 - scores[:, 1:].sum(1)
        return scores
