"""Handwritten digits to classify, shown at 32 x 32 pixels: real pixels from inside scikit-learn's package.

Each of the 1,797 digits is shown once: 1,200 in train, 200 in val, 397 in test (the splits of `pixels.py`, which
share neither digits nor photographs). The 8 x 8 strokes are enlarged to 24-28 pixels, in a colour of their own, on an
even ground or on a part of a photograph.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torchvision import tv_tensors

from workbench.data.drawing.layout import Ink
from workbench.data.drawing.paint import background, paint_ink
from workbench.data.drawing.pixels import SPLITS, check_split, digits
from workbench.data.labelled_images import LabelledImages
from workbench.options import Number
from workbench.registry import DATASETS

SIZE = 32
Ground = Literal["plain", "photograph"]


@DATASETS.register("digits")
class Digits(LabelledImages):
    """The digits of a split, each made from (seed, split, index) alone.

    Args:
        ground: "plain", an even colour with a little grain; or "photograph".
        seed: of sizes, places and colours.
    """

    mirrors = False

    def __init__(self, split: str = "train", *, ground: Ground = "photograph", seed: Number = 0):
        self.name, self.split = "digits", check_split(split)
        self.classes = tuple("0123456789")
        self.ground, self.seed = ground, seed
        self.labels = digits(split)[1] + 1
        self._made: dict[int, torch.Tensor] = {}

    def size(self, index: int) -> tuple[int, int]:
        self._position(index)
        return SIZE, SIZE

    def image(self, index: int) -> tv_tensors.Image:
        index = self._position(index)
        if index not in self._made:
            pixels = (self._paint(index) * 255 + 0.5).clip(0, 255).astype(np.uint8)
            self._made[index] = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
        return tv_tensors.Image(self._made[index].clone())

    def _paint(self, index: int) -> np.ndarray:
        """The picture, float32 [32, 32, 3] in 0..1."""
        rng = np.random.default_rng([self.seed, SPLITS.index(self.split), index])
        if self.ground == "photograph":
            canvas = background(rng, self.split, SIZE)
        else:
            colour = rng.uniform(0, 1, 3).astype(np.float32)
            canvas = colour + 0.03 * rng.standard_normal((SIZE, SIZE, 3), dtype=np.float32)
        side = int(rng.integers(24, 29))
        x, y = rng.integers(0, SIZE - side + 1, 2)
        paint_ink(canvas[y : y + side, x : x + side], Ink(index, int(x), int(y), side, 1.0), rng, self.split)
        return canvas
