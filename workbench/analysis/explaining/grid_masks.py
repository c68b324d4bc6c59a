"""Random masks of RISE (Petsiuk et al. 2018): coarse grids, enlarged and shifted.

A mask is h × w cells, each kept with probability p, enlarged bilinearly to (h + 1) C_H × (w + 1) C_W pixels with
C = ⌈side / cells⌉, and cut out at a random place of the first C_H × C_W. The numbers are those of OpenCV's
INTER_LINEAR, as public code of D-RISE has it.

A mask is a product of its cells with one matrix for each axis, so a batch of them costs two small matrix products,
and nothing of the enlarged size is ever held but the batch itself. They are drawn apart from their use.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from workbench.errors import DataError

BLOCK = 256  #: masks drawn at once: the n-th mask is the same whatever the batch size and the budget
FILLS = ("black", "mean", "blur")  #: what is seen where an image is masked


@dataclass(frozen=True)
class GridMasks:
    """An endless series of masks of an image, the same for the same seed."""

    size: tuple[int, int]  #: height and width of the image
    cells: tuple[int, int]  #: down and across
    keep: float  #: p, the chance of a cell to be seen
    seed: int

    def __post_init__(self) -> None:
        if min(self.cells) < 1 or not 0 < self.keep < 1:
            raise DataError(
                f"grid {self.cells} and keep {self.keep}; expected whole numbers from 1, and a share in (0, 1)"
            )

    @property
    def cell(self) -> tuple[int, int]:
        """Height and width of a cell in pixels."""
        return math.ceil(self.size[0] / self.cells[0]), math.ceil(self.size[1] / self.cells[1])

    def drawn(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Cells [h, w] bool and shift [2] of one mask after the other, without end."""
        generator = torch.Generator().manual_seed(self.seed)
        while True:
            cells = torch.rand(BLOCK, *self.cells, generator=generator) < self.keep
            shifts = torch.stack([torch.randint(one, (BLOCK,), generator=generator) for one in self.cell], dim=1)
            yield from zip(cells, shifts, strict=True)

    def batch(self, drawn: Iterable[tuple[Tensor, Tensor]], out: Tensor | None = None) -> Tensor:
        """Masks [B, H, W] float32 in 0..1 of some that were drawn; written to the first rows of `out`, if given."""
        cells, shifts = (torch.stack(part) for part in zip(*drawn, strict=True))
        return self.enlarged(cells, shifts, out)

    def enlarged(self, cells: Tensor, shifts: Tensor, out: Tensor | None = None) -> Tensor:
        """Masks [B, H, W] of cells [B, h, w] and shifts [B, 2] (down, across; whole pixels)."""
        down, across = (
            _axis(count, pixels)[at[:, None] + torch.arange(length)]  # [B, side, cells]
            for count, pixels, length, at in zip(self.cells, self.cell, self.size, shifts.unbind(1), strict=True)
        )
        return torch.bmm(down @ cells.float(), across.transpose(1, 2), out=None if out is None else out[: len(cells)])


def _axis(cells: int, pixels: int) -> Tensor:
    """How much of each cell every pixel of the enlarged axis holds, [(cells + 1) pixels, cells]."""
    size = (cells + 1) * pixels
    return F.interpolate(torch.eye(cells)[None], size=size, mode="linear", align_corners=False)[0].t().contiguous()


def ground(image: Tensor, fill: str) -> Tensor:
    """What is seen where an image uint8 [3, H, W] is masked, float32 [3, H, W].

    Args:
        image: uint8 [3, H, W].
        fill: "black"; "mean", the image's mean colour; or "blur", the image without what is smaller than about a
            tenth of its sides.

    Raises:
        DataError: an unknown fill.
    """
    if fill not in FILLS:
        raise DataError(f"fill {fill!r} does not exist; choose from {', '.join(FILLS)}")
    pixels = image.as_subclass(Tensor).float()
    if fill == "black":
        return torch.zeros_like(pixels)
    if fill == "mean":
        return pixels.mean(dim=(1, 2), keepdim=True).expand_as(pixels).contiguous()
    return _blurred(pixels)


def _blurred(pixels: Tensor) -> Tensor:
    """A Gaussian blur of 1/20 of the longer side, one axis after the other."""
    sigma = max(pixels.shape[-2:]) / 20
    reach = math.ceil(3 * sigma)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma).square())
    weights = (weights / weights.sum()).expand(3, 1, 1, -1)
    for _ in range(2):
        padded = F.pad(pixels[None], (reach, reach, 0, 0), mode="replicate")
        pixels = F.conv2d(padded, weights, groups=3)[0].transpose(1, 2)
    return pixels


class Masking:
    """Lays masks over one image, batch by batch, in memory that is used again.

    Args:
        image: uint8 [3, H, W].
        fill: one of `FILLS`.
    """

    def __init__(self, image: Tensor, fill: str):
        self._ground = ground(image, fill) if fill != "black" else None
        pixels = image.as_subclass(Tensor).float()
        self._rest = pixels if self._ground is None else pixels - self._ground  # what a mask of 1 adds to the ground
        self._mixed, self._bytes = torch.empty_like(self._rest), torch.empty(0, *image.shape, dtype=torch.uint8)

    def __call__(self, masks: Tensor) -> Tensor:
        """The image under masks [B, H, W] (1: as it is, 0: ground), uint8 [B, 3, H, W]; the next overwrites it."""
        if len(self._bytes) < len(masks):
            self._bytes = torch.empty(len(masks), *self._rest.shape, dtype=torch.uint8)
        shown = self._bytes[: len(masks)]
        for mask, one in zip(masks, shown, strict=True):  # one by one, so that it stays in the processor's cache
            torch.mul(self._rest, mask, out=self._mixed)
            if self._ground is not None:
                self._mixed.add_(self._ground)
            np.copyto(one.numpy(), self._mixed.round_().numpy(), casting="unsafe")  # quicker than torch's copy
        return shown
