"""Random jitter of proposals: the control that ASTN must beat (A-Fast-RCNN, sec. 5.2.1: 57.3 against 58.1 mAP).

Scale, aspect ratio and rotation of the proposals change at random while the detector learns. The paper gives no
amounts; ours keep most boxes on their object, and the rotation has ASTN's limit. Pooling is along the axes of the
image, so a proposal is turned by turning what was pooled: one angle for all channels, the border repeated outside.
A jittered RoI keeps its label, and its box is regressed from where it has moved to.

It does not help much where proposals vary by themselves: a region proposal network jitters for free.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from workbench.hardeners.astn import rotate
from workbench.hardeners.base import uniform
from workbench.options import Number, check_options

Stretch = Annotated[float, Field(ge=1, allow_inf_nan=False)]  #: largest factor, either way


class Jitter:
    """Changes proposals at random.

    Args:
        scale: largest factor of both sides, either way; log-uniform.
        aspect: largest factor of width / height, either way; log-uniform. The area stays.
        rotation: largest angle in degrees, either way; uniform.
        clean_images: leave the RoIs of so many images of the batch alone, but never of all.

    Raises:
        RecipeError: an option outside its range.
    """

    def __init__(
        self,
        *,
        scale: Stretch = 1.2,
        aspect: Stretch = 1.2,
        rotation: Annotated[float, Field(ge=0, le=180)] = 10.0,
        clean_images: Number = 1,
    ):
        self.scale = scale
        self.aspect = aspect
        self.rotation = rotation
        self.clean_images = clean_images

    def move(self, rois: list[Tensor], generator: torch.Generator) -> list[Tensor]:
        """Boxes [S, 4] of each image with other sizes and shapes, about the same centres."""
        clean = self._clean(len(rois))
        return rois[:clean] + [self._reshape(boxes, generator) for boxes in rois[clean:]]

    def turn(self, pooled: Tensor, counts: list[int], generator: torch.Generator) -> Tensor:
        """Pooled features [R, C, h, w] of `counts` RoIs of each image, each turned by an angle of its own."""
        clean = sum(counts[: self._clean(len(counts))])
        if self.rotation == 0 or clean == len(pooled):
            return pooled
        draws = 2 * uniform((len(pooled) - clean, 1), pooled, generator) - 1
        turned = rotate(pooled[clean:], math.radians(self.rotation) * draws, padding="border")
        return torch.cat([pooled[:clean], turned])

    def _clean(self, images: int) -> int:
        return min(self.clean_images, max(0, images - 1))

    def _reshape(self, boxes: Tensor, generator: torch.Generator) -> Tensor:
        scale, aspect = (2 * uniform((2, len(boxes)), boxes, generator) - 1).unbind()
        factor, shape = self.scale**scale, self.aspect ** (aspect / 2)
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        half = (boxes[:, 2:] - boxes[:, :2]) / 2 * torch.stack([factor * shape, factor / shape], dim=1)
        return torch.cat([centres - half, centres + half], dim=1).to(boxes.dtype)


def build_jitter(config: dict | None) -> Jitter | None:
    """The jitter that a recipe describes; None is none.

    Raises:
        RecipeError: an option is unknown or wrong.
    """
    if config is None:
        return None
    return Jitter(**check_options("roi.jitter", Jitter, config))
