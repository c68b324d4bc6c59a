"""Networks for recognising faces: InsightFace's LResNet34E-IR, 50 and 100 (Deng et al. 2019, ArcFace, sec. 3.1).

The letters say how they differ from a ResNet.

- L: the first convolution is 3x3 with stride 1, so that maps of a face of 112 px are large.
- IR, "improved residual": a unit is BN, 3x3 convolution, BN, PReLU, 3x3 convolution with the stride, BN, and nothing
  follows the sum.
- E: the last map, of 7 x 7 cells, is not averaged: BN, dropout, a linear layer and BN whose scale is 1 make of it the
  vector of 512 numbers.

They see pixels p of 0..255 as (p - 127.5) / 128, RGB. Parameters have the names of InsightFace's PyTorch code
(`iresnet50`), so that its state dicts load. Behind the vector is a linear layer for classes, which those do not have.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

UNITS = {"lresnet34e-ir": (3, 4, 6, 3), "lresnet50e-ir": (3, 4, 14, 3), "lresnet100e-ir": (3, 13, 30, 3)}
SIZE = 112  #: pixels a side of the faces
MEAN, STD = (0.5, 0.5, 0.5), (128 / 255, 128 / 255, 128 / 255)  #: of pixels in 0..1
WIDTHS = (64, 128, 256, 512)
VECTOR = 512
DROPOUT = 0.4


class ImprovedUnit(nn.Module):
    """One residual unit; see the module."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, h, w] → [N, outputs, h / stride, w / stride]."""
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        y = self.bn3(self.conv2(y))
        return y + (x if self.downsample is None else self.downsample(x))


class UnitScaleNorm(nn.BatchNorm1d):
    """BatchNorm whose scale is 1 and does not learn (`fix_gamma`)."""

    def __init__(self, width: int):
        super().__init__(width)
        del self.weight
        self.register_buffer("weight", torch.ones(width))


class FaceNetwork(nn.Module):
    """Faces → vectors → what `logits` makes of them.

    Args:
        units: of each stage.
    """

    def __init__(self, units: tuple[int, ...]):
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.prelu = nn.PReLU(WIDTHS[0])
        inputs = WIDTHS[0]
        for number, (width, count) in enumerate(zip(WIDTHS, units, strict=True), start=1):
            stage = [ImprovedUnit(inputs, width, 2), *(ImprovedUnit(width, width, 1) for _ in range(count - 1))]
            self.add_module(f"layer{number}", nn.Sequential(*stage))
            inputs = width
        self.bn2 = nn.BatchNorm2d(inputs)
        self.dropout = nn.Dropout(DROPOUT)
        self.fc = nn.Linear(inputs * (SIZE // 2 ** len(WIDTHS)) ** 2, VECTOR)
        self.features = UnitScaleNorm(VECTOR)
        self.logits = nn.Linear(VECTOR, 1)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.normal_(part.weight, std=0.1)

    def forward(self, images: Tensor) -> Tensor:
        """[N, 3, 112, 112] → what `logits` makes of the vectors."""
        x = self.prelu(self.bn1(self.conv1(images)))
        for number in range(1, len(WIDTHS) + 1):
            x = getattr(self, f"layer{number}")(x)
        return self.logits(self.features(self.fc(self.dropout(torch.flatten(self.bn2(x), 1)))))
