"""Boxes as annotation files give them: clipping, and distinguishing one format from another."""

from __future__ import annotations

import math

import numpy as np

from workbench.data.reading.problems import Problem

#: Formats of boxes, as messages name them.
XYXY, XYWH, YXYX = "corners (x1, y1, x2, y2)", "x, y, width, height", "y1, x1, y2, x2"
YXHW, CENTRE, FRACTIONS = "y, x, height, width", "centre x, centre y, width, height", "fractions of the image"
SLACK = 1.0  #: pixels that a box may reach outside its image without a word
THINNEST = 1e-3  #: pixels; thinner boxes are empty after rounding or resizing
_SHARE_WRONG = 0.1  # of the boxes that make no sense as they stand, before a mix-up is suspected
_SHARE_RIGHT = 0.95  # of the boxes that make sense in the other format
_FEWEST = {XYXY: 3, XYWH: 3, YXYX: 20, YXHW: 20, CENTRE: 20}  # boxes; with fewer nothing can be said of a format
FORMATS = tuple(_FEWEST)


def finite_box(values: object) -> tuple[float, float, float, float] | None:
    """`values` as four floats, or None if they are not four finite numbers."""
    if not isinstance(values, list | tuple) or len(values) != 4:
        return None
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return None
    try:
        x, y, width, height = (float(value) for value in values)
    except OverflowError:
        return None
    return (x, y, width, height) if all(map(math.isfinite, (x, y, width, height))) else None


def clip(
    box: tuple[float, float, float, float], size: tuple[int, int]
) -> tuple[tuple[float, float, float, float], float]:
    """A box (xyxy) clipped to an image of `size` (height, width), and how far it reached outside, in pixels."""
    x1, y1, x2, y2 = box
    height, width = size
    outside = max(-min(x1, x2, 0), -min(y1, y2, 0), max(x1, x2) - width, max(y1, y2) - height, 0)
    clipped = (_between(x1, width), _between(y1, height), _between(x2, width), _between(y2, height))
    return clipped, outside


def _between(value: float, most: int) -> float:
    return min(max(value, 0.0), float(most))


def too_thin(boxes: np.ndarray) -> np.ndarray:
    """Which boxes [N, 4] xyxy have no width or height once they are float32, or nearly none [N]."""
    rounded = boxes.astype(np.float32)
    return (rounded[:, 2:] - rounded[:, :2] < THINNEST).any(axis=1)


def xywh(boxes: np.ndarray) -> np.ndarray:
    """Boxes [N, 4] xyxy as x, y, width, height; a box turned inside out has size 0 and overlaps nothing."""
    return np.concatenate([boxes[:, :2], (boxes[:, 2:] - boxes[:, :2]).clip(min=0)], axis=1)


def hidden_share(full: np.ndarray, visible: np.ndarray, *, known: np.ndarray) -> np.ndarray:
    """1 - area of the visible box / area of the full one [N] float32 in 0..1; NaN where it is not `known` [N].

    Args:
        full, visible: [N, 4] xyxy, not clipped to the image, as both data sets that have them measure it.
        known: [N] bool.
    """
    area, seen = ((boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(axis=1) for boxes in (full, visible))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = 1 - np.minimum(seen / area, 1)
    return np.where(known & (area > 0), share, np.nan).astype(np.float32)


def format_problems(boxes: np.ndarray, sizes: np.ndarray, where: str, what: str, meant: str) -> list[Problem]:
    """An error about boxes that are in another format than theirs, in truth.

    Args:
        boxes: [N, 4] as they are given.
        sizes: height and width of each box's image [N, 2].
        where: file, folder or data set of the boxes.
        what: the words for the boxes.
        meant: the format that they should have, in pixels.
    """
    other = likely_format(boxes, sizes, meant)
    if other is None:
        return []
    return [Problem("error", where, f"{what} look like {other}, not like {meant} in pixels", "Convert the boxes.")]


def likely_format(boxes: np.ndarray, sizes: np.ndarray, meant: str) -> str | None:
    """The format that boxes [N, 4] seem to be in, if it is another than is meant.

    One is suspected where many boxes make no sense as they stand (turned inside out, or outside of their images), and
    nearly all make sense in that one; boxes that fit neither are flaws of their own.

    Args:
        boxes: as they are given.
        sizes: height and width of each box's image [N, 2].
        meant: the format that they should have, in pixels.
    """
    if len(boxes) and (boxes <= 1).all() and (sizes > 8).all():  # also of one: no object is a part of a pixel
        return FRACTIONS
    fit = _fit(boxes, sizes, meant)
    if len(boxes) == 0 or fit.mean() > 1 - _SHARE_WRONG / 2:  # most, and at once
        return None
    found = {}
    for other, fewest in _FEWEST.items():
        also = _fit(boxes, sizes, other)
        decisive = fit | also
        enough = other != meant and decisive.sum() >= max(fewest, len(boxes) / 2)
        if enough and (~fit[decisive]).mean() >= _SHARE_WRONG and also[decisive].mean() >= _SHARE_RIGHT:
            found[other] = also.mean()
    return max(found, key=lambda other: found[other], default=None)


def corners(boxes: np.ndarray, form: str) -> np.ndarray:
    """Boxes [N, 4] of a format as xyxy."""
    first, second = boxes[:, :2], boxes[:, 2:]
    if form in (YXYX, YXHW):
        first, second = first[:, ::-1], second[:, ::-1]
    if form in (XYWH, YXHW):
        second = first + second
    elif form == CENTRE:
        first, second = first - second / 2, first + second / 2
    return np.concatenate([first, second], axis=1)


def _fit(boxes: np.ndarray, sizes: np.ndarray, form: str) -> np.ndarray:
    """Which boxes [N, 4], read in a format, are inside their images and have a size [N]."""
    xyxy = corners(boxes, form)
    low, high = xyxy[:, :2], xyxy[:, 2:]
    return ((high > low) & (low >= -SLACK) & (high <= sizes[:, ::-1] + SLACK)).all(axis=1)
