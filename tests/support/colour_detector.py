"""A detector whose attention can be worked out by hand: it knows colours, and each cell adds its brightness."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.detectors.base import Detector
from workbench.types import Detections, Score


class ColourDetector(Detector):
    """RoI features are red, green and blue brightness (0..1) on 4 × 4 cells; class k likes channel k - 1."""

    def __init__(self, classes=("red", "green"), gain: float = 1.0, found=()):
        super().__init__()
        self.classes, self.config, self.found = tuple(classes), {}, found
        weight = torch.zeros(len(classes) + 1, 3)
        weight[1:] = gain * torch.eye(3)[: len(classes)]
        self.weight = nn.Parameter(weight)
        self.looks = 0  # how often features were asked for

    def detect(self, images) -> list[Detections]:
        boxes = torch.tensor([box for box, _ in self.found]).reshape(-1, 4)
        labels = torch.tensor([label for _, label in self.found], dtype=torch.int64)
        return [Detections(boxes, labels, torch.ones(len(labels))) for _ in images]

    def roi_features(self, images, boxes) -> Tensor:
        self.looks += 1
        crops = []
        for image, some in zip(images, boxes, strict=True):
            for x1, y1, x2, y2 in some.round().int().tolist():
                crops.append(image.as_subclass(Tensor)[:, y1:y2, x1:x2].float() / 255)
        return torch.stack([F.adaptive_avg_pool2d(part, 4) for part in crops])

    def head_score(self) -> Score:
        weight = self.weight.detach()
        return Score(lambda features: features.sum(dim=(2, 3)) @ weight.T)
