"""A detector whose every number can be worked out by hand: its score of a box is the mean brightness there."""

from __future__ import annotations

import time

import torch

from workbench.types import Detections


class BrightDetector:
    """Finds fixed objects, each scored by the mean brightness (0..1) of its box, times `gain`.

    Where `darker` is given, pixels of a box that are darker than that (0..255) are found to hide the object.
    """

    needs_proposals = False

    def __init__(self, classes, boxes, labels, gain=1.0, seconds=0.0, darker=None):
        self.classes = tuple(classes)
        self.boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
        self.labels = torch.tensor(labels, dtype=torch.int64)
        self.gain = gain
        self.seconds = seconds
        self.darker = darker
        self.calls = 0  # of detect

    def _brightness(self, image, box):
        x1, y1, x2, y2 = (round(float(value)) for value in box)
        return self.gain * float(image[:, y1:y2, x1:x2].float().mean()) / 255

    def detect(self, images):
        self.calls += 1
        time.sleep(self.seconds)
        out = []
        for image in images:
            scores = torch.tensor([self._brightness(image, box) for box in self.boxes])
            order = scores.argsort(descending=True)
            extras = {} if self.darker is None else {"masks_occluder": self._dark(image)[order]}
            out.append(Detections(self.boxes[order], self.labels[order], scores[order], extras=extras))
        return out

    def _dark(self, image):
        masks = torch.zeros(len(self.boxes), *image.shape[-2:], dtype=torch.bool)
        for mask, (x1, y1, x2, y2) in zip(masks, self.boxes.int().tolist(), strict=True):
            mask[y1:y2, x1:x2] = image[0, y1:y2, x1:x2] < self.darker
        return masks

    def score_boxes(self, images, boxes):
        out = []
        for image, some in zip(images, boxes, strict=True):
            means = torch.tensor([self._brightness(image, box) for box in some])
            out.append(torch.stack([1 - means, *[means] * len(self.classes)], dim=1))
        return out
