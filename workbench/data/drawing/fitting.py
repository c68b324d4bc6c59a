"""Cut-outs over an object: where one lies, and how large it must be to hide so many pixels."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy import ndimage

from workbench.data.drawing.cut_outs import Occluder
from workbench.data.drawing.patterns import resized

_PROBED = 4096  # pixels of the object by which the size of a cut-out is found, before it is counted exactly


def fit(
    free: np.ndarray, box: tuple[int, int, int, int], occluder: Occluder, point: tuple[float, float], count: int
) -> tuple[int, int, np.ndarray, np.ndarray]:
    """A cut-out with its thickest part on a point of an object's box, just large enough to cover `count` free pixels.

    Returns the first row and column of its window, the order in which it covers pixels [h, w], which is that of their
    depth in it, so that what is too much is taken from its rim, and its colours uint8 [h, w, 3].

    Args:
        free: bool [H, W], pixels of the object.
        box: of the object, xyxy pixels.
        point: x and y as shares of the box.
        count: at least 1 and at most as many as are free.
    """
    depth, middle = _depth(occluder)
    anchor = np.array((box[1] + point[1] * (box[3] - box[1]), box[0] + point[0] * (box[2] - box[0])))  # y, x
    scale = _scale(np.argwhere(free) + 0.5 - anchor, depth, middle, count)
    while True:
        corner = anchor - middle * scale  # of the whole occluder, pixels of the image
        first = np.ceil(corner - 0.5).astype(int).clip(0, free.shape)
        end = np.ceil(corner + np.multiply(depth.shape, scale) - 0.5).astype(int).clip(0, free.shape)
        rows, columns = (
            (np.arange(*ends) + 0.5 - start) / scale for *ends, start in zip(first, end, corner, strict=True)
        )
        shown = _between(depth, rows - 0.5, columns - 0.5)
        if int(((shown > 0) & free[first[0] : end[0], first[1] : end[1]]).sum()) >= count:
            break
        scale *= 1.02
    part = [(edge - start) / scale for edge, start in zip((*first, *end), (*corner, *corner), strict=True)]
    y1, x1, y2, x2 = np.clip(part, 0, (*depth.shape, *depth.shape))
    colours, _ = resized(occluder, len(rows), len(columns), (x1, y1, x2, y2))
    return int(first[0]), int(first[1]), np.where(shown > 0, -shown, np.inf), colours


@lru_cache(maxsize=256)
def _depth(occluder: Occluder) -> tuple[np.ndarray, np.ndarray]:
    """How far inside a cut-out each of its pixels is [h, w], below 0 outside, and its deepest point (y, x)."""
    solid = occluder.rgba[..., 3] >= 128
    depth = ndimage.distance_transform_edt(np.pad(solid, 1))[1:-1, 1:-1].astype(np.float32) - 0.5
    deepest = np.unravel_index(depth.argmax(), depth.shape)
    return depth, np.array(deepest) + 0.5


def _scale(offsets: np.ndarray, depth: np.ndarray, middle: np.ndarray, count: int) -> float:
    """About the least scale at which a cut-out covers `count` of the object's pixels.

    Args:
        offsets: [P, 2] from the point where its deepest one (`middle`) lies to the pixels, y and x.
    """
    share = count / len(offsets)
    probed = offsets[:: math.ceil(len(offsets) / _PROBED)]

    def covers(scale: float) -> bool:
        place = np.floor(probed / scale + middle).astype(int)
        inside = ((place >= 0) & (place < depth.shape)).all(1)
        return bool((depth[tuple(place[inside].T)] > 0).sum() >= share * len(probed))

    high = math.sqrt(count / max(1, int((depth > 0).sum())))
    low = high / 2
    while not covers(high):
        low, high = high, 2 * high
    for _ in range(10):
        tried = (low + high) / 2
        low, high = (low, tried) if covers(tried) else (tried, high)
    return high


def _between(values: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """`values` at whole and broken rows and columns, those beyond the edge as at the edge, [rows, columns]."""
    for axis, places in enumerate((rows, columns)):
        low = np.floor(places).astype(int)
        part = (places - low).astype(np.float32).reshape(-1, *[1] * (1 - axis))
        ends = (values.take(index.clip(0, values.shape[axis] - 1), axis) for index in (low, low + 1))
        values = next(ends) * (1 - part) + next(ends) * part
    return values
