"""Masks as polygons that somebody can move, and polygons as masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from skimage import measure

from workbench.data.reading.masks import checked_segmentation, code_of
from workbench.errors import DataError
from workbench.rle import RLE

SMALLEST = 4.0  #: pixels of area; smaller parts of a mask are left out


def code_for(segmentation: Any, size: tuple[int, int]) -> RLE | None:
    """A segmentation of a COCO file as one code for an image of `size` (height, width); None for an empty one.

    Raises:
        DataError: it cannot be decoded.
    """
    try:
        checked = checked_segmentation(segmentation, size)
    except ValueError as error:
        raise DataError(str(error)) from error
    return None if checked is None else code_of(checked, size)


def mask_for(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """The same as pixels, bool [H, W].

    Raises:
        DataError: it cannot be decoded.
    """
    code = code_for(segmentation, size)
    return np.zeros(size, bool) if code is None else coco_mask.decode(code).astype(bool)


def polygons_of(mask: np.ndarray, tolerance: float = 0.8) -> list[list[float]]:
    """The outlines of a mask as COCO's polygons [[x1, y1, x2, y2, ...], ...], the largest first.

    Holes are filled, which COCO's polygons cannot have, and parts of less than 4 pixels are left out, unless there is
    no other.

    Args:
        mask: bool [H, W].
        tolerance: pixels by which an outline may leave that of the mask, to have fewer points.

    Example:
        >>> mask = np.zeros((100, 200), bool)
        >>> mask[20:60, 30:90] = True
        >>> rings = polygons_of(mask)
        >>> len(rings), len(rings[0]) // 2 <= 8, round(float(mask_for(rings, (100, 200)).sum() / mask.sum()), 1)
        (1, True, 1.0)
    """
    padded = np.pad(mask.astype(np.uint8), 1)
    found = []
    for line in measure.find_contours(padded, 0.5):
        points = line[:, ::-1] - 0.5  # pixel centres lie at halves; minus the border of one pixel
        if _area(points) >= 0:
            continue  # the rim of a hole turns the other way
        simple = measure.approximate_polygon(points, tolerance)[:-1]
        if len(simple) >= 3:
            found.append((abs(_area(simple)), simple))
    found.sort(key=lambda one: -one[0])
    kept = [one for one in found if one[0] >= SMALLEST] or found[:1]
    limits = np.array([mask.shape[1], mask.shape[0]])
    if not kept and mask.any():  # a speck: its box
        (y1, x1), (y2, x2) = (edge(np.argwhere(mask), axis=0) for edge in (np.min, np.max))
        return [[float(value) for value in (x1, y1, x2 + 1, y1, x2 + 1, y2 + 1, x1, y2 + 1)]]
    return [np.clip(points, 0, limits).round(1).ravel().tolist() for _, points in kept]


def _area(points: np.ndarray) -> float:
    """Of a closed line [n, 2], negative where it goes round as the outlines of what is bright do."""
    x, y = points[:, 0], points[:, 1]
    return 0.5 * float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))


def overlap(one: Any, other: Any, size: tuple[int, int]) -> float:
    """IoU of two segmentations of a COCO file, 0 to 1.

    Raises:
        DataError: one of them cannot be decoded.
    """
    codes = code_for(one, size), code_for(other, size)
    if codes[0] is None or codes[1] is None:
        return 0.0
    return float(coco_mask.iou([codes[0]], [codes[1]], [0])[0, 0])


def hidden_share(visible: Any, amodal: Any, size: tuple[int, int]) -> float:
    """How much of an object's whole outline is not in its visible one, 0 to 1.

    Raises:
        DataError: one of them cannot be decoded.
    """
    whole = mask_for(amodal, size)
    return float((whole & ~mask_for(visible, size)).sum() / max(1, whole.sum()))


def covered(points: Sequence[Sequence[float]], segmentations: Sequence[Any], size: tuple[int, int]) -> list[bool]:
    """Whether each of several points x, y lies in any of several segmentations; broken ones cover nothing.

    Args:
        points: in pixels.
        segmentations: of a COCO file.
        size: height and width of the image.
    """
    codes = []
    for segmentation in segmentations if points else ():
        try:
            codes.append(code_for(segmentation, size))
        except DataError:
            continue
    known = [code for code in codes if code is not None]
    if not known:
        return [False] * len(points)
    mask = coco_mask.decode(coco_mask.merge(known))
    places = [
        [min(max(int(value), 0), side - 1) for value, side in zip(one, size[::-1], strict=True)] for one in points
    ]
    return [bool(mask[y, x]) for x, y in places]
