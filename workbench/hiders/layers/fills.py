"""Colours of what is erased: one colour, or noise."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

Fill = Literal["mean", "noise", "black", "grey"]
EVEN = {"black": 0, "grey": 128}


def filled(image: Tensor, hidden: Tensor, fill: Fill, mean: Tensor, rng: np.random.Generator) -> Tensor:
    """The image uint8 [3, H, W] with other colours at the pixels `hidden` [H, W] bool; the one given stays.

    Args:
        fill: "mean" is the colour `mean` [3]; "noise" draws every value of each pixel evenly from 0 to 255.
    """
    image = image.as_subclass(Tensor)
    if fill == "noise":
        changed = image.clone()
        drawn = rng.integers(0, 256, (len(image), int(hidden.sum())), dtype=np.uint8)
        changed[:, hidden] = torch.from_numpy(drawn)
        return changed
    colour = mean if fill == "mean" else torch.full((len(image),), EVEN[fill], dtype=torch.uint8)
    return torch.where(hidden, colour.to(image.dtype)[:, None, None], image)
