"""What a DeepMask finds in the windows of an image, scale by scale, and which windows its proposals are from."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from workbench.detectors.layers.mask_refinement import Windows
from workbench.types import Proposals


class Found(NamedTuple):
    """The windows of one scale of an image."""

    vectors: Tensor  #: [h, w, width]
    scores: Tensor  #: [h, w] logits
    shared: list[Tensor | None]  #: see `DeepMask.shared`
    boxes: Tensor  #: [h * w, 4] xyxy pixels of the image

    def places(self, cells: Tensor) -> Windows:
        """Where windows begin on the coarsest map, of their numbers [N] row by row."""
        columns = self.scores.shape[1]
        return Windows(torch.zeros_like(cells), cells // columns, cells % columns)


class Ranked(NamedTuple):
    """Proposals of an image, and the windows that they are from."""

    proposals: Proposals
    scales: list[Found]
    windows: Tensor  #: [P] int64, row by row and scale after scale

    def window(self, place: int) -> tuple[Found, Tensor]:
        """The scale of a proposal, by its place from 0 on, and the number [1] of its window there."""
        cell, scales = self.windows[place : place + 1], iter(self.scales)
        scale = next(scales)
        while int(cell) >= scale.scores.numel():
            cell, scale = cell - scale.scores.numel(), next(scales)
        return scale, cell
