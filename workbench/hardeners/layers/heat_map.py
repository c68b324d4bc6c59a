"""What adversaries that drop cells share: a convolutional network that gives a heat map, and how its masks differ."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class HeatNet(nn.Module):
    """3 x 3 convolutions with ReLU and one more to a single channel: [R, C, h, w] → [R, h w] logits.

    Args:
        channels: C of the features.
        width: channels of the convolutions.
        depth: how many there are before the last one.
    """

    def __init__(self, channels: int, *, width: int = 256, depth: int = 4):
        super().__init__()
        layers: list[nn.Module] = []
        for inputs in (channels, *[width] * (depth - 1)):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        return self.layers(features).flatten(1)


def mask_entropy(dropped: Tensor) -> Tensor:
    """How differently the RoIs lose their cells: 0 if all lose the same, 1 if as evenly as random ones.

    It is the entropy of where cells are lost, scaled between log k and log n. An A that is the same for every RoI
    gives 0.47 with the published fractions, as its sample still differs; very few RoIs give less than many.

    Args:
        dropped: [r, n], 1 for each of the k cells of n that a RoI loses.
    """
    count = dropped.sum()
    entropy = torch.special.entr(dropped.sum(0) / count.clamp(min=1)).sum()
    least = (count / max(1, len(dropped))).clamp(min=1).log()
    return (entropy - least) / (math.log(dropped.shape[1]) - least).clamp(min=1e-6)
