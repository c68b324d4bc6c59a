"""Other colours of training images: torchvision's `RandomPhotometricDistort` (Liu et al. 2016, SSD).

What is drawn is drawn apart from its use; for the same draw the image equals torchvision's, pixel for pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torchvision.transforms.v2 import functional as V

from workbench.training.recipe_sections import PhotometricSpec


@dataclass(frozen=True)
class Distortion:
    """What is done to the colours of one image; None: nothing."""

    brightness: float | None = None  #: factor
    contrast: float | None = None  #: factor
    saturation: float | None = None  #: factor
    hue: float | None = None  #: shift, -0.5 .. 0.5 of the circle of hues
    contrast_first: bool = True  #: before saturation and hue, or after them
    channels: tuple[int, ...] | None = None  #: their new order

    def apply(self, image: Tensor) -> Tensor:
        """The image uint8 [3, H, W] with other colours."""
        if self.brightness is not None:
            image = V.adjust_brightness(image, self.brightness)
        if self.contrast is not None and self.contrast_first:
            image = V.adjust_contrast(image, self.contrast)
        if self.saturation is not None:
            image = V.adjust_saturation(image, self.saturation)
        if self.hue is not None:
            image = V.adjust_hue(image, self.hue)
        if self.contrast is not None and not self.contrast_first:
            image = V.adjust_contrast(image, self.contrast)
        if self.channels is not None:
            image = V.permute_channels(image, list(self.channels))
        return image


def draw_distortion(spec: PhotometricSpec, rng: np.random.Generator) -> Distortion:
    """What is done to an image, each part with the same chance."""
    ranges = {
        "brightness": spec.brightness,
        "contrast": spec.contrast,
        "saturation": spec.saturation,
        "hue": spec.hue,
    }
    drawn = {name: float(rng.uniform(*ends)) if rng.random() < spec.chance else None for name, ends in ranges.items()}
    first, swapped = bool(rng.random() < 0.5), bool(rng.random() < spec.chance)
    channels = tuple(int(channel) for channel in rng.permutation(3)) if swapped else None
    return Distortion(**drawn, contrast_first=first, channels=channels)
