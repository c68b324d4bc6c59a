"""Images at several scales, and the windows that DeepMask sees there (Lin's thesis, sec. 3.3.3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

GREY = 128 / 255  #: around images, as around the patches that are learned from


class Scaled(NamedTuple):
    """An image at one scale, with grey around it so that windows are centred on all of it."""

    pixels: Tensor  #: [1, 3, h, w] in 0..1; h and w are multiples of the stride
    scale: tuple[float, float]  #: pixels here for one of the image: down and across
    border: int  #: grey pixels before the first row and column of the image

    def windows(self, rows: Tensor, columns: Tensor, *, stride: int, size: int) -> Tensor:
        """[N, 4] xyxy pixels of the image, of windows of `size` pixels that begin at cells [N] of a map."""
        corners = torch.stack([columns, rows, columns, rows], dim=1) * stride - self.border
        ends = torch.tensor([0, 0, size, size], device=rows.device)
        down, across = self.scale
        return (corners + ends) / torch.tensor([across, down, across, down], device=rows.device)


def image_scales(image: Tensor, octaves: list[float], *, size: int, stride: int) -> Iterator[Scaled]:
    """An image [3, H, W] in 0..1 at scales 2^octaves.

    Args:
        size: of a window, in pixels.
        stride: of windows, in pixels.
    """
    height, width = image.shape[-2:]
    border = size // 2
    for octave in octaves:
        sides = max(1, round(height * 2**octave)), max(1, round(width * 2**octave))
        small = F.interpolate(image[None], sides, mode="bilinear", align_corners=False, antialias=True)
        padded = [-(-(side + 2 * border) // stride) * stride for side in sides]
        around = (border, padded[1] - sides[1] - border, border, padded[0] - sides[0] - border)
        pixels = F.pad(small, around, value=GREY)
        yield Scaled(pixels, (sides[0] / height, sides[1] / width), border)
