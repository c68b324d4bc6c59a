"""Occluders in image space: what they look like (textures and fills) and where they lie (shapes).

All functions are pure. Randomness comes from the generator passed in; with None, from a fixed seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from workbench.data.drawing.pixels import TEXTURES, crop, texture_image
from workbench.errors import DataError

FILLS = (*TEXTURES, "grey", "noise")  #: what an occluder can be filled with
OUTLINES = ("rectangle", "ellipse")


def texture(
    name: str,
    height: int,
    width: int,
    generator: torch.Generator | np.random.Generator | None = None,
    *,
    split: str | None = None,
) -> Tensor:
    """A patch uint8 [3, height, width]: a piece of a photographed texture, even grey, or noise.

    Args:
        name: one of `FILLS`.
        split: use only that split's region of the photograph.

    Raises:
        DataError: an unknown name, or a patch without pixels.
    """
    if name not in FILLS:
        raise DataError(f"texture {name!r} does not exist; there are {', '.join(FILLS)}")
    if height < 1 or width < 1:
        raise DataError(f"a texture needs at least 1 × 1 pixels, not {height} × {width}")
    rng = _numpy_generator(generator)
    return torch.from_numpy(fill(name, height, width, rng, split=split).copy()).permute(2, 0, 1).contiguous()


def fill(name: str, height: int, width: int, rng: np.random.Generator, *, split: str | None) -> np.ndarray:
    """The same as uint8 [height, width, 3]."""
    if name == "grey":
        return np.full((height, width, 3), 128, np.uint8)
    if name == "noise":
        return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    grey = crop(texture_image(name, split), height, width, rng, zoom=(1.0, 2.2))
    return np.broadcast_to(grey[..., None], (height, width, 3))


def paste(
    image: Tensor,
    box: Sequence[float] | Tensor,
    kind: str = "brick",
    *,
    outline: str = "rectangle",
    generator: torch.Generator | np.random.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Paste an occluder on an image.

    Returns the new image and the hidden pixels, bool [H, W]. The pattern moves with the box: the same box size and
    generator state give the same patch anywhere.

    Args:
        image: uint8 [3, H, W].
        box: xyxy in pixels, may reach outside the image; a pixel is hidden where its centre lies inside.
        kind: one of `FILLS`.
        outline: one of `OUTLINES`.

    Raises:
        DataError: unknown kinds and outlines.
    """
    if outline not in OUTLINES:
        raise DataError(f"outline {outline!r} does not exist; there are {', '.join(OUTLINES)}")
    x1, y1, x2, y2 = (float(value) for value in box)
    height, width = image.shape[-2:]
    mask = torch.zeros(height, width, dtype=torch.bool)
    if not (x2 > x1 and y2 > y1):
        return image.clone(), mask
    x, y = torch.arange(width) + 0.5, torch.arange(height) + 0.5
    across, down = (2 * x - x1 - x2) / (x2 - x1), (2 * y - y1 - y2) / (y2 - y1)
    if outline == "ellipse":
        mask = across[None, :] ** 2 + down[:, None] ** 2 < 1
    else:
        mask = (across[None, :].abs() < 1) & (down[:, None].abs() < 1)
    rows, columns = max(1, round(y2 - y1) + 1), max(1, round(x2 - x1) + 1)
    patch = texture(kind, min(rows, 4 * height), min(columns, 4 * width), generator)
    row = (y - y1).floor().long().clamp(0, patch.shape[1] - 1)
    column = (x - x1).floor().long().clamp(0, patch.shape[2] - 1)
    plain = image.as_subclass(Tensor)
    return torch.where(mask, patch[:, row[:, None], column[None, :]], plain), mask


def _numpy_generator(generator: torch.Generator | np.random.Generator | None) -> np.random.Generator:
    if isinstance(generator, np.random.Generator):
        return generator
    seed = 0 if generator is None else int(torch.randint(2**62, (), generator=generator))
    return np.random.default_rng(seed)


