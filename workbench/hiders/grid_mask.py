"""GridMask (Chen, Liu, Zhao & Jia 2020): squares at the points of a regular grid are hidden.

A unit of the grid is d pixels a side; of it a square of (1 - r) d is hidden, so that a share (1 - r)² of the image
is, spread evenly: whatever lies in the image is hidden in part, and hardly anything as a whole. d is drawn for each
image, and so is where the grid begins. The chance of a grid rises linearly over the training.

| | paper, released code | here |
|---|---|---|
| d | 96 to 224 pixels of an image of 224 x 224 | the same as shares of the shorter side, 3/7 to 1 |
| r | 0.6 for ImageNet | `keep`, 0.6 |
| chance | 0.8, reached after 240 of 300 epochs | 0.8, reached after `ramp` 0.8 of the training |
| rotation | any angle ("360") or none ("1") | `degrees`, the largest turn; none by default |
| hidden pixels | 0 after normalisation | the mean colour of the training images, which is nearly the same |

Where it does not help: the holes are alike, so that a network can learn to see through a grid; and objects smaller
than a square are hidden whole or not at all.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from workbench.hiders.base import Hider, Sample, Scene, check_range
from workbench.hiders.layers.fills import Fill, filled
from workbench.options import Fraction, Share
from workbench.registry import HIDERS
from workbench.types import Target

Cell = Annotated[float, Field(gt=0, le=4)]  #: share of an image's shorter side
Degrees = Annotated[float, Field(ge=0, le=180)]


@HIDERS.register("grid-mask")
class GridMask(Hider):
    """Hide the squares of a grid over the image.

    Args:
        chance: that an image is changed, once `ramp` of the training is done.
        ramp: share of the training over which `chance` rises from 0.
        cell: shortest and longest side of a unit of the grid, as shares of the image's shorter side.
        keep: r of the paper: the share of a unit's side that stays; (1 - keep)² of the image is hidden.
        degrees: largest turn of the grid, either way.
        fill: "mean" (the mean colour of the training images), "noise", "black" or "grey".

    Example:
        >>> image, target = wb.load_data("digit-scenes", split="test")[7]
        >>> grid = GridMask(chance=1.0, cell=(0.25, 0.25), keep=0.5)
        >>> grid.hide(image, target, Scene.seeded(0))[1]["mask_hidden"].float().mean()
        tensor(0.2500)
    """

    def __init__(
        self,
        *,
        chance: Share = 0.8,
        ramp: Share = 0.8,
        cell: tuple[Cell, Cell] = (3 / 7, 1.0),
        keep: Fraction = 0.6,
        degrees: Degrees = 0.0,
        fill: Fill = "mean",
        **options: Any,
    ):
        super().__init__(chance=chance, ramp=ramp, **options)
        check_range("cell", cell)
        self.cell, self.keep, self.degrees, self.fill = cell, keep, degrees, fill

    def hide(self, image: Tensor, target: Target, scene: Scene) -> Sample:
        """See the class."""
        if not self.wants(scene):
            return image, target
        side = min(image.shape[-2:]) * scene.rng.uniform(*self.cell)
        offset = scene.rng.uniform(0, side, 2)
        angle = math.radians(scene.rng.uniform(-self.degrees, self.degrees))
        hidden = grid_squares(tuple(image.shape[-2:]), side, self.keep, offset=tuple(offset), angle=angle)
        return filled(image, hidden, self.fill, scene.mean, scene.rng), self.still_true(target, hidden)


def grid_squares(
    size: tuple[int, int],
    side: float,
    keep: float,
    *,
    offset: tuple[float, float] = (0.0, 0.0),
    angle: float = 0.0,
) -> Tensor:
    """The pixels [H, W] bool of an image of `size` (height, width) whose centres lie in a square of the grid.

    Args:
        side: of a unit, pixels.
        keep: share of a unit's side that is not part of its square.
        offset: pixels, across and down, by which units begin before the image does.
        angle: radians, by which the grid is turned.

    Example:
        >>> grid_squares((4, 8), 4.0, 0.5, offset=(1.0, 0.0)).int()
        tensor([[0, 0, 0, 0, 0, 0, 0, 0],
                [0, 0, 0, 0, 0, 0, 0, 0],
                [0, 1, 1, 0, 0, 1, 1, 0],
                [0, 1, 1, 0, 0, 1, 1, 0]], dtype=torch.int32)
    """
    y, x = (torch.arange(length, dtype=torch.float64) + 0.5 for length in size)
    cos, sin = math.cos(angle), math.sin(angle)
    across = (x * cos)[None] + (y * sin)[:, None] + offset[0]
    down = (y * cos)[:, None] - (x * sin)[None] + offset[1]
    return (across % side >= keep * side) & (down % side >= keep * side)
