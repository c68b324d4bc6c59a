"""Random spatial dropout on RoI features: the control that any learned or attention-guided mask must beat.

Cells of the pooled map are dropped for all channels, at random or as one square block (as in DropBlock). It
knows nothing of the object, so what it gains is due to fewer visible cells alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workbench.hardeners.base import Hardener, MaskDecision, candidates, draw_rows, uniform
from workbench.options import Count, Number, Share
from workbench.registry import HARDENERS
from workbench.types import RoIBatch


def random_cells(
    num_rois: int, height: int, width: int, drop: float, like: Tensor, generator: torch.Generator
) -> Tensor:
    """Masks [R, 1, h, w] with the nearest whole number of `drop` * h * w cells dropped at random."""
    scores = uniform((num_rois, height * width), like, generator)
    count = round(drop * height * width)
    mask = torch.ones_like(scores)
    mask.scatter_(1, scores.topk(count, dim=1).indices, 0.0)
    return mask.view(num_rois, 1, height, width)


def random_blocks(
    num_rois: int, height: int, width: int, side: int, like: Tensor, generator: torch.Generator
) -> Tensor:
    """Masks [R, 1, h, w] with one side x side block dropped at a random place inside the map."""
    draws = uniform((num_rois, 2), like, generator)
    top = (draws[:, 0] * (height - side + 1)).long()
    left = (draws[:, 1] * (width - side + 1)).long()
    y = torch.arange(height, device=like.device)[None, :] - top[:, None]
    x = torch.arange(width, device=like.device)[None, :] - left[:, None]
    inside = ((y >= 0) & (y < side))[:, :, None] & ((x >= 0) & (x < side))[:, None, :]
    return (~inside).float()[:, None]


@HARDENERS.register("random-dropout")
class RandomDropout(Hardener):
    """Drop random cells of some RoIs.

    Args:
        share: fraction of RoIs that are masked.
        drop: fraction of cells dropped in each of them.
        block: side in cells of one square block to drop instead.
        foreground_only: leave background RoIs alone.
        clean_images: leave the RoIs of so many images of the batch alone. A-Fast-RCNN's control is
            {share: 1, drop: 13/36, foreground_only: true, clean_images: 1}.

    Example:
        >>> from workbench.types import RoIBatch, Score
        >>> features, labels, image = torch.ones(2, 8, 4, 4), torch.tensor([3, 0]), torch.tensor([0, 0])
        >>> batch = RoIBatch(features, labels, image, Score(lambda maps: maps.mean((2, 3))), torch.Generator())
        >>> hardener = RandomDropout(share=1.0, drop=1 / 4, foreground_only=True)
        >>> hardener(batch).mask.mean(dim=(1, 2, 3))  # the second RoI is background
        tensor([0.7500, 1.0000])
    """

    mixed = True

    def __init__(
        self,
        *,
        share: Share = 0.2,
        drop: Share = 1 / 3,
        block: Count | None = None,
        foreground_only: bool = False,
        clean_images: Number = 0,
    ):
        super().__init__()
        self.share = share
        self.drop = drop
        self.block = block
        self.foreground_only = foreground_only
        self.clean_images = clean_images

    def decide(self, batch: RoIBatch) -> MaskDecision:
        """Masks [R, 1, h, w]; see the class."""
        _, _, height, width = batch.features.shape
        allowed = candidates(batch, foreground_only=self.foreground_only, clean_images=self.clean_images)
        rows = draw_rows(allowed, self.share, batch.generator)
        if self.block is None:
            dropped = random_cells(len(rows), height, width, self.drop, batch.features, batch.generator)
        else:
            side = min(self.block, height, width)
            dropped = random_blocks(len(rows), height, width, side, batch.features, batch.generator)
        return MaskDecision(dropped, rows)
