"""Boxes as annotation files give them: clipping, and distinguishing one format from another."""

from __future__ import annotations

import math

import numpy as np

from workbench.data.reading.problems import Problem

XYXY, XYWH = "corners", "x, y, width, height"  #: formats of boxes, as messages name them
SLACK = 1.0  #: pixels that a box may reach outside its image without a word
THINNEST = 1e-3  #: pixels; thinner boxes are empty after rounding or resizing
_SHARE_WRONG = 0.2  # of the boxes that make no sense as they stand, before a mix-up is suspected
_SHARE_RIGHT = 0.95  # of the boxes that make sense in the other format
_FEWEST = 3  # boxes; with fewer nothing can be said


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


def format_problems(boxes: np.ndarray, sizes: np.ndarray, where: str, what: str, meant: str) -> list[Problem]:
    """Errors about boxes that are in another format than theirs, in truth.

    Args:
        boxes: [N, 4] as they are given.
        sizes: height and width of each box's image [N, 2].
        where: file, folder or data set of the boxes.
        what: the words for the boxes.
        meant: the format that they should have, XYXY or XYWH, in pixels.
    """
    other, mixed_up = (XYWH, look_like_xywh) if meant == XYXY else (f"{XYXY} (xyxy)", look_like_xyxy)
    found = {other: mixed_up(boxes, sizes), "fractions of the image": look_like_fractions(boxes, sizes)}
    wrong = [f"{what} look like {words}, not like {meant} in pixels" for words, true in found.items() if true]
    return [Problem("error", where, words, "Convert the boxes.") for words in wrong]


def look_like_xyxy(boxes_xywh: np.ndarray, sizes: np.ndarray) -> bool:
    """Whether boxes [N, 4] given as x, y, width, height are corners in truth.

    True where many boxes reach outside their images as they stand, and nearly all make sense as corners.

    Args:
        sizes: height and width of each box's image [N, 2].
    """
    low, extent = boxes_xywh[:, :2], boxes_xywh[:, 2:]
    most = sizes[:, ::-1] + SLACK
    fit = (extent > 0).all(1) & (low + extent <= most).all(1)
    fit_as_corners = (extent > low).all(1) & (extent <= most).all(1)
    return _mixed_up(fit, fit_as_corners)


def look_like_xywh(boxes: np.ndarray, sizes: np.ndarray) -> bool:
    """Whether boxes [N, 4] given as corners are x, y, width, height in truth; see `look_like_xyxy`."""
    low, high = boxes[:, :2], boxes[:, 2:]
    most = sizes[:, ::-1] + SLACK
    return _mixed_up((high > low).all(1), (high > 0).all(1) & (low + high <= most).all(1))


def _mixed_up(fit: np.ndarray, fit_otherwise: np.ndarray) -> bool:
    """Whether another format explains the boxes better than theirs; those that fit neither are flaws of their own."""
    decisive = fit | fit_otherwise
    if decisive.sum() < max(_FEWEST, len(fit) / 2):
        return False
    return bool((~fit[decisive]).mean() >= _SHARE_WRONG and fit_otherwise[decisive].mean() >= _SHARE_RIGHT)


def look_like_fractions(boxes: np.ndarray, sizes: np.ndarray) -> bool:
    """Whether boxes [N, 4] are given as shares of the image's sides instead of pixels."""
    return len(boxes) >= _FEWEST and bool((boxes <= 1).all()) and bool((sizes > 8).all())
