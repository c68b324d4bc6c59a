"""A detector and an image for which every number of a head can be worked out by hand: only red counts."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.detectors.base import Detector
from workbench.types import Score

BOX = torch.tensor([0.0, 0.0, 24.0, 24.0])  # 6 × 6 cells of 4 pixels


class RedDetector(Detector):
    """Two channels, red and green brightness on 6 × 6 cells; the logit of class 1 is the sum of red, others are 0."""

    classes = ("red", "green")

    def __init__(self, hardener: nn.Module | None = None):
        super().__init__()
        self.hardener = hardener
        self.weight = nn.Parameter(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]))

    def roi_features(self, images, boxes) -> Tensor:
        images = torch.stack([image[:2].float() / 255 for image in images])
        return F.adaptive_avg_pool2d(images[:, :, :24, :24], 6)

    def head_score(self) -> Score:
        weight = self.weight.detach()
        return Score(lambda features: features.sum(dim=(2, 3)) @ weight.T)


def red_cells() -> Tensor:
    """One whole red cell in row 2, column 3, and a red cell of 0.4 in the lower right corner of `BOX`."""
    image = torch.zeros(3, 24, 32, dtype=torch.uint8)
    image[0, 8:12, 12:16] = 255
    image[0, 20:24, 20:24] = 102
    return image
