"""Hide-and-Seek (Singh & Lee, ICCV 2017): the image is divided into a grid, and its cells are hidden at random.

Every cell is hidden with the same probability, and hidden cells take the mean colour of the training images: so the
mean of what a convolution sees is the same with and without hiding (sec. 3.1 of the paper). The paper divides images
of 224 pixels into cells of 44 or 56 (its best for localisation), the released code draws from 16, 32, 44, 56 and "no
grid" for each image; half of the cells are hidden.

| | paper, released code | here |
|---|---|---|
| size of a cell | pixels of an image of 224 x 224 | cells along the shorter side, for images of any size |
| sizes | 0, 16, 32, 44, 56 pixels | 14, 7, 5 and 4 cells; "0" is a `chance` of 0.8 |
| what it is for | labels of images | boxes and masks, too: objects of which too little is left are ignored |

Where it does not help: it was made for localisation from labels of images, where boxes must not be known. Half of all
cells hide half of every object, and of small ones often all.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from workbench.hiders.base import Hider, Sample, Scene
from workbench.hiders.layers.fills import Fill, filled
from workbench.options import Count, Share
from workbench.registry import HIDERS
from workbench.types import Target


@HIDERS.register("hide-and-seek")
class HideAndSeek(Hider):
    """Hide random cells of a grid over the image.

    Args:
        chance: that an image is changed.
        cells: along its shorter side; one of these is drawn. Cells are squares, the last of a row may be narrower.
        share: probability of each cell to be hidden.
        fill: "mean" (the mean colour of the training images), "noise", "black" or "grey".

    Example:
        >>> image, target = wb.load_data("digit-scenes", split="test")[7]
        >>> seek = HideAndSeek(chance=1.0, cells=(4,), share=0.3)
        >>> hidden = seek.hide(image, target, Scene.seeded(0))[1]["mask_hidden"]
        >>> [[int(cell) for cell in row] for row in hidden[::32, ::32]]
        [[1, 1, 1, 0], [0, 0, 0, 0], [0, 0, 1, 0], [1, 0, 1, 0]]
    """

    def __init__(
        self,
        *,
        chance: Share = 0.8,
        cells: Annotated[tuple[Count, ...], Field(min_length=1)] = (4, 5, 7, 14),
        share: Share = 0.5,
        fill: Fill = "mean",
        **options: Any,
    ):
        super().__init__(chance=chance, **options)
        self.cells, self.share, self.fill = tuple(cells), share, fill

    def hide(self, image: Tensor, target: Target, scene: Scene) -> Sample:
        """See the class."""
        if not self.wants(scene):
            return image, target
        height, width = image.shape[-2:]
        side = min(height, width) / self.cells[scene.rng.integers(len(self.cells))]
        row, column = ((torch.arange(length) / side).long() for length in (height, width))
        grid = torch.from_numpy(scene.rng.random((int(row[-1]) + 1, int(column[-1]) + 1)) < self.share)
        hidden = grid[row[:, None], column]
        return filled(image, hidden, self.fill, scene.mean, scene.rng), self.still_true(target, hidden)
