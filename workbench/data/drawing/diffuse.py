"""Diffuse occluders: what they hide is spread over all of an object, as behind a fence or leaves.

Each gives, for a grid of pixels, the order in which they are covered as its bars or leaves grow (float32 [h, w], the
lowest first), and its colours (uint8 [h, w, 3]).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

_COARSE = 112  # pixels a side at which leaves are computed, before they are enlarged
_LEAVES = 36
_SLIM = 0.45  # a leaf of size 1 is where |across| < _SLIM * (1 - along²)
_LEAST = 6.0  # pixels between the bars of a fence

Drawn = tuple[np.ndarray, np.ndarray]


def fence(x: np.ndarray, y: np.ndarray, side: float, rng: np.random.Generator) -> Drawn:
    """Pickets or a lattice of two directions, five to nine bars to the object, painted in one tone.

    Args:
        x: [w] pixels from the object's left edge.
        y: [h] from its upper edge.
        side: of the square as large as its box, pixels.
    """
    period = max(_LEAST, side / rng.uniform(5, 9))
    angle = rng.choice((0.0, np.pi / 4)) + rng.normal(0, 0.05)
    directions = (angle, angle + np.pi / 2) if rng.random() < 0.5 else (angle,)
    order = np.full((len(y), len(x)), np.inf, np.float32)
    for turn in directions:
        along = (x[None] * np.cos(turn) + y[:, None] * np.sin(turn)) / period + rng.random()
        order = np.minimum(order, np.abs(along - np.rint(along)), dtype=np.float32)
    return order, _grained(np.broadcast_to(rng.uniform(30, 200) * rng.uniform(0.8, 1.0, 3), (*order.shape, 3)), rng)


def leaves(x: np.ndarray, y: np.ndarray, side: float, rng: np.random.Generator) -> Drawn:
    """Leaves of many sizes and greens, evenly scattered; arguments as of `fence`."""
    coarse = [np.interp(np.linspace(0, len(axis) - 1, min(len(axis), _COARSE)), np.arange(len(axis)), axis)
              for axis in (x, y)]  # fmt: skip
    spots = _scattered(rng) * (x[-1] - x[0] + 1, y[-1] - y[0] + 1) + (x[0], y[0])
    dx, dy = (axis[None].astype(np.float32) - spots[:, i, None].astype(np.float32) for i, axis in enumerate(coarse))
    length = (side * rng.uniform(0.09, 0.2, _LEAVES)).astype(np.float32)
    angle = rng.uniform(0, np.pi, _LEAVES).astype(np.float32)
    cos, sin = (np.cos(angle) / length)[:, None], (np.sin(angle) / length)[:, None]
    along = (dx * cos)[:, None] + (dy * sin)[:, :, None]  # [leaves, h, w]
    across = (dy * cos)[:, :, None] - (dx * sin)[:, None]
    slim = 2 * _SLIM
    reach = (np.abs(across) + np.sqrt(across**2 + (slim * along) ** 2)) / slim  # size of the leaf whose edge is there
    nearest, order = reach.argmin(0), reach.min(0)
    greens = rng.uniform((20, 70, 10), (110, 160, 60), (_LEAVES, 3))
    size = len(x), len(y)
    order = np.asarray(Image.fromarray(order).resize(size, Image.Resampling.BILINEAR))
    own = np.asarray(Image.fromarray(nearest.astype(np.uint8)).resize(size, Image.Resampling.NEAREST))
    return order, _grained(greens[own] * (1.15 - 0.3 * np.minimum(order, 1))[..., None], rng)


def _scattered(rng: np.random.Generator) -> np.ndarray:
    """Points in the unit square [leaves, 2], one in each cell of a grid, the last ones anywhere."""
    side = int(np.sqrt(_LEAVES))
    cells = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)
    spread = (cells + rng.random((side * side, 2))) / side
    return np.concatenate([spread, rng.random((_LEAVES - side * side, 2))])


def _grained(colours: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Colours [h, w, 3] in 0..255 with a little noise, uint8."""
    grain = rng.normal(0, 8, colours.shape[:2]).astype(np.float32)
    return (colours + grain[..., None]).clip(0, 255).astype(np.uint8)


DIFFUSE: dict[str, Callable[[np.ndarray, np.ndarray, float, np.random.Generator], Drawn]] = {
    "fence": fence,
    "leaves": leaves,
}