class Outlines(Protocol):
    """M outlines that occluders may have, tried at once."""

    def __getitem__(self, index: int) -> Outlines:
        """One of them alone."""
        ...

    def inside(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Which points [...], in pixels, lie inside each, bool [M, ...]."""
        ...

    def window(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Pixels x1, y1, x2, y2 of an image (height, width) that the first can touch."""
        ...


@dataclass(frozen=True)
class CoverKind:
    """A kind of occluder."""

    #: Random outlines: a generator, what they hide (a box, xyxy), how much of it (0..1), and how many.
    draw: Callable[[np.random.Generator, np.ndarray, float, int], Outlines]
    least: float = 0.0  #: hidden fraction that it can reach
    most: float = 1.0


@dataclass(frozen=True)
class Shapes:
    """M occluder shapes at once: rotated rectangles or ellipses, or several parallel bars."""

    x: np.ndarray  #: [M] centre, pixels
    y: np.ndarray  #: [M]
    half_length: np.ndarray  #: [M] pixels along the axis at `angle`
    half_width: np.ndarray  #: [M] pixels across it, of each bar
    angle: np.ndarray  #: [M] radians
    round: np.ndarray  #: [M] bool, ellipse rather than rectangle
    bars: np.ndarray  #: [M] how many parallel bars
    period: np.ndarray  #: [M] pixels between the centres of neighbouring bars

    def __getitem__(self, index: int) -> Shapes:
        return Shapes(*(value[index : index + 1] for value in vars(self).values()))

    def inside(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Which points [...] lie inside each shape, bool [M, ...]."""
        x, y = x.astype(np.float32), y.astype(np.float32)  # half the time of float64, exact for pixel centres
        parameters = [value.astype(np.float32).reshape(-1, *[1] * x.ndim) for value in vars(self).values()]
        centre_x, centre_y, length, width, angle, is_round, bars, period = parameters
        cos, sin = np.cos(angle), np.sin(angle)
        dx, dy = x - centre_x, y - centre_y
        along, across = dx * cos + dy * sin, dy * cos - dx * sin
        if bars.max() > 1:
            across = across + (bars - 1) / 2 * period
            across = across - np.clip(np.rint(across / period), 0, bars - 1) * period
        if is_round.any():
            along, across = (along / length) ** 2, (across / width) ** 2
            return np.where(is_round > 0, along + across, np.maximum(along, across)) < 1
        return (np.abs(along) < length) & (np.abs(across) < width)

    def window(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Pixels x1, y1, x2, y2 of an image (height, width) that the first shape can touch."""
        reach_across = self.half_width[0] + (self.bars[0] - 1) / 2 * self.period[0]
        cos, sin = abs(np.cos(self.angle[0])), abs(np.sin(self.angle[0]))
        reach_x = self.half_length[0] * cos + reach_across * sin
        reach_y = self.half_length[0] * sin + reach_across * cos
        return pixel_window((self.x[0], self.y[0]), (reach_x, reach_y), size)


def pixel_window(
    centre: tuple[float, float], reach: tuple[float, float], size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Pixels x1, y1, x2, y2 within `reach` (x, y) of a centre (x, y), of an image of `size` (height, width)."""
    limits = size[::-1]
    low = np.floor(np.subtract(centre, reach)).clip(0, limits)
    high = np.ceil(np.add(centre, reach)).clip(0, limits)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def patch_shapes(rng: np.random.Generator, box: np.ndarray, level: float, number: int) -> Shapes:
    """Random ellipses and rectangles that may hide about `level` (0..1) of what is in `box` (xyxy)."""
    width, height = box[2] - box[0], box[3] - box[1]
    area = width * height * level * rng.uniform(0.9, 2.2, number)
    aspect = np.exp(rng.uniform(-0.5, 0.5, number))
    is_round = np.full(number, rng.random() < 0.5)
    half = np.sqrt(area * np.where(is_round, 4 / np.pi, 1)) / 2 + 1
    return Shapes(
        x=(box[0] + box[2]) / 2 + width * rng.uniform(-0.6, 0.6, number),
        y=(box[1] + box[3]) / 2 + height * rng.uniform(-0.6, 0.6, number),
        half_length=half * aspect,
        half_width=half / aspect,
        angle=rng.uniform(0, np.pi, number),
        round=is_round,
        bars=np.ones(number),
        period=np.ones(number),
    )


def strip_shapes(rng: np.random.Generator, box: np.ndarray, level: float, number: int) -> Shapes:
    """Random strips across `box` (xyxy), one to three side by side, that may hide about `level` of it."""
    span = max(box[2] - box[0], box[3] - box[1])
    bars = rng.integers(1, 4, number)
    share = level * rng.uniform(0.7, 1.3, number)
    return Shapes(
        x=(box[0] + box[2]) / 2 + span * rng.uniform(-0.4, 0.4, number),
        y=(box[1] + box[3]) / 2 + span * rng.uniform(-0.4, 0.4, number),
        half_length=span * rng.uniform(0.7, 0.9, number),
        half_width=np.maximum(span * share / bars / 2, 1),
        angle=rng.choice([0, np.pi / 4, np.pi / 2, -np.pi / 4]) + rng.normal(0, 0.15, number),
        round=np.zeros(number, bool),
        bars=bars,
        period=span / bars,
    )


COVERS = {"texture": CoverKind(patch_shapes), "strip": CoverKind(strip_shapes)}  #: what hides anything
