"""Occlusion patterns: occluder x ratio x position, after "Deep feature augmentation for occluded image
classification" (Cen et al. 2021, section 4.1).

An occluder is scaled until it hides the ratio of the whole image's area and put at the image's centre or at a random
position that is drawn once per pattern. It always lies inside the image. The number of hidden pixels is the ratio of
the image's pixels rounded to a whole one: an occluder is scaled to nearly that size, and of its pixels those of
highest alpha are taken. *Here:* each occluder and ratio has random positions of its own, which the paper says of
ILSVRC2012 only; a position is kept as a share of the room that the image leaves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from workbench.data.drawing.cut_outs import Occluder
from workbench.errors import DataError
from workbench.options import Fraction, Number

RATIOS = (0.1, 0.2)
CENTRE, RANDOM = "centre", "random"


@dataclass(frozen=True)
class Pattern:
    """One way to hide a part of an image."""

    occluder: Occluder
    ratio: float  #: hidden share of the image's pixels
    place: str  #: "centre" or "random"
    position: tuple[float, float] = (0.5, 0.5)  #: x and y as shares 0..1 of the room around the occluder
    number: int = 0  #: among the random ones of its occluder and ratio, from 1 on; 0: the centre

    @property
    def name(self) -> str:
        """Such as "cup 20 % random 2"."""
        number = f" {self.number}" if self.number else ""
        return f"{self.occluder.name} {100 * self.ratio:g} % {self.place}{number}"

    @property
    def column(self) -> str:
        """The column of a table of accuracies that it counts for, such as "20_random"."""
        return f"{100 * self.ratio:g}_{self.place}"


@dataclass(frozen=True)
class Patch:
    """An occluder at the size of a pattern."""

    pixels: Tensor = field(repr=False)  #: uint8 [3, h, w]
    mask: Tensor = field(repr=False)  #: bool [h, w], what it hides

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, pixels."""
        return self.mask.shape[0], self.mask.shape[1]


def make_patterns(
    occluders: Sequence[Occluder],
    *,
    ratios: Sequence[Fraction] = RATIOS,
    random_places: Number = 3,
    seed: Number = 0,
    first: Number = 0,
) -> tuple[Pattern, ...]:
    """All patterns: for each occluder and ratio the centre and `random_places` random ones.

    The places of an occluder depend on the seed and on its number, counted from `first`.
    """
    patterns = []
    for place, occluder in enumerate(occluders, start=first):
        for ratio in ratios:
            rng = np.random.default_rng([seed, place, round(1e6 * ratio)])
            patterns.append(Pattern(occluder, ratio, CENTRE))
            for number in range(1, random_places + 1):
                x, y = rng.random(2)
                patterns.append(Pattern(occluder, ratio, RANDOM, (float(x), float(y)), number))
    return tuple(patterns)


def columns_of(patterns: Sequence[Pattern]) -> dict[str, tuple[int, ...]]:
    """Columns of a table of accuracies: "clean" is 0, pattern k is k + 1; "occluded" is all but clean.

    As in the paper, "occluded" is over all patterns: with one centre and three random positions of each occluder,
    the random ones weigh three times as much.
    """
    columns: dict[str, tuple[int, ...]] = {"clean": (0,)}
    for ratio in sorted({pattern.ratio for pattern in patterns}, reverse=True):
        for place in (CENTRE, RANDOM):
            own = [n for n, p in enumerate(patterns, start=1) if (p.ratio, p.place) == (ratio, place)]
            if own:
                columns[patterns[own[0] - 1].column] = tuple(own)
    return columns | ({"occluded": tuple(range(1, len(patterns) + 1))} if patterns else {})


def paste_pattern(image: Tensor, pattern: Pattern) -> tuple[Tensor, Tensor]:
    """The image uint8 [3, H, W] under a pattern, and the hidden pixels, bool [H, W].

    Raises:
        DataError: the occluder at its size is longer than the image.
    """
    height, width = image.shape[-2:]
    patch = fitted(pattern.occluder, round(pattern.ratio * height * width))
    room_y, room_x = height - patch.size[0], width - patch.size[1]
    if room_y < 0 or room_x < 0:
        raise DataError(
            f"occluder {pattern.occluder.name} would be {patch.size[0]} × {patch.size[1]} pixels to hide "
            f"{pattern.ratio:.0%} of {height} × {width}; use one that is less long or a lower ratio"
        )
    x, y = round(pattern.position[0] * room_x), round(pattern.position[1] * room_y)
    window = slice(y, y + patch.size[0]), slice(x, x + patch.size[1])
    hidden = torch.zeros(height, width, dtype=torch.bool)
    hidden[window] = patch.mask
    occluded = image.as_subclass(Tensor).clone()
    part = occluded[(slice(None), *window)]
    part.copy_(torch.where(patch.mask, patch.pixels, part))
    return occluded, hidden


@lru_cache(maxsize=1024)
def fitted(occluder: Occluder, count: int) -> Patch:
    """The occluder at the size at which it hides `count` pixels."""
    height, width = occluder.rgba.shape[:2]
    scale = math.sqrt(max(1, count) / occluder.area)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    colour, alpha = resized(occluder, rows, columns)
    while int((alpha > 0).sum()) < count:  # rounding made it too small
        rows, columns = rows + 1, columns + 1
        colour, alpha = resized(occluder, rows, columns)
    chosen = np.argsort(-alpha.ravel(), kind="stable")[: max(1, count)]
    mask = np.zeros(alpha.size, bool)
    mask[chosen] = True
    pixels = torch.from_numpy(np.ascontiguousarray(colour.transpose(2, 0, 1)))
    return Patch(pixels, torch.from_numpy(mask.reshape(alpha.shape)))


def resized(
    occluder: Occluder, rows: int, columns: int, box: tuple[float, float, float, float] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Colours uint8 [rows, columns, 3] and alpha float32 [rows, columns]; what is transparent lends no colour.

    Args:
        box: the part of the occluder that is shown, xyxy in its pixels; None: all of it.
    """
    alpha = occluder.rgba[..., 3].astype(np.float32) / 255
    planes = [occluder.rgba[..., channel] * alpha for channel in range(3)] + [alpha]
    small = [
        np.asarray(Image.fromarray(plane).resize((columns, rows), Image.Resampling.BILINEAR, box=box))
        for plane in planes
    ]
    alpha = small[3]
    colour = np.stack(small[:3], axis=-1) / np.maximum(alpha, 1e-6)[..., None]
    return (colour + 0.5).clip(0, 255).astype(np.uint8), alpha
