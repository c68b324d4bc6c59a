"""A body under a feature pyramid (Lin et al. 2017; thesis ch. 4), or a body that gives one map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock

from workbench.detectors.feature_cache import FeatureCache


class Pyramid(nn.Module):
    """Maps of a body, joined top-down by torchvision's FPN; parameters are named `body.*` and `fpn.*`.

    Args:
        body: images → dict of maps, fine to coarse.
        widths: channels of those maps.
        channels: of every level of the pyramid.
        extra: further levels on top, such as torchvision's LastLevelMaxPool.
    """

    def __init__(
        self, body: nn.Module, widths: Sequence[int], channels: int, extra: ExtraFPNBlock | None = None
    ):
        super().__init__()
        self.body = body
        self.fpn = FeaturePyramidNetwork(list(widths), channels, extra)

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, 3, H, W] → one [B, channels, h, w] per level, fine to coarse."""
        return list(self.fpn(self.body(images)).values())


class SingleMap(nn.Module):
    """Only the last map of a body, such as C4 of a ResNet.

    cache: remembers the maps of training images, for a body that is frozen as a whole.
    """

    def __init__(self, body: nn.Module, cache: FeatureCache | None = None):
        super().__init__()
        self.body = body
        self.cache = cache

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, 3, H, W] → a list of one map [B, C, h, w]."""
        if self.cache is not None and torch.is_grad_enabled():  # only training sees the same images again
            return [self.cache(self._last, images)]
        return [self._last(images)]

    def _last(self, images: Tensor) -> Tensor:
        return list(self.body(images).values())[-1]
