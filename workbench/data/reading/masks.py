"""Segmentations of COCO files: checking them, and what they say about occlusion.

pycocotools trusts what it is given (too few runs leave memory unset, four numbers count as a box), so
segmentations are checked here first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask

from workbench.rle import RLE, checked

Polygons = list[list[float]]

LONGEST_OUTLINE = 2**20  #: pixels of all polygons of an object; pycocotools takes 100 bytes for each


def checked_segmentation(value: object, size: tuple[int, int]) -> Polygons | RLE | None:
    """A segmentation that can be decoded for an image of `size` (height, width); None if there is none.

    Polygons of fewer than three points are left out.

    Raises:
        ValueError: it cannot be decoded; the message says what is wrong.
    """
    if value is None or value == []:
        return None
    if isinstance(value, list):
        return _checked_polygons(value, size) or None
    if isinstance(value, dict):
        return _checked_rle(value, size)
    raise ValueError(f"segmentation is neither polygons nor RLE but {type(value).__name__}")


def code_of(segmentation: Sequence[Sequence[float] | np.ndarray] | RLE, size: tuple[int, int]) -> RLE:
    """A checked segmentation as one code for an image of `size` (height, width)."""
    if isinstance(segmentation, dict):
        return segmentation
    codes = coco_mask.frPyObjects(segmentation, *size)
    return codes[0] if len(codes) == 1 else coco_mask.merge(codes)


def is_empty(segmentation: Polygons | RLE, size: tuple[int, int]) -> bool:
    """Whether a checked segmentation covers no pixel of an image of `size` (height, width)."""
    return not coco_mask.area(code_of(segmentation, size))


def polygon_boxes(points: np.ndarray, starts: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Boxes xyxy around the polygons of each object [N, 4].

    Args:
        points: [n, 2] x and y of all polygons, one after the other.
        starts: [P] first point of each.
        parts: [N, 2] the first polygon of each object and the one after its last; at least one is between.
    """
    if len(parts) == 0:
        return np.zeros((0, 4))
    first, number = parts[:, 0], parts[:, 1] - parts[:, 0]
    place = np.cumsum(number) - number
    which = np.arange(number.sum()) + np.repeat(first - place, number)  # polygons, object by object
    low = np.minimum.reduceat(np.minimum.reduceat(points, starts, axis=0)[which], place, axis=0)
    high = np.maximum.reduceat(np.maximum.reduceat(points, starts, axis=0)[which], place, axis=0)
    return np.concatenate([low, high], axis=1)


def outlines(points: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """How many pixels the edges of each polygon pass [P].

    Args:
        points: [n, 2] x and y of all polygons, one after the other.
        starts: [P] first point of each; none is empty.
    """
    steps = np.abs(np.diff(points, axis=0, append=points[:1])).max(axis=1)
    ends = np.append(starts[1:], len(points)) - 1
    steps[ends] = np.abs(points[starts] - points[ends]).max(axis=1)  # back to its own beginning
    return np.add.reduceat(steps, starts)


def estimate_occlusion(masks: np.ndarray) -> np.ndarray:
    """Hidden fraction of each object [N], estimated from the masks [N, H, W] of all objects in the image.

    An object is taken to fill the convex hull of its mask; what other objects' masks cover of that hull counts as
    hidden: hidden / (hidden + visible). Pixels that two masks claim count as visible for both. The estimate is
    too low for objects hidden by something without annotation or cut by the image's edge, and too high for
    hollow objects that hold others. NaN for empty masks.
    """
    claims = masks.sum(0, dtype=np.int32)
    occlusion = np.full(len(masks), np.nan, np.float32)
    for row, mask in enumerate(masks):
        visible = int(mask.sum())
        if visible == 0:
            continue
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        own = mask[window]
        hidden = int((~own & (claims[window] > 0) & convex_hull(own)).sum())
        occlusion[row] = hidden / (hidden + visible)
    return occlusion


def convex_hull(mask: np.ndarray) -> np.ndarray:
    """All pixels whose centre lies within the convex hull of the mask's pixel centres, bool [H, W]."""
    rows = np.flatnonzero(mask.any(1))
    filled = np.zeros_like(mask)
    if len(rows) == 0:
        return filled
    first = mask[rows].argmax(1)
    last = mask.shape[1] - 1 - mask[rows, ::-1].argmax(1)
    inner = np.arange(rows[0], rows[-1] + 1)
    left = np.interp(inner, *_lower_hull(rows, first))
    right = -np.interp(inner, *_lower_hull(rows, -last))
    column = np.arange(mask.shape[1])
    filled[inner] = (column >= left[:, None] - 1e-9) & (column <= right[:, None] + 1e-9)
    return filled


def _lower_hull(x: np.ndarray, y: np.ndarray) -> tuple[list[int], list[int]]:
    """Corners of the convex curve below all points, x rising (Andrew's monotone chain)."""
    corners: list[tuple[int, int]] = []
    for point in zip(x.tolist(), y.tolist(), strict=True):
        while len(corners) > 1 and _turns_right(corners[-2], corners[-1], point):
            corners.pop()
        corners.append(point)
    return [corner[0] for corner in corners], [corner[1] for corner in corners]


def _turns_right(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) <= (b[1] - a[1]) * (c[0] - a[0])


def _checked_polygons(value: list, size: tuple[int, int]) -> Polygons:
    polygons, length = [], 0.0
    height, width = size
    for polygon in value:
        try:
            points = np.asarray(polygon, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            raise ValueError("a polygon is no list of numbers") from None
        if points.ndim != 1 or len(points) % 2 or not np.isfinite(points).all():
            raise ValueError("a polygon is no list x1, y1, x2, y2, … of finite numbers")
        points = points.reshape(-1, 2)
        most = 2 * np.array([width, height])
        if ((points < -most / 2) | (points > most)).any():
            raise ValueError(f"a polygon lies far outside its image of {height} × {width}")
        if len(points) >= 3:
            polygons.append(points.ravel().tolist())
            length += float(outlines(points, np.zeros(1, np.int64))[0])
    if length > LONGEST_OUTLINE:
        raise ValueError(f"its polygons are {length:,.0f} px long; expected at most {LONGEST_OUTLINE:,}")
    return polygons


def _checked_rle(value: dict, size: tuple[int, int]) -> RLE:
    if value.get("size") != list(size):
        raise ValueError(f"RLE of size {value.get('size')!r} in an image of {list(size)}")
    return checked(value)
