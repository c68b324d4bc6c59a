"""Random changes of training images of one class: where the object lies, and what hides it in the image.

Those of images with objects are in `scaling`, `colour` and the room `hiders`.

Erasing is Zhong et al. 2020 with torchvision's values: a rectangle of 2-33 % of the image (their code: 2-40 %),
aspect 0.3-3.3, filled with noise. Pasting puts one of the patterns of the pairs over the image: occlusion in image
space by what DFV augmentation adds in feature space, its upper control. Moving and cropping are not stated in numbers
by Cen et al. 2021: *here* the values of `AffineSpec` and torchvision's of `CropSpec`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as V

from workbench.data import Dataset
from workbench.data.drawing.patterns import Pattern, paste_pattern
from workbench.data.pairs import PairSet
from workbench.errors import RunError
from workbench.hiders.layers.rectangles import random_rectangle
from workbench.training.recipe_sections import AffineSpec, AugmentSpec, CropSpec

ERASED_AREA, ERASED_ASPECT = (0.02, 0.33), (0.3, 3.3)


class ImageChanges:
    """The changes of `augment` but flipping, for images uint8 [3, H, W]; all chance comes from the generator
    given."""

    def __init__(self, augment: AugmentSpec, pairs: PairSet | None):
        self.augment = augment
        self.patterns = _patterns(pairs) if augment.paste is not None else ()

    def move(self, image: Tensor, rng: np.random.Generator, size: tuple[int, int]) -> Tensor:
        """Crop, turn, move, scale.

        Args:
            size: height and width that a crop is resized to.
        """
        image = image.as_subclass(Tensor)
        if self.augment.crop is not None:
            image = cropped(image, self.augment.crop, rng, size)
        if self.augment.affine is not None:
            image = moved(image, self.augment.affine, rng)
        return image

    def hide(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        """Paste, erase."""
        image = image.as_subclass(Tensor)
        if self.augment.paste is not None and rng.random() < self.augment.paste:
            image = paste_pattern(image, self.patterns[rng.integers(len(self.patterns))])[0]
        if self.augment.erase is not None and rng.random() < self.augment.erase:
            image = erased(image, rng)
        return image


def build_changes(augment: AugmentSpec, data: Dataset) -> ImageChanges | None:
    """The changes that a recipe asks for; None if there are none beside flipping."""
    asked = any(getattr(augment, key) is not None for key in ("crop", "affine", "erase", "paste"))
    return ImageChanges(augment, data.pairs) if asked else None


def moved(image: Tensor, spec: AffineSpec, rng: np.random.Generator) -> Tensor:
    """A randomly turned, moved and scaled image."""
    height, width = image.shape[-2:]
    angle, x, y = rng.uniform(-1, 1, 3) * (spec.degrees, spec.shift * width, spec.shift * height)
    return V.affine(
        image,
        angle=float(angle),
        translate=[float(x), float(y)],
        scale=float(rng.uniform(*spec.scale)),
        shear=[0.0, 0.0],
        interpolation=V.InterpolationMode.BILINEAR,
    )


def cropped(image: Tensor, spec: CropSpec, rng: np.random.Generator, size: tuple[int, int]) -> Tensor:
    """A random part, resized to `size` (height, width)."""
    height, width = image.shape[-2:]
    box = random_rectangle(height, width, spec.area, spec.aspect, rng) or (0, 0, height, width)
    return V.resized_crop(image, *box, size=list(size), antialias=True)


def erased(image: Tensor, rng: np.random.Generator) -> Tensor:
    """The image with a random rectangle of noise."""
    height, width = image.shape[-2:]
    box = random_rectangle(height, width, ERASED_AREA, ERASED_ASPECT, rng)
    if box is None:
        return image
    top, left, rows, columns = box
    changed = image.clone()
    noise = rng.integers(0, 256, (image.shape[0], rows, columns), dtype=np.uint8)
    changed[:, top : top + rows, left : left + columns] = torch.from_numpy(noise)
    return changed


def _patterns(pairs: PairSet | None) -> tuple[Pattern, ...]:
    """The patterns that occur in the pairs."""
    if pairs is None or not pairs.patterns:
        raise RunError("augment.paste: the training data have no patterns; give data.options.occlusion")
    return tuple(pairs.patterns[number - 1] for number in np.unique(pairs.numbers))
